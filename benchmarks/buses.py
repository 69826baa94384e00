"""Messages a second through the buses, as ratios to the bare client libraries, and to orchestrix where it does the same.

    python benchmarks/buses.py [--rounds 5] [--orchestrix PYTHON]        fails where a promise is broken

Both sides do the same durable work with the same engine in this process, and take turns: they publish messages, some at
once, each with the engine's confirmation; meanwhile they consume what comes, several at once, and acknowledge each.

============  ==========================================================================================================
NATS          publish to a JetStream stream on disk with its answer; pull a batch, acknowledge each message
Redis         XADD; XREADGROUP of a batch, one XACK for the batch; append-only file. The second row has the bare client
              publish in pipelines, too, as the bus does by itself; nothing is promised of that
RabbitMQ      publish persistently with confirmation; consume from a quorum queue with a prefetch, acknowledge each one
============  ==========================================================================================================

The bare client sends a ready-made body and looks at none; the bus makes a message, writes it, keeps it in order by key,
reads it and calls a handler. The bare client has one stream where the bus has eight partitions. Neither is traced here;
`benchmarks/runtime_messages.py` shows the traced way. The ratio is that of the medians, of the time that passes and,
since a busy machine disturbs that, of the CPU time of this process as well.

In memory, orchestrix 0.1.0 is measured in a process of its own, by the Python of an environment that has it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from engines import Engine, Nats, RabbitMq, Redis
from honeyhive.events import (
    Event,
    InMemoryMessageBus,
    NATSMessageBus,
    RabbitMQMessageBus,
    RedisMessageBus,
    encode,
)
from honeyhive.events.buses.brokered import BrokerMessageBus

MESSAGES = 3_000
AT_ONCE = 50
PREFETCH = 100

PROMISED = 0.5
"""At least this much of the bare client's rate."""

UNPROMISED = "Redis, pipelines"

ORCHESTRIX = Path(__file__).with_name("parts") / "orchestrix_bus.py"


class Placed(Event):
    """What is published."""

    order: str


@dataclass
class Cost:
    """What a message costs, in seconds.

    Attributes:
        wall_s: Of time that passes.
        cpu_s: Of this process's CPU time.
    """

    wall_s: float
    cpu_s: float


Way = Callable[[str], Awaitable[Cost]]
BODY = encode(Placed(order="tea"))


class Count:
    """Counts messages, up to all of them."""

    def __init__(self) -> None:
        self._left = MESSAGES
        self.all_done = asyncio.Event()

    def one(self) -> None:
        """Count one."""
        self._left -= 1
        if not self._left:
            self.all_done.set()


async def exchange(publish: Callable[[], Awaitable[Any]], count: Count) -> Cost:
    """Publish all messages, one call for each, and wait until all are handled."""

    async def publish_some() -> None:
        await asyncio.gather(*(publish() for _ in range(AT_ONCE)))

    return await exchange_some(publish_some, count)


async def exchange_some(publish_some: Callable[[], Awaitable[Any]], count: Count) -> Cost:
    """Publish all messages, so many in a call, and wait until all are handled."""
    began, worked = perf_counter(), process_time()
    for _ in range(MESSAGES // AT_ONCE):
        await publish_some()
    await count.all_done.wait()
    return Cost((perf_counter() - began) / MESSAGES, (process_time() - worked) / MESSAGES)


async def bare_nats(url: str) -> Cost:
    """The client nats-py."""
    import nats

    client = await nats.connect(url)
    stream, name, count = client.jetstream(), a_name(), Count()
    await stream.add_stream(name=name, subjects=[name])
    consumer = await stream.pull_subscribe(name, durable=name)

    async def consume() -> None:
        while True:
            for message in await consumer.fetch(PREFETCH, timeout=10):
                await message.ack()
                count.one()

    consuming = asyncio.create_task(consume())
    cost = await exchange(lambda: stream.publish(name, BODY), count)
    await end(consuming)
    await client.close()
    return cost


async def bare_redis(url: str, *, in_pipelines: bool = False) -> Cost:
    """The client redis-py."""
    from redis.asyncio import Redis as Client

    client, name, count = Client.from_url(url, protocol=2), a_name(), Count()
    await client.xgroup_create(name, name, id="$", mkstream=True)

    async def consume() -> None:
        while True:
            for _, entries in await client.xreadgroup(name, name, {name: ">"}, count=PREFETCH, block=10_000):
                await client.xack(name, name, *(entry for entry, _ in entries))
                for _ in entries:
                    count.one()

    consuming = asyncio.create_task(consume())

    async def publish_some() -> None:
        pipeline = client.pipeline(transaction=False)
        for _ in range(AT_ONCE):
            pipeline.xadd(name, {b"event": BODY})
        await pipeline.execute()

    if in_pipelines:
        cost = await exchange_some(publish_some, count)
    else:
        cost = await exchange(lambda: client.xadd(name, {b"event": BODY}), count)
    await end(consuming)
    await client.aclose()
    return cost


async def bare_rabbitmq(url: str) -> Cost:
    """The client aio-pika."""
    import aio_pika

    connection, name, count = await aio_pika.connect(url), a_name(), Count()
    sending, receiving = await connection.channel(), await connection.channel()
    await receiving.set_qos(prefetch_count=PREFETCH)
    exchange_of_all = await sending.declare_exchange(name, durable=True)
    queue = await receiving.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
    await queue.bind(name, "0")

    async def receive(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        await message.ack()
        count.one()

    await queue.consume(receive)

    async def publish() -> None:
        message = aio_pika.Message(BODY, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await exchange_of_all.publish(message, "0", mandatory=False)

    cost = await exchange(publish, count)
    await connection.close()
    return cost


def through(bus_type: Callable[..., BrokerMessageBus]) -> Way:
    """Return what a message costs through a bus of *bus_type*."""

    async def ours(url: str) -> Cost:
        bus, count = bus_type(url, name=a_name(), concurrency=AT_ONCE), Count()

        async def handle(_: Placed) -> None:
            count.one()

        bus.subscribe(Placed, handle)
        async with bus:
            return await exchange(lambda: bus.publish(Placed(order="tea")), count)

    return ours


def in_memory() -> float:
    """Return how many messages a second go to one handler within this process."""
    bus, handled = InMemoryMessageBus(), []
    bus.subscribe(Placed, handled.append)
    for _ in range(1_000):
        bus.publish(Placed(order="tea"))
    began = process_time()
    for _ in range(20_000):
        bus.publish(Placed(order="tea"))
    return 20_000 / (process_time() - began)


def theirs(python: str) -> dict[str, float]:
    """Return how many messages a second go to one handler of orchestrix, with its logging and without."""
    done = subprocess.run([python, ORCHESTRIX], capture_output=True, text=True, check=True)
    rates: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return rates


async def end(task: asyncio.Task[None]) -> None:
    """Cancel *task* and wait until it has ended."""
    task.cancel()
    await asyncio.wait({task})


def a_name() -> str:
    """Return a name that nothing in the engine has yet."""
    return f"bench-{uuid.uuid4().hex[:8]}"


ENGINES: tuple[tuple[str, type[Engine], Way, Way], ...] = (
    ("NATS", Nats, bare_nats, through(NATSMessageBus)),
    ("Redis", Redis, bare_redis, through(RedisMessageBus)),
    (UNPROMISED, Redis, partial(bare_redis, in_pipelines=True), through(RedisMessageBus)),
    ("RabbitMQ", RabbitMq, bare_rabbitmq, through(RabbitMQMessageBus)),
)


def measure(name: str, engine_type: type[Engine], bare: Way, ours: Way, rounds: int) -> float | None:
    """Measure one engine and print; return the ratio of the rates, or ``None`` where the engine is not here."""
    if engine_type.find() is None:
        print(f"{name:17} NOT MEASURED: {engine_type.package} is not on this machine")
        return None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        engine = engine_type(Path(folder))
        engine.prepare()
        engine.start()
        stack.callback(engine.stop)
        asyncio.run(ours(engine.url))  # classes, libraries and the engine are warm then
        table = [(asyncio.run(bare(engine.url)), asyncio.run(ours(engine.url))) for _ in range(rounds)]
    wall = [median(row[side].wall_s for row in table) for side in (0, 1)]
    cpu = [median(row[side].cpu_s for row in table) for side in (0, 1)]
    print(
        f"{name:17} {1 / wall[0]:8.0f} bare {1 / wall[1]:8.0f} bus  ratio {wall[0] / wall[1]:.2f}"
        f"   CPU {cpu[0] * 1e6:4.0f} us bare {cpu[1] * 1e6:4.0f} us bus  ratio {cpu[0] / cpu[1]:.2f}"
    )
    return wall[0] / wall[1]


def main() -> int:
    """Measure, print, and return 1 where a promise is broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--orchestrix", metavar="PYTHON")
    asked = parser.parse_args()
    print(f"messages a second, {AT_ONCE} published at once; at least {PROMISED} of the bare client")
    ratios = {name: measure(name, engine, bare, ours, asked.rounds) for name, engine, bare, ours in ENGINES}
    kept = [ratio is None or ratio >= PROMISED for name, ratio in ratios.items() if name != UNPROMISED]
    mine = median(in_memory() for _ in range(asked.rounds))
    print(f"in memory  {mine:8.0f} to one handler")
    if asked.orchestrix:
        rounds = [theirs(asked.orchestrix) for _ in range(asked.rounds)]
        for way in rounds[0]:
            other = median(each[way] for each in rounds)
            print(f"orchestrix {other:8.0f} to one handler, {way.replace('_', ' ')}; ratio {mine / other:.2f}")
            kept.append(mine > other)
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
