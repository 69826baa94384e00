"""Messages that leave with a transaction, and executions that have one effect however often they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from honeyhive.events import AsyncMessageBus, Event
from honeyhive.runtime import (
    Execution,
    HttpExecution,
    MemoryTickLedger,
    MessageExecution,
    Once,
    OutboxPublishing,
    Service,
    SqlSession,
    Tracing,
    get,
    use_publisher,
    use_session,
)
from honeyhive.testing import SpanCapture

pytestmark = pytest.mark.anyio


class Placed(Event):
    order: str


class Orders:
    fails = False

    @get("/")
    async def place(self) -> None:
        await use_session().execute(text("INSERT INTO orders VALUES ('tea')"))
        await use_publisher().publish(Placed(order="tea"))
        if self.fails:
            raise ValueError("theirs")


class FailingOrders(Orders):
    fails = True


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}")
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE orders (name TEXT)"))
    yield engine
    await engine.dispose()


class Heard:
    """Hears what is published on a bus."""

    def __init__(self, bus: AsyncMessageBus) -> None:
        self.messages: list[Placed] = []
        self._grown = anyio.Event()
        bus.subscribe(Placed, self.hear)

    async def hear(self, message: Placed) -> None:
        self.messages.append(message)
        self._grown.set()
        self._grown = anyio.Event()

    async def until(self, count: int) -> None:
        """Wait until so many messages have come."""
        while len(self.messages) < count:
            await self._grown.wait()


Run = Callable[[Execution], Awaitable[Any]]


@asynccontextmanager
async def running(controller: type, *interceptors: Any) -> AsyncIterator[Run]:
    """Yield what runs the first handler of *controller*."""
    assembly = Service("shop", controllers=[controller], interceptors=interceptors).build({})
    async with assembly.opened() as process:

        def run(execution: Execution) -> Awaitable[Any]:
            return process.run(execution, partial(process.handle, execution, assembly.handlers[0]))

        yield run


REQUEST = HttpExecution(name="GET /", method="GET", path="/")


async def stored(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return (await connection.execute(text("SELECT count(*) FROM orders"))).scalar_one()


async def test_a_message_leaves_when_its_transaction_is_committed(engine: AsyncEngine) -> None:
    bus = AsyncMessageBus()
    heard = Heard(bus)

    async with running(Orders, SqlSession(engine), OutboxPublishing(bus, engine, poll_s=0.01)) as run:
        await run(REQUEST)
        await heard.until(1)

    assert ["tea"] == [message.order for message in heard.messages]
    assert await stored(engine) == 1


async def test_neither_row_nor_message_is_left_of_work_that_failed(engine: AsyncEngine) -> None:
    bus = AsyncMessageBus()
    heard = Heard(bus)
    interceptors = [SqlSession(engine), OutboxPublishing(bus, engine, poll_s=0.01)]

    async with running(FailingOrders, *interceptors) as run:
        with pytest.raises(ValueError, match="theirs"):
            await run(REQUEST)
    async with running(Orders, *interceptors) as run:
        await run(REQUEST)
        await heard.until(1)

    assert len(heard.messages) == 1
    assert await stored(engine) == 1


async def test_what_was_committed_before_a_crash_leaves_after_it(engine: AsyncEngine) -> None:
    """The first process has a bus that nobody reads, and dies with it."""
    async with running(Orders, SqlSession(engine), OutboxPublishing(Silent(), engine, poll_s=60)) as run:
        await run(REQUEST)

    bus = AsyncMessageBus()
    heard = Heard(bus)
    async with running(Orders, SqlSession(engine), OutboxPublishing(bus, engine, poll_s=0.01)):
        await heard.until(1)

    assert ["tea"] == [message.order for message in heard.messages]


class Silent:
    """A bus whose broker is away."""

    def subscribe(self, message_type: Any, handler: Any) -> None: ...

    async def publish(self, message: Any) -> None:
        raise ConnectionError("no broker")


async def test_of_several_processes_one_publishes(engine: AsyncEngine) -> None:
    bus, ledger = AsyncMessageBus(), MemoryTickLedger()
    heard = Heard(bus)
    sessions = SqlSession(engine)

    async with (
        running(Orders, sessions, OutboxPublishing(bus, engine, ledger, poll_s=0.01)) as one,
        running(Orders, sessions, OutboxPublishing(bus, engine, ledger, poll_s=0.01)) as other,
    ):
        await one(REQUEST)
        await other(REQUEST)
        await heard.until(2)

    assert len(heard.messages) == len({message.id for message in heard.messages}) == 2


class Counts:
    @get("/")
    async def count(self) -> str:
        await use_session().execute(text("INSERT INTO orders VALUES ('counted')"))
        return "handled"


def delivery(identity: str) -> MessageExecution:
    return MessageExecution(
        name="process Placed", id=identity, handler="Counts.count", message_type="Placed", message_id=identity
    )


async def test_a_message_that_comes_again_has_no_second_effect(engine: AsyncEngine, capture_spans: SpanCapture) -> None:
    async with running(Counts, Tracing(), SqlSession(engine), Once(engine)) as run:
        answers = [await run(delivery(identity)) for identity in ("one", "one", "other")]

    assert ["handled", None, "handled"] == answers
    assert await stored(engine) == 2
    assert [[], ["done before"], []] == [[name for name, _ in span.events] for span in capture_spans]
    assert [None, None, None] == [span.error for span in capture_spans]


async def test_what_failed_may_come_again(engine: AsyncEngine) -> None:
    class FailsOnce(Counts):
        tries = 0

        @get("/")
        async def count(self) -> str:
            FailsOnce.tries += 1
            if FailsOnce.tries == 1:
                raise ValueError("theirs")
            return await super().count()

    async with running(FailsOnce, SqlSession(engine), Once(engine)) as run:
        with pytest.raises(ValueError, match="theirs"):
            await run(delivery("one"))
        assert await run(delivery("one")) == "handled"


async def test_requests_are_never_taken_for_repeated(engine: AsyncEngine) -> None:
    async with running(Counts, SqlSession(engine), Once(engine)) as run:
        assert ["handled", "handled"] == [await run(REQUEST), await run(REQUEST)]
