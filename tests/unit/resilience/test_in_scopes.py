"""The helpers inside scopes: they log, read and change state there, and end with it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import anyio
import pytest

from honeyhive import State, ctx
from honeyhive.resilience import (
    ResourcePool,
    buffered_stream,
    cache,
    process_concurrently,
    retry,
    stream_concurrently,
    timeout,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def said(caplog) -> Callable[[], list[str]]:
    """What scopes have logged, as level and text."""
    caplog.set_level(logging.INFO, "scope")
    return lambda: [f"{record.levelname} {record.getMessage()}" for record in caplog.records]


@pytest.mark.acceptance("A2")
async def test_a_timeout_inside_a_scope_can_be_logged_there(said):
    async def network_request(seconds: float) -> str:
        await anyio.sleep(seconds)
        return "success"

    async with ctx.scope("app"):
        ctx.log_info("Request successful: %s", await timeout(network_request(0), seconds=30))
        try:
            await timeout(network_request(30), seconds=0.01)
        except TimeoutError:
            ctx.log_error("Network request timed out")

    assert said() == ["INFO Request successful: success", "ERROR Network request timed out"]


@pytest.mark.acceptance("A6")
async def test_every_attempt_is_logged_in_its_scope(said, pause):
    failures = [OSError("refused"), OSError("reset")]

    async def attempt() -> str:
        ctx.log_info("Attempting API call")
        if failures:
            error = failures.pop(0)
            ctx.log_warning("API call failed: %s", error)
            raise error
        ctx.log_info("API call successful")
        return "data"

    async with ctx.scope("api-client"):
        await retry(attempt, max_attempts=3, delay=2.0, backoff_factor=2.0, exceptions=(OSError,), pause=pause)

    assert said() == [
        "INFO Attempting API call",
        "WARNING API call failed: refused",
        "INFO Attempting API call",
        "WARNING API call failed: reset",
        "INFO Attempting API call",
        "INFO API call successful",
    ]


class CacheConfig(State):
    default_ttl: int = 300


@pytest.mark.acceptance("A11")
async def test_the_time_to_live_of_each_result_comes_from_the_state_of_its_call(clock):
    calls = []

    @cache(ttl=lambda: ctx.state(CacheConfig).default_ttl, clock=clock)
    async def fetch_user(user_id: str) -> str:
        calls.append(user_id)
        return f"User {user_id}"

    async with ctx.scope("app", CacheConfig(default_ttl=600)):
        await fetch_user("long")
        async with ctx.scope("inner", CacheConfig(default_ttl=10)):
            await fetch_user("short")
            clock.advance(20)
            await fetch_user("long")
            await fetch_user("short")

    assert calls == ["long", "short", "short"]


@pytest.mark.acceptance("A13")
async def test_async_generators_are_consumed_inside_a_scope(said):
    async def data_stream() -> AsyncIterator[str]:
        ctx.log_info("in %s", ctx.current().name)
        for number in range(3):
            await anyio.lowlevel.checkpoint()
            yield f"data-{number}"

    async with ctx.scope("stream-processing"):
        items = [item async for item in data_stream()]
        batches = [batch async for batch in buffered_stream(data_stream(), buffer_size=2)]

    assert items == ["data-0", "data-1", "data-2"]
    assert batches == [["data-0", "data-1"], ["data-2"]]
    assert said() == ["INFO in stream-processing"] * 2


class Limits(State):
    factor: int


async def test_items_see_the_state_of_the_scope_they_are_worked_on_in():
    async def scale(number: int) -> int:
        await anyio.lowlevel.checkpoint()
        return number * ctx.state(Limits).factor

    async with ctx.scope("batch", Limits(factor=3)):
        assert await process_concurrently(scale, range(4), max_concurrency=2) == [0, 3, 6, 9]
        async with stream_concurrently(scale, range(4), max_concurrency=2) as results:
            assert [result async for result in results] == [0, 3, 6, 9]


class Connection:
    def __init__(self, number: int) -> None:
        self.id = f"conn-{number}"
        self.closed = False

    async def query(self, sql: str) -> str:
        await anyio.lowlevel.checkpoint()
        return f"{sql} from {self.id}"

    async def aclose(self) -> None:
        self.closed = True


class Database(State):
    """What a scope provides: the pool."""

    pool: ResourcePool[Connection]

    @classmethod
    def acquire(cls):
        return ctx.state(cls).pool.acquire()


@pytest.mark.acceptance("A15")
@pytest.mark.acceptance("A16")
async def test_a_pool_is_a_state_that_opens_and_closes_with_its_scope(said):
    made: list[Connection] = []

    def connect() -> Connection:
        made.append(Connection(len(made)))
        return made[-1]

    @asynccontextmanager
    async def database() -> AsyncIterator[Database]:
        async with ResourcePool(connect, max_size=5) as pool:
            yield Database(pool=pool)

    async def worker(number: int) -> str:
        async with Database.acquire() as connection:
            return await connection.query(f"worker {number}")

    async with ctx.scope("app", disposables=(database(),)):
        results = await process_concurrently(worker, range(10), max_concurrency=10)
        assert not any(connection.closed for connection in made)

    assert [result.split(" from ")[0] for result in results] == [f"worker {number}" for number in range(10)]
    assert len(made) <= 5
    assert all(connection.closed for connection in made)


Handler = Callable[[dict[str, str]], Awaitable[None]]


class EventBus(State):
    """As an application writes it: the dictionary is asked for by name, so it may change."""

    subscribers: dict[str, list[Handler]] = {}

    @classmethod
    def subscribe(cls, event_type: str, handler: Handler) -> None:
        ctx.state(cls).subscribers.setdefault(event_type, []).append(handler)

    @classmethod
    async def publish(cls, event_type: str, data: dict[str, str]) -> None:
        for handler in ctx.state(cls).subscribers.get(event_type, []):
            await handler(data)


@pytest.mark.acceptance("A17")
async def test_a_scope_can_hold_an_event_bus(said):
    async def welcome(user: dict[str, str]) -> None:
        ctx.log_info("Sending welcome email to %s", user["email"])

    async def analytics(user: dict[str, str]) -> None:
        ctx.log_info("Recording user analytics for %s", user["id"])

    async with ctx.scope("app", EventBus()):
        EventBus.subscribe("user_created", welcome)
        EventBus.subscribe("user_created", analytics)
        await EventBus.publish("user_created", {"id": "123", "email": "alice@example.com"})
        await EventBus.publish("user_deleted", {"id": "123"})
    async with ctx.scope("another app", EventBus()):
        await EventBus.publish("user_created", {"id": "124", "email": "bob@example.com"})

    assert said() == ["INFO Sending welcome email to alice@example.com", "INFO Recording user analytics for 123"]


class Mode(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker(State):
    """A breaker whose state is a state of the scope, as an application may write one."""

    failure_threshold: int = 3
    timeout: int = 60
    failure_count: int = 0
    last_failure: datetime | None = None
    mode: Mode = Mode.CLOSED

    @classmethod
    async def call(cls, operation: Callable[[], Awaitable[Any]], now: datetime) -> Any:
        breaker = ctx.state(cls)
        if breaker.mode is Mode.OPEN and now - breaker.last_failure > timedelta(seconds=breaker.timeout):
            breaker = breaker.updated(mode=Mode.HALF_OPEN)
            ctx.update_state(breaker)
        if breaker.mode is Mode.OPEN:
            raise RuntimeError("Circuit breaker is open")
        try:
            result = await operation()
        except Exception as error:
            failures = breaker.failure_count + 1
            mode = Mode.OPEN if failures >= breaker.failure_threshold else breaker.mode
            ctx.update_state(breaker.updated(failure_count=failures, last_failure=now, mode=mode))
            ctx.log_error("Circuit breaker failure %d: %s", failures, error)
            raise
        ctx.update_state(breaker.updated(failure_count=0, mode=Mode.CLOSED))
        return result


@pytest.mark.acceptance("A21")
async def test_a_breaker_can_keep_its_state_in_a_scope_and_log_its_failures(said):
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)

    async def fail() -> None:
        raise OSError("Service unavailable")

    async def work() -> str:
        return "success"

    async with ctx.scope("app", Breaker()):
        for _ in range(3):
            with pytest.raises(OSError, match="unavailable"):
                await Breaker.call(fail, noon)
        with pytest.raises(RuntimeError, match="is open"):
            await Breaker.call(work, noon)
        assert await Breaker.call(work, noon + timedelta(seconds=61)) == "success"
        assert ctx.state(Breaker).mode is Mode.CLOSED

    assert said() == [f"ERROR Circuit breaker failure {number}: Service unavailable" for number in (1, 2, 3)]


@pytest.mark.acceptance("A23")
async def test_batches_are_worked_off_with_a_bound_and_progress(said):
    under_way = peak = 0

    async def process_item(item: str) -> str:
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        await anyio.lowlevel.checkpoint()
        under_way -= 1
        return f"processed-{item}"

    items = [str(number) for number in range(12)]
    results = []
    async with ctx.scope("batch-processing"):
        async for batch in buffered_stream(items, buffer_size=5):
            results += await process_concurrently(process_item, batch, max_concurrency=3)
            ctx.log_info("%d of %d items done", len(results), len(items))

    assert results == [f"processed-{item}" for item in items]
    assert peak <= 3
    assert said() == [f"INFO {done} of 12 items done" for done in (5, 10, 12)]


@pytest.mark.acceptance("A24")
async def test_a_large_source_is_streamed_in_bounded_memory(said):
    class Row:
        alive = peak = 0

        def __init__(self) -> None:
            Row.alive += 1
            Row.peak = max(Row.peak, Row.alive)

        def __del__(self) -> None:
            Row.alive -= 1

    async def source() -> AsyncIterator[Row]:
        for _ in range(5_250):
            yield Row()

    async def store(batch: list[Row]) -> int:
        await anyio.lowlevel.checkpoint()
        return len(batch)

    done = 0
    async with (
        ctx.scope("streaming"),
        stream_concurrently(store, buffered_stream(source(), buffer_size=100), max_concurrency=2) as counts,
    ):
        async for count in counts:
            done += count
            if done % 1_000 == 0:
                ctx.log_info("Processed %d items", done)
        ctx.log_info("Total processed: %d items", done)

    assert Row.peak <= 5 * 100
    assert said() == [
        *(f"INFO Processed {thousands}000 items" for thousands in range(1, 6)),
        "INFO Total processed: 5250 items",
    ]
