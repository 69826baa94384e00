"""Messages a second through NATS to a traced handler within interceptors, as a ratio to the bare client; and ticks on time.

    python benchmarks/runtime_messages.py [ROUNDS]    fails below the promised rate, or if a tick misses its second

All ways publish to a JetStream stream on disk, 50 at once, each with the server's answer, and meanwhile consume what comes,
each message with an acknowledgement, in this process; they take turns. The bare client sends a ready-made body, pulls up to
50 messages and looks at none. *traced handler* makes two spans for each message, where it is published and where it is
handled, and they are exported to a backend that accepts everything. Meanwhile a schedule ticks every second. The rate
depends on who else uses the machine; the CPU, of this process with all its threads, does less so.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, time
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
from honeyhive.runtime.run import spare_what_stays
from honeyhive.runtime.scheduler import scheduler_of
from honeyhive.runtime.worker import bus_of, worker_of

MESSAGES = 3_000
AT_ONCE = 50

PROMISED = 0.5
"""At least this much of the bare client's rate."""


class Placed(Event):
    """What is published."""

    order: str


class Arrivals:
    """Counts messages."""

    def __init__(self) -> None:
        self._missing = 0
        self._none_missing = asyncio.Event()

    def count(self) -> None:
        """Count one that was handled."""
        self._missing -= 1
        if not self._missing:
            self._none_missing.set()

    async def of(self, publish: Coroutine[Any, Any, object], number: int) -> None:
        """Publish *number* messages, and return when all are handled."""
        self._missing = number
        self._none_missing.clear()
        await publish
        await self._none_missing.wait()


class Handlers:
    """What handles it, and what runs on time."""

    arrivals: ClassVar[Arrivals]
    late_s: ClassVar[list[float]] = []

    @on_message(Placed)
    async def count(self, _: Placed) -> None:
        """Count a message."""
        Handlers.arrivals.count()

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


@dataclass
class Cost:
    """What a message costs, in microseconds.

    Attributes:
        wall_us: Of time that passes.
        cpu_us: Of this process's CPU time.
    """

    wall_us: float
    cpu_us: float


class Meter:
    """Measures from its making on; asks at both ends for the parent's process id, by which callgrind finds them."""

    def __init__(self) -> None:
        gc.unfreeze()
        spare_what_stays()
        os.getppid()
        self._began, self._worked = perf_counter(), process_time()

    def cost(self) -> Cost:
        """Return what each message has cost."""
        os.getppid()
        wall_s, cpu_s = perf_counter() - self._began, process_time() - self._worked
        return Cost(wall_s / MESSAGES * 1e6, cpu_s / MESSAGES * 1e6)


async def bare(url: str) -> Cost:
    """Return what the client alone costs."""
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

    meter = Meter()
    await asyncio.gather(consume(), publish(lambda: stream.publish(name, body)))
    cost = meter.cost()
    await client.close()
    return cost


async def bus_alone(url: str) -> Cost:
    """Return what the bus costs with its two spans and a handler that does nothing else."""
    arrivals = Arrivals()

    async def handle(_: Placed) -> None:
        arrivals.count()

    bus = NATSMessageBus(url, name=f"bus-{uuid.uuid4().hex[:8]}", concurrency=AT_ONCE)
    bus.subscribe(Placed, handle)
    async with bus:
        return await metered(bus, arrivals)


async def ours(url: str) -> Cost:
    """Return what a worker costs with a traced handler within five interceptors, while a schedule ticks."""

    async def bus() -> AsyncIterator[MessageBus]:
        async with NATSMessageBus(url, name=f"ours-{uuid.uuid4().hex[:8]}", concurrency=AT_ONCE) as opened:
            yield opened

    service = Service(
        "bench",
        providers=[Provider(MessageBus, bus)],
        controllers=[Handlers],
        interceptors=[Tracing, RateLimit(rate=1_000_000), Sockets(), Publishing, Around()],
    )
    Handlers.arrivals = Arrivals()
    stopping, ready = anyio.Event(), anyio.Event()
    async with service.build({}).opened() as process, scheduler_of(process) as scheduler, asyncio.TaskGroup() as tasks:
        worker, opened = await worker_of(process), await bus_of(process)
        tasks.create_task(worker.run(stopping, ready.set))
        tasks.create_task(scheduler.run(stopping))
        await ready.wait()
        cost = await metered(opened, Handlers.arrivals)
        await asyncio.sleep(1.5)  # for a tick at least
        stopping.set()
    return cost


async def metered(bus: Any, arrivals: Arrivals) -> Cost:
    """Return what messages on *bus* cost; a first one, which is not counted, shows that it listens."""
    await arrivals.of(bus.publish(Placed(order="tea")), 1)
    meter = Meter()
    await arrivals.of(publish(lambda: bus.publish(Placed(order="tea"))), MESSAGES)
    return meter.cost()


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
    for at, name in enumerate(("bare client", "bus alone", "traced handler")):
        wall_us, cpu_us = (median(getattr(row[at], figure) for row in table) for figure in ("wall_us", "cpu_us"))
        print(f"{name:15} {1e6 / wall_us:7.0f} messages a second, {cpu_us:5.0f} µs of CPU for each")
    ratio = median(row[0].wall_us / row[2].wall_us for row in table)
    print(f"traced handler to bare client {ratio:.2f} of its rate, at least {PROMISED}")
    print(f"    and {median(row[2].cpu_us / row[0].cpu_us for row in table):.2f} times its CPU")
    latest_s = max(Handlers.late_s)
    print(f"{len(Handlers.late_s)} ticks, the latest {latest_s * 1000:.0f} ms after its second began")
    return int(ratio < PROMISED or latest_s >= 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
