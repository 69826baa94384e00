"""Every store passes the contract that comes with the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from honeyhive.events.sql.named import SQLiteEventStore
from honeyhive.events.store import EventLog
from honeyhive.events.stores.awaitable import AsyncInMemoryEventStore, AsyncJournalEventStore
from honeyhive.events.stores.blocking import BlockingEventLog
from honeyhive.events.stores.journal import JournalEventStore
from honeyhive.events.stores.memory import InMemoryEventStore
from honeyhive.testing.store_contracts import EventLogContract


class TestInMemoryEventStore(EventLogContract):
    is_durable = False

    @pytest.fixture
    def open_store(self) -> Callable[[], EventLog]:
        return InMemoryEventStore


class TestAsyncInMemoryEventStore(EventLogContract):
    is_durable = False

    @pytest.fixture
    def open_store(self) -> Callable[[], EventLog]:
        return lambda: BlockingEventLog(AsyncInMemoryEventStore())


class TestJournalEventStore(EventLogContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], EventLog]:
        return lambda: JournalEventStore(tmp_path / "events")


class TestAsyncJournalEventStore(EventLogContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], EventLog]:
        return lambda: BlockingEventLog(AsyncJournalEventStore(tmp_path / "events"))


class TestSQLiteEventStore(EventLogContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], EventLog]:
        return lambda: SQLiteEventStore(tmp_path / "events.db")


class TestSQLiteEventStoreInMemory(EventLogContract):
    is_durable = False

    @pytest.fixture
    def open_store(self) -> Callable[[], EventLog]:
        return lambda: SQLiteEventStore(":memory:")
