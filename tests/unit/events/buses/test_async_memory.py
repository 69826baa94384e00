"""The bus in memory inside an event loop: at once, in order per key, within limits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import anyio
import pytest

from honeyhive.events import AsyncMessageBus, Command, Event, Message, current_message
from honeyhive.exceptions import BusClosedError, HandlerCancelledError
from honeyhive.resilience import RetryPolicy
from honeyhive.testing import MemoryExporter, TestableTracer

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])]


@dataclass(frozen=True, kw_only=True)
class CreateOrder(Command):
    order_id: str


@dataclass(frozen=True, kw_only=True)
class OrderCreated(Event):
    order_id: str


@pytest.fixture
def bus() -> AsyncMessageBus:
    return AsyncMessageBus()


def failing(error: Exception, times: int = 1_000) -> Callable[[Message], str]:
    """Return a handler that raises *error* so many times, and then returns ``"done"``."""
    left = iter(range(times))

    def handler(message: Message) -> str:
        if next(left, None) is None:
            return "done"
        raise error

    return handler


@pytest.mark.acceptance("O21")
async def test_handlers_run_at_once_and_the_loop_is_not_blocked(bus: AsyncMessageBus) -> None:
    everybody = anyio.Event()
    threads = threading.Barrier(2)
    arrived = []

    async def awaits(event: OrderCreated) -> str:
        arrived.append(event)
        if len(arrived) == 2:
            everybody.set()
        await everybody.wait()
        return "awaited"

    def blocks(event: OrderCreated) -> str:
        threads.wait(5)
        return "blocked"

    for handler in (awaits, blocks, awaits, blocks):
        bus.subscribe(OrderCreated, handler)

    result = await bus.publish(OrderCreated(order_id="1"))

    assert ["awaited", "blocked", "awaited", "blocked"] == [each.value for each in result.outcomes]


async def test_messages_with_the_same_key_are_handled_in_order_and_others_at_once(bus: AsyncMessageBus) -> None:
    class Paid(Event, key="order_id"):
        order_id: str
        number: int

    done: list[tuple[str, int]] = []
    let_first_go = anyio.Event()

    async def handler(event: Paid) -> None:
        if (event.order_id, event.number) == ("a", 0):
            await let_first_go.wait()
        done.append((event.order_id, event.number))
        if event.order_id == "b":
            let_first_go.set()

    bus.subscribe(Paid, handler)

    async with anyio.create_task_group() as tasks:
        for order_id, number in (("a", 0), ("a", 1), ("a", 2), ("b", 0)):
            tasks.start_soon(bus.publish, Paid(order_id=order_id, number=number))
            await anyio.lowlevel.checkpoint()

    assert [("b", 0), ("a", 0), ("a", 1), ("a", 2)] == done


@pytest.mark.parametrize("nested", ["awaited", "on a thread"])
async def test_what_a_handler_publishes_of_the_same_key_does_not_wait_for_itself(nested: str) -> None:
    bus = AsyncMessageBus(concurrency=1)
    heard = []

    async def awaits(command: CreateOrder) -> None:
        await bus.publish(OrderCreated(order_id=command.order_id, subject=command.subject))

    def blocks(command: CreateOrder) -> None:
        bus.publish(OrderCreated(order_id=command.order_id, subject=command.subject))

    def hears(event: OrderCreated) -> None:
        heard.append((event.causation_id, current_message()))

    bus.subscribe(CreateOrder, awaits if nested == "awaited" else blocks)
    bus.subscribe(OrderCreated, hears)
    command = CreateOrder(order_id="1", subject="order 1")

    await bus.publish(command)

    [(cause, handled)] = heard
    assert command.id == cause
    assert OrderCreated is type(handled)


async def test_no_more_handlers_run_at_once_than_may() -> None:
    bus = AsyncMessageBus(concurrency=2)
    running, most = 0, 0

    async def handler(event: OrderCreated) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.lowlevel.checkpoint()
        running -= 1

    bus.subscribe(OrderCreated, handler)

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(bus.publish, OrderCreated(order_id=str(number)))

    assert 2 == most


async def test_the_error_of_the_only_failing_handler_is_raised_untouched(bus: AsyncMessageBus) -> None:
    error, heard = ValueError("no"), []
    bus.subscribe(OrderCreated, failing(error))
    bus.subscribe(OrderCreated, heard.append)

    with pytest.raises(ValueError, match="no") as caught:
        await bus.publish(OrderCreated(order_id="1"))

    assert caught.value is error
    assert 1 == len(heard)


async def test_errors_of_several_handlers_are_raised_together(bus: AsyncMessageBus) -> None:
    for error in (ValueError("no"), KeyError("gone")):
        bus.subscribe(OrderCreated, failing(error))

    with pytest.raises(ExceptionGroup, match="2 of 2 handlers of OrderCreated failed"):
        await bus.publish(OrderCreated(order_id="1"))


async def test_a_failed_handler_is_called_again_and_what_fails_for_good_can_be_replayed() -> None:
    bus = AsyncMessageBus(retry=RetryPolicy(max_attempts=2, delay=0))
    bus.subscribe(OrderCreated, failing(ConnectionError("down"), times=3))
    with pytest.raises(ConnectionError):
        await bus.publish(OrderCreated(order_id="1"))

    [letter] = bus.dead_letters.list()
    result = await bus.replay(letter)

    assert ("ConnectionError: down", 2) == (letter.error, letter.attempts)
    assert ("done", 2) == (result.value, result.outcomes[0].attempts)
    assert () == bus.dead_letters.list()


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_a_handler_that_hangs_is_given_up(bus: AsyncMessageBus, kind: str) -> None:
    released = threading.Event()

    async def hangs(event: OrderCreated) -> None:
        await anyio.sleep_forever()

    def blocks(event: OrderCreated) -> None:
        released.wait(5)

    bus.subscribe(OrderCreated, hangs if kind == "coroutine" else blocks, timeout_s=0.02)

    with pytest.raises(TimeoutError, match=r"took longer than 0\.02 s"):
        await bus.publish(OrderCreated(order_id="1"))
    released.set()

    assert ["TimeoutError"] == [letter.error.partition(":")[0] for letter in bus.dead_letters.list()]


async def test_a_handler_that_ends_by_a_cancellation_of_its_own_has_failed(bus: AsyncMessageBus) -> None:
    import asyncio

    def handler(event: OrderCreated) -> None:
        raise asyncio.CancelledError

    async def awaits(event: OrderCreated) -> None:
        raise asyncio.CancelledError

    bus.subscribe(OrderCreated, awaits)

    with pytest.raises(HandlerCancelledError, match="awaits was cancelled"):
        await bus.publish(OrderCreated(order_id="1"))


async def test_cancelling_the_publisher_cancels_its_handlers(bus: AsyncMessageBus) -> None:
    started, ended = anyio.Event(), []

    async def handler(event: OrderCreated) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    bus.subscribe(OrderCreated, handler)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.publish, OrderCreated(order_id="1"))
        await started.wait()
        tasks.cancel_scope.cancel()

    assert [True] == ended
    assert () == bus.dead_letters.list()


async def test_closing_lets_what_is_under_way_finish_and_takes_nothing_more(bus: AsyncMessageBus) -> None:
    started, go_on, done = anyio.Event(), anyio.Event(), []

    async def handler(event: OrderCreated) -> None:
        started.set()
        await go_on.wait()
        done.append(event)

    bus.subscribe(OrderCreated, handler)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.publish, OrderCreated(order_id="1"))
        await started.wait()
        tasks.start_soon(bus.aclose)
        await anyio.lowlevel.checkpoint()
        go_on.set()

    assert 1 == len(done)
    with pytest.raises(BusClosedError):
        await bus.publish(OrderCreated(order_id="2"))


async def test_spans_of_handlers_that_run_at_once_belong_to_the_publisher(bus: AsyncMessageBus) -> None:
    exporter = MemoryExporter()
    tracer = TestableTracer(span_processor=exporter.processor(), test_mode=True)
    bus.subscribe(OrderCreated, failing(ValueError("no")))
    bus.subscribe(OrderCreated, lambda event: None)

    with tracer.start_span("request"), pytest.raises(ValueError, match="no"):
        await bus.publish(OrderCreated(order_id="1"))

    published = exporter.named("publish OrderCreated")
    handled = [span for span in exporter.spans if span.name == "process OrderCreated"]
    assert [published.span_id] * 2 == [span.parent_id for span in handled]
    assert ["error", "unset"] == sorted(span.status for span in handled)
    assert {"messaging.system": "in_memory", "messaging.operation.type": "send"}.items() <= published.attributes.items()


def test_outside_an_event_loop_the_way_out_is_named(bus: AsyncMessageBus, anyio_backend: str) -> None:
    with pytest.raises(BusClosedError, match="use an InMemoryMessageBus"):
        bus.publish(OrderCreated(order_id="1"))
