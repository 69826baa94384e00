"""Messages a second through NATS to a traced handler within interceptors, as a ratio to the bare client; and ticks on time.

    python benchmarks/runtime_messages.py [ROUNDS]    fails below the promised rate, or if a tick misses its second

Both ways publish to JetStream and consume from it, with acknowledgements, in this process; they take turns. The spans are
exported to a backend that accepts everything. Meanwhile a schedule ticks every second.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, time
from typing import Any, ClassVar

import anyio
from parts.sink import sink

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from engines import Nats
from honeyhive.events import Event, MessageBus, NATSMessageBus
from honeyhive.runtime import (
    Execution,
    Provider,
    Publishing,
    RateLimit,
    ScheduleExecution,
    Service,
    Sockets,
    Tracing,
    every,
    on_message,
    use_execution,
)
from honeyhive.runtime.scheduler import scheduler_of
from honeyhive.runtime.worker import bus_of, worker_of

MESSAGES = 1_000
AT_ONCE = 50

PROMISED = 0.5
"""At least this much of the bare client's rate."""


class Placed(Event):
    """What is published."""

    order: str


class Handlers:
    """What handles it, and what runs on time."""

    handled: ClassVar[int] = 0
    all_handled: ClassVar[asyncio.Event]
    late_s: ClassVar[list[float]] = []

    @on_message(Placed)
    async def count(self, _: Placed) -> None:
        """Count a message."""
        Handlers.handled += 1
        if Handlers.handled == MESSAGES:
            Handlers.all_handled.set()

    @every("* * * * * *")
    async def tick(self) -> None:
        """Note how late it is."""
        execution = use_execution()
        assert isinstance(execution, ScheduleExecution)
        Handlers.late_s.append(time() - execution.tick.timestamp())


class Around:
    """An interceptor that does nothing."""

    @asynccontextmanager
    async def intercept(self, _: Execution) -> AsyncIterator[None]:
        """Do nothing before and after."""
        yield


async def bare(url: str) -> float:
    """Return the rate of the client alone."""
    import nats

    client = await nats.connect(url)
    stream = client.jetstream()
    name = f"bare-{uuid.uuid4().hex[:8]}"
    await stream.add_stream(name=name, subjects=[name])
    consumer = await stream.pull_subscribe(name, durable=name)
    body = b'{"specversion": "1.0", "type": "Placed", "data": {"order": "tea"}}'

    async def consume() -> None:
        left = MESSAGES
        while left:
            for message in await consumer.fetch(min(left, AT_ONCE), timeout=10):
                await message.ack()
                left -= 1

    began = perf_counter()
    await asyncio.gather(consume(), publish(lambda: stream.publish(name, body)))
    rate = MESSAGES / (perf_counter() - began)
    await client.close()
    return rate


async def bus_alone(url: str) -> float:
    """Return the rate of the bus with a handler that does nothing else."""
    count, done = 0, asyncio.Event()

    async def handle(_: Placed) -> None:
        nonlocal count
        count += 1
        if count == MESSAGES:
            done.set()

    bus = NATSMessageBus(url, name=f"bus-{uuid.uuid4().hex[:8]}", concurrency=AT_ONCE)
    bus.subscribe(Placed, handle)
    async with bus:
        began = perf_counter()
        await publish(lambda: bus.publish(Placed(order="tea")))
        await done.wait()
        return MESSAGES / (perf_counter() - began)


async def ours(url: str) -> float:
    """Return the rate of a worker with a traced handler within five interceptors, while a schedule ticks."""

    async def bus() -> AsyncIterator[MessageBus]:
        async with NATSMessageBus(url, name=f"ours-{uuid.uuid4().hex[:8]}", concurrency=AT_ONCE) as opened:
            yield opened

    service = Service(
        "bench",
        providers=[Provider(MessageBus, bus)],
        controllers=[Handlers],
        interceptors=[Tracing, RateLimit(rate=1_000_000), Sockets(), Publishing, Around()],
    )
    Handlers.handled, Handlers.all_handled = 0, asyncio.Event()
    stopping, ready = anyio.Event(), anyio.Event()
    async with service.build({}).opened() as process, scheduler_of(process) as scheduler, asyncio.TaskGroup() as tasks:
        worker, opened = await worker_of(process), await bus_of(process)
        tasks.create_task(worker.run(stopping, ready.set))
        tasks.create_task(scheduler.run(stopping))
        await ready.wait()
        began = perf_counter()
        await publish(lambda: opened.publish(Placed(order="tea")))
        await Handlers.all_handled.wait()
        rate = MESSAGES / (perf_counter() - began)
        await asyncio.sleep(1.5)  # for a tick at least
        stopping.set()
    return rate


async def publish(one: Any) -> None:
    """Publish all messages, some at once."""
    for _ in range(MESSAGES // AT_ONCE):
        await asyncio.gather(*(one() for _ in range(AT_ONCE)))


def main(arguments: list[str]) -> int:
    """Measure, print, and return 1 where a promise is broken."""
    rounds = int(arguments[0]) if arguments else 5
    if Nats.find() is None:
        print("NOT MEASURED: nats-server is not on this machine")
        return 0
    with tempfile.TemporaryDirectory() as folder, sink() as address:
        os.environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "XDG_STATE_HOME": folder}
        from honeyhive import HoneyHiveTracer

        HoneyHiveTracer(project="bench")
        engine = Nats(Path(folder))
        engine.start()
        try:
            table = [[asyncio.run(way(engine.url)) for way in (bare, bus_alone, ours)] for _ in range(rounds)]
        finally:
            engine.stop()
    ratio = median(row[2] / row[0] for row in table)
    latest_s = max(Handlers.late_s)
    for at, name in enumerate(("bare client", "bus alone", "traced handler")):
        print(f"{name:15} {median(row[at] for row in table):7.0f} messages a second")
    print(f"traced handler to bare client {ratio:.2f}, at least {PROMISED}")
    print(f"traced handler to bus alone   {median(row[2] / row[1] for row in table):.2f}")
    print(f"{len(Handlers.late_s)} ticks, the latest {latest_s * 1000:.0f} ms after its second began")
    return int(ratio < PROMISED or latest_s >= 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
