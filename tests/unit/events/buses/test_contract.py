"""The buses in memory keep the contract of all buses."""

from __future__ import annotations

import pytest

from honeyhive.events import AsyncMessageBus, InMemoryMessageBus
from honeyhive.testing import BusContract


class TestInMemoryMessageBus(BusContract):
    blocks = raises = True
    shares = False

    @pytest.fixture
    def open_bus(self):
        return InMemoryMessageBus


class TestAsyncMessageBus(BusContract):
    raises = True
    shares = False

    @pytest.fixture
    def open_bus(self):
        return AsyncMessageBus


@pytest.mark.parametrize("anyio_backend", ["trio"])
class TestAsyncMessageBusOnTrio(TestAsyncMessageBus):
    pass
