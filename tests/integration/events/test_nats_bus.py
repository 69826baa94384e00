"""A bus on a real NATS."""

from __future__ import annotations

import functools

import pytest

from honeyhive.events import NATSMessageBus
from honeyhive.testing import BusContract


class TestNATSMessageBus(BusContract):
    @pytest.fixture
    def open_bus(self, nats_server):
        return functools.partial(NATSMessageBus, nats_server.url, partitions=4, lease_s=1)

    @pytest.fixture
    def restart_engine(self, nats_server):
        return nats_server.restart
