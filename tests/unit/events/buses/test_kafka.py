"""The bus on Kafka, as far as a Kafka in memory can tell."""

from __future__ import annotations

import asyncio
import functools
from collections import defaultdict

import pytest

pytest.importorskip("aiokafka", reason="aiokafka is not installed: pip install honeyhive[kafka]")

from honeyhive.events import AsyncMessageBus, Event, KafkaMessageBus
from honeyhive.events.adapters.kafka import KafkaBroker
from honeyhive.events.buses.broker import Topology
from honeyhive.events.buses.brokered import BrokerMessageBus
from honeyhive.exceptions import BusClosedError
from honeyhive.testing import BusContract, FakeKafka


class Measured(Event, key="device"):
    device: str
    number: int


class Started(Event):
    pass


class TestKafkaMessageBus(BusContract):
    counts = False

    @pytest.fixture
    def open_bus(self):
        return functools.partial(KafkaMessageBus, "kafka://nowhere", partitions=4, lease_s=1, clients=FakeKafka())

    @pytest.mark.acceptance("O22")
    async def test_a_stream_of_many_messages_passes_whole_and_in_order_for_each_key(self, open_bus):
        bus, heard, complete = open_bus(name="stream", group="readers"), defaultdict(list), asyncio.Event()

        async def note(event: Measured) -> None:
            heard[event.device].append(event.number)
            if sum(map(len, heard.values())) == 2_000:
                complete.set()

        bus.subscribe(Measured, note)
        async with bus:
            await asyncio.gather(
                *(bus.publish(Measured(device=f"d{number % 8}", number=number)) for number in range(2_000))
            )
            await complete.wait()

        assert {f"d{device}": list(range(device, 2_000, 8)) for device in range(8)} == heard

    async def test_a_bus_that_a_handler_of_another_has_opened_keeps_to_its_concurrency(self, open_bus):
        bus, running, most, complete = open_bus(name="opened", group="readers", concurrency=1), [], [], asyncio.Event()

        async def measure(event: Measured) -> None:
            running.append(event.device)
            await asyncio.sleep(0.01)  # others have their chance to begin
            most.append(len(running))
            running.remove(event.device)
            if len(most) == 4:
                complete.set()

        async def open_and_publish(event: Started) -> None:
            await asyncio.gather(*(bus.publish(Measured(device=f"d{number}", number=number)) for number in range(4)))

        bus.subscribe(Measured, measure)
        async with AsyncMessageBus() as other:
            other.subscribe(Started, open_and_publish)
            await other.publish(Started())
        await complete.wait()
        await bus.aclose()

        assert [1] * 4 == most


class LateKafka(KafkaBroker):
    """An engine that lets itself be reached when it is told to.

    Attributes:
        asked: Set when somebody wants to connect.
        back: Set it, and they can.
    """

    def __init__(self, topology: Topology) -> None:
        super().__init__("kafka://nowhere", topology, clients=FakeKafka())
        self.asked, self.back = asyncio.Event(), asyncio.Event()

    async def connect(self, *, consuming: bool) -> None:
        self.asked.set()
        await self.back.wait()
        await super().connect(consuming=consuming)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_bus_that_is_closed_while_it_opens_stays_closed() -> None:
    broker = LateKafka(Topology("late", "readers", "one", partitions=1, lease_s=1))
    bus = BrokerMessageBus(broker)
    publishing = asyncio.create_task(bus.publish(Started()))
    await broker.asked.wait()

    await bus.aclose()
    broker.back.set()

    with pytest.raises(BusClosedError):
        await publishing
    with pytest.raises(BusClosedError):
        await bus.publish(Started())
