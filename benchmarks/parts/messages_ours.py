"""The program of `messages_peer` as a service of ours.

honeyhive run parts.messages_ours:service worker|http    handles messages; publishes as many as a request asks for
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import process_time, time
from typing import ClassVar

from honeyhive.events import Event, MessageBus, RabbitMQMessageBus
from honeyhive.runtime import (
    Execution,
    Provider,
    Publishing,
    Service,
    Tracing,
    controller,
    on_message,
    post,
    use_publisher,
)


class Placed(Event):
    """What is published."""

    order: str


class Around:
    """Does nothing, at the usual place."""

    @asynccontextmanager
    async def intercept(self, _: Execution) -> AsyncIterator[None]:
        """Do nothing before and after."""
        yield


NOTED = {int(os.environ["BENCH_WARM_UP"]), int(os.environ["BENCH_MESSAGES"])}


def note() -> None:
    """Write down what time it is, and how long this process has worked."""
    with Path(os.environ["BENCH_DONE"]).open("a") as done:
        print(time(), process_time(), file=done)


@controller("/orders")
class Orders:
    """Publishes and handles."""

    handled: ClassVar[int] = 0

    @post("/{count}")
    async def publish(self, count: int) -> int:
        """Publish so many."""
        for _ in range(count):
            await use_publisher().publish(Placed(order="tea"))
        return count

    @on_message(Placed)
    async def count(self, _: Placed) -> None:
        """Count one."""
        Orders.handled += 1
        if Orders.handled in NOTED:
            note()


async def bus() -> AsyncIterator[MessageBus]:
    """Open the bus of the process."""
    async with RabbitMQMessageBus(os.environ["BENCH_BROKER"], name=os.environ["BENCH_NAME"], concurrency=50) as opened:
        yield opened


TRACED = bool(os.environ.get("BENCH_TRACED"))
if TRACED:
    from honeyhive import HoneyHiveTracer

    HoneyHiveTracer(project="bench")

service = Service(
    "bench",
    providers=[Provider(MessageBus, bus)],
    controllers=[Orders],
    interceptors=[*([Tracing] if TRACED else [Around()]), Publishing, *(Around() for _ in range(3))],
)
