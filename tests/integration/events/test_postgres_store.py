"""The SQL store on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from engines import Engine
from honeyhive.events import EventLog, PostgreSQLEventStore
from honeyhive.testing.store_contracts import EventLogContract

prefixes = count()


class TestPostgreSQLEventStore(EventLogContract):
    @pytest.fixture
    def open_store(self, postgres_server: Engine) -> Callable[[], EventLog]:
        prefix = f"contract{next(prefixes)}_"
        return lambda: PostgreSQLEventStore(postgres_server.url, prefix=prefix)
