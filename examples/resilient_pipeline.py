"""A pipeline that keeps going: lines of a long source are labelled by a model service that is sometimes down.

    python examples/resilient_pipeline.py        labels 2,000 lines, through an outage
    pytest examples/resilient_pipeline.py        what happens when things go wrong, as tests

- *Limits*: every call has a timeout and few retries, five connections are shared, eight lines are under way at once.
- *Back-pressure*: lines are read as they are worked off, in batches, whatever the length of the source.
- *Degradation*: when the service fails, a rule labels the line; after a few failures the service is left alone.
- *Measures*: each batch is a span with its counts; retries, waits, hits and refusals are on it too.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

from honeyhive import HoneyHiveTracer, State, ctx, trace
from honeyhive.exceptions import CircuitOpenError
from honeyhive.resilience import (
    CircuitBreaker,
    ResourcePool,
    buffered_stream,
    cache,
    process_concurrently,
    retry,
    stream_concurrently,
    timeout,
)

BATCH = 50


class Service:
    """Somebody else's model. It is down, or hangs, for some of its calls."""

    def __init__(self, down: range = range(0), hangs: range = range(0)) -> None:
        self.down = down
        self.hangs = hangs
        self.calls = 0
        self.connections = 0

    async def connect(self) -> "Connection":
        self.connections += 1
        return Connection(self)


class Connection:
    """One way to the service; few of them are shared."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def classify(self, line: str) -> str:
        self.service.calls += 1
        if self.service.calls in self.service.hangs:
            await asyncio.sleep(30)
        await asyncio.sleep(0.001)
        if self.service.calls in self.service.down:
            raise ConnectionError("the model is down")
        return "question" if "?" in line else "statement"

    async def aclose(self) -> None:
        self.service.connections -= 1


class Model(State):
    """How the service is reached; what is known about its health."""

    pool: ResourcePool[Connection]
    breaker: CircuitBreaker


@asynccontextmanager
async def model_of(service: Service, patience: float) -> AsyncGenerator[Model, None]:
    breaker = CircuitBreaker(failure_threshold=5, timeout=patience, name="model")
    async with ResourcePool(service.connect, max_size=5, acquire_timeout=2) as pool:
        yield Model(pool=pool, breaker=breaker)


@retry(max_attempts=2, delay=0.002, exceptions=(ConnectionError,))
@timeout(seconds=0.2)
async def ask(line: str) -> str:
    model = ctx.state(Model)
    async with model.breaker, model.pool.acquire() as connection:
        return await connection.classify(line)


def by_rule(line: str) -> str:
    return "question" if line.startswith(("who", "what", "why")) else "statement"


async def label(line: str) -> tuple[str, str]:
    """Return the label of a line, and who gave it: a worse label is better than none."""
    try:
        return await asked(line), "model"
    except (ConnectionError, TimeoutError, CircuitOpenError):
        return by_rule(line), "rule"


asked = cache(ask, ttl=300, max_size=1_000)


@trace(event_name="label a batch")
async def work_off(batch: list[str]) -> Counter[str]:
    labels = await process_concurrently(label, batch, max_concurrency=8)
    givers = Counter(giver for _, giver in labels)
    ctx.metric("lines", len(batch))
    ctx.metric("by_rule", givers["rule"])
    return givers


async def run(lines: Iterator[str], service: Service, patience: float = 0.05) -> Counter[str]:
    """Label all *lines*; return how many were labelled by whom."""
    givers: Counter[str] = Counter()
    asked.cache_clear()
    async with ctx.scope("pipeline", disposables=(model_of(service, patience),)):
        batches = buffered_stream(lines, buffer_size=BATCH)
        async with stream_concurrently(work_off, batches, max_concurrency=2) as results:
            async for result in results:
                givers += result
                if givers.total() % 500 == 0:
                    ctx.log_info("%d lines done, %d of them by rule", givers.total(), givers["rule"])
    return givers


def source(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"why is {number} so?" if number % 3 else f"{number} it is"


# -- what happens when things go wrong -------------------------------------------------------------------


def test_all_lines_are_labelled_by_the_model_when_all_is_well() -> None:
    assert asyncio.run(run(source(120), Service())) == {"model": 120}


def test_an_outage_costs_quality_and_no_line() -> None:
    service = Service(down=range(20, 60))

    givers = asyncio.run(run(source(400), service))

    assert givers.total() == 400
    assert givers["rule"] > 0
    assert givers["model"] > 0
    assert service.connections == 0


def test_a_service_that_is_down_is_left_alone() -> None:
    service = Service(down=range(1_000_000))

    givers = asyncio.run(run(source(400), service, patience=60))

    assert givers == {"rule": 400}
    assert service.calls < 40


def test_a_call_that_hangs_is_cut_off() -> None:
    service = Service(hangs=range(3, 4))

    assert asyncio.run(run(source(60), service)) == {"model": 59, "rule": 1}


def test_a_long_source_is_not_read_ahead() -> None:
    read = []

    def endless() -> Iterator[str]:
        for line in source(1_000_000):
            read.append(line)
            yield line

    async def first_batch() -> None:
        async with ctx.scope("pipeline", disposables=(model_of(Service(), 1),)):
            batches = buffered_stream(endless(), buffer_size=BATCH)
            async with stream_concurrently(work_off, batches, max_concurrency=2) as results:
                await anext(results)

    asyncio.run(first_batch())

    assert len(read) <= 5 * BATCH


if __name__ == "__main__":
    HoneyHiveTracer.init(project="resilient-pipeline")
    givers = asyncio.run(run(source(2_000), Service(down=range(300, 400), hangs=range(800, 802))))
    print(f"{givers.total()} lines labelled, {'some' if givers['rule'] else 'none'} of them by rule")
