"""A bus on a real NATS."""

from __future__ import annotations

import asyncio
import functools

import anyio
import pytest

from honeyhive.events import NATSMessageBus
from honeyhive.events.adapters.nats import NATSBroker
from honeyhive.events.buses.broker import Delivery, Parcel, Topology
from honeyhive.testing import BusContract


class TestNATSMessageBus(BusContract):
    @pytest.fixture
    def open_bus(self, nats_server):
        return functools.partial(NATSMessageBus, nats_server.url, partitions=4, lease_s=1)

    @pytest.fixture
    def restart_engine(self, nats_server):
        return nats_server.restart


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_fails_to_take_a_message_is_told_also_while_reading_ends(nats_server) -> None:
    topology = Topology("refused", "readers", "one", partitions=1, lease_s=1)
    broker, stopping, taken = NATSBroker(nats_server.url, topology), asyncio.Event(), []

    async def refuse(delivery: Delivery) -> None:
        taken.append(delivery.body)
        stopping.set()
        await asyncio.sleep(topology.lease_s)  # until no more are asked for
        raise ValueError("not this one")

    await broker.connect(consuming=True)
    for number in range(3):
        await broker.send(Parcel(f"{number}", "key", 0, b"%d" % number))
    with pytest.raises(ExceptionGroup) as failed, anyio.fail_after(10):
        await broker.consume(refuse, stopping)
    await broker.aclose()

    assert failed.group_contains(ValueError, match="not this one")
    assert [b"0"] == taken
