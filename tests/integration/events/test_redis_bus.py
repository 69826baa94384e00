"""A bus on a real Redis."""

from __future__ import annotations

import functools

import pytest

from honeyhive.events import RedisMessageBus
from honeyhive.testing import BusContract


class TestRedisMessageBus(BusContract):
    @pytest.fixture
    def open_bus(self, redis_server):
        return functools.partial(RedisMessageBus, redis_server.url, partitions=4, lease_s=1)

    @pytest.fixture
    def restart_engine(self, redis_server):
        return redis_server.restart
