"""One program, two instances of it, on every bus that there is: nothing changes but the line that makes the bus."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import pytest

from honeyhive.events import (
    Command,
    Event,
    KafkaMessageBus,
    NATSMessageBus,
    RabbitMQMessageBus,
    RedisMessageBus,
)
from honeyhive.testing import FakeKafka

pytestmark = pytest.mark.anyio

ORDERS = 20


class Place(Command, key="order"):
    order: str


class Placed(Event, key="order"):
    order: str


KINDS = {"redis_server": RedisMessageBus, "rabbitmq_server": RabbitMQMessageBus, "nats_server": NATSMessageBus}


@pytest.fixture(params=[*KINDS, "kafka"])
def make_bus(request):
    name = f"shop-{uuid.uuid4().hex[:12]}"
    if request.param == "kafka":
        clients = FakeKafka()
        return lambda group: KafkaMessageBus("kafka://nowhere", name=name, group=group, lease_s=1, clients=clients)
    server = request.getfixturevalue(request.param)
    return lambda group: KINDS[request.param](server.url, name=name, group=group, partitions=4, lease_s=1)


class Instance:
    """One process of the program, as far as this test is concerned."""

    def __init__(self, bus: object) -> None:
        self.bus = bus
        self.placed: list[str] = []
        bus.subscribe(Place, self.place)

    async def place(self, command: Place) -> None:
        self.placed.append(command.order)
        await self.bus.publish(Placed(order=command.order))


@pytest.mark.acceptance("O17")
@pytest.mark.acceptance("O20")
@pytest.mark.acceptance("O34")
async def test_two_instances_share_the_commands_and_each_audience_hears_every_event(make_bus):
    mails, figures, complete = [], [], asyncio.Event()

    def note(audience: list[str]) -> Callable[[Placed], None]:
        async def hear(event: Placed) -> None:
            audience.append(event.order)
            if len(mails) >= ORDERS and len(figures) >= ORDERS:
                complete.set()

        return hear

    one, other = Instance(make_bus("shop")), Instance(make_bus("shop"))
    mailing, counting = make_bus("mailing"), make_bus("counting")
    mailing.subscribe(Placed, note(mails))
    counting.subscribe(Placed, note(figures))

    orders = [f"o-{number}" for number in range(ORDERS)]
    async with one.bus, other.bus, mailing, counting:
        await asyncio.gather(*(one.bus.publish(Place(order=order)) for order in orders))
        await complete.wait()

    assert sorted(orders) == sorted(one.placed + other.placed) == sorted(mails) == sorted(figures)
