"""The bus in memory: who is called, in which order, and what becomes of errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from honeyhive.events import Command, Event, InMemoryMessageBus, Message, MessageBus, Module, Query, decode
from honeyhive.exceptions import BusClosedError
from honeyhive.resilience import RetryPolicy
from honeyhive.testing import ManualClock, MemoryExporter, TestableTracer


@dataclass(frozen=True, kw_only=True)
class CreateOrder(Command):
    order_id: str


@dataclass(frozen=True, kw_only=True)
class OrderCreated(Event):
    order_id: str


class GetOrder(Query):
    order_id: str


@pytest.fixture
def bus() -> InMemoryMessageBus:
    return InMemoryMessageBus()


def failing(error: Exception, times: int = 1_000) -> Callable[[Message], str]:
    """Return a handler that raises *error* so many times, and then returns ``"done"``."""
    left = iter(range(times))

    def handler(message: Message) -> str:
        if next(left, None) is None:
            return "done"
        raise error

    return handler


@pytest.mark.acceptance("O1")
def test_any_class_with_the_two_methods_is_a_bus() -> None:
    class Inherited(MessageBus):
        def subscribe(self, message_type, handler): ...
        def publish(self, message): ...

    class Duck:
        def subscribe(self, message_type, handler): ...
        def publish(self, message): ...

    class NoBus:
        def publish(self, message): ...

    assert [True, True, True, False] == [
        isinstance(each, MessageBus) for each in (Inherited(), Duck(), InMemoryMessageBus(), NoBus())
    ]


@pytest.mark.acceptance("O13")
def test_a_message_goes_to_the_handlers_of_its_class(bus: InMemoryMessageBus) -> None:
    commands, events = [], []
    bus.subscribe(CreateOrder, commands.append)
    bus.subscribe(OrderCreated, events.append)
    command = CreateOrder(order_id="1")

    bus.publish(command)

    assert ([command], []) == (commands, events)


@pytest.mark.acceptance("O15")
def test_all_subscribers_are_told_in_order(bus: InMemoryMessageBus) -> None:
    told = []
    for name in ("email", "inventory", "log"):
        bus.subscribe(OrderCreated, lambda event, name=name: told.append((name, event.order_id)))

    bus.publish(OrderCreated(order_id="1"))

    assert [("email", "1"), ("inventory", "1"), ("log", "1")] == told


@pytest.mark.acceptance("O14")
def test_a_command_is_handled_by_a_function_a_coroutine_or_an_object(bus: InMemoryMessageBus) -> None:
    class Handler:
        def handle(self, command: CreateOrder) -> str:
            return f"object {command.order_id}"

    class AsyncCallable:
        async def __call__(self, command: CreateOrder) -> str:
            return f"awaited {command.order_id}"

    bus.subscribe(CreateOrder, lambda command: f"function {command.order_id}")
    bus.subscribe(CreateOrder, Handler())
    bus.subscribe(CreateOrder, AsyncCallable())

    result = bus.publish(CreateOrder(order_id="1"))

    assert ["function 1", "object 1", "awaited 1"] == [each.value for each in result.outcomes]


def test_base_classes_and_patterns_hear_all_that_fits(bus: InMemoryMessageBus) -> None:
    heard = []
    bus.subscribe(Message, lambda message: heard.append(("all", message.type)))
    bus.subscribe(Event, lambda message: heard.append(("events", message.type)))
    bus.subscribe("Order*", lambda message: heard.append(("pattern", message.type)))
    foreign = decode(b'{"type": "Order.shipped", "id": "1", "source": "/elsewhere"}')

    for message in (CreateOrder(order_id="1"), OrderCreated(order_id="1"), foreign):
        bus.publish(message)

    assert [
        ("all", "CreateOrder"),
        ("all", "OrderCreated"),
        ("events", "OrderCreated"),
        ("pattern", "OrderCreated"),
        ("all", "Order.shipped"),
        ("pattern", "Order.shipped"),
    ] == heard


@pytest.mark.acceptance("O27")
def test_a_query_is_answered(bus: InMemoryMessageBus) -> None:
    bus.subscribe(GetOrder, lambda query: {"order": query.order_id})

    assert {"order": "1"} == bus.publish(GetOrder(order_id="1")).value


def test_a_question_that_nobody_or_two_answer_has_no_one_answer(bus: InMemoryMessageBus) -> None:
    with pytest.raises(LookupError, match="0 handlers received GetOrder"):
        _ = bus.publish(GetOrder(order_id="1")).value


def test_handlers_of_a_group_take_turns(bus: InMemoryMessageBus) -> None:
    one, other, alone = [], [], []
    bus.subscribe(OrderCreated, one.append, group="workers")
    bus.subscribe(OrderCreated, other.append, group="workers")
    bus.subscribe(OrderCreated, alone.append)

    for number in range(4):
        bus.publish(OrderCreated(order_id=str(number)))

    assert (["0", "2"], ["1", "3"]) == ([e.order_id for e in one], [e.order_id for e in other])
    assert 4 == len(alone)


def test_a_cancelled_subscription_hears_nothing_more(bus: InMemoryMessageBus) -> None:
    heard = []
    subscription = bus.subscribe(OrderCreated, heard.append)
    bus.publish(OrderCreated(order_id="1"))

    subscription.cancel()
    bus.publish(OrderCreated(order_id="2"))

    assert ["1"] == [event.order_id for event in heard]


def test_the_error_of_the_only_failing_handler_is_raised_untouched(bus: InMemoryMessageBus) -> None:
    error, heard = ValueError("no"), []
    bus.subscribe(OrderCreated, failing(error))
    bus.subscribe(OrderCreated, heard.append)

    with pytest.raises(ValueError, match="no") as caught:
        bus.publish(OrderCreated(order_id="1"))

    assert caught.value is error
    assert 1 == len(heard), "the others are called all the same"


def test_errors_of_several_handlers_are_raised_together(bus: InMemoryMessageBus) -> None:
    errors = (ValueError("no"), KeyError("gone"))
    for error in errors:
        bus.subscribe(OrderCreated, failing(error))
    bus.subscribe(OrderCreated, lambda event: None)

    with pytest.raises(ExceptionGroup, match="2 of 3 handlers of OrderCreated failed") as caught:
        bus.publish(OrderCreated(order_id="1"))

    assert errors == caught.value.exceptions


def test_a_failed_handler_is_called_again_after_a_pause() -> None:
    clock = ManualClock()
    bus = InMemoryMessageBus(retry=RetryPolicy(max_attempts=3, delay=1, jitter=0), clock=clock)
    bus.subscribe(OrderCreated, failing(ConnectionError("down"), times=2))

    [outcome] = bus.publish(OrderCreated(order_id="1")).outcomes

    assert ("done", 3) == (outcome.value, outcome.attempts)
    assert [1, 2] == clock.slept
    assert () == bus.dead_letters.list()


def test_what_fails_for_good_is_kept_with_the_reason_and_can_be_replayed() -> None:
    bus = InMemoryMessageBus(retry=RetryPolicy(max_attempts=2, delay=0))
    bus.subscribe(OrderCreated, failing(ConnectionError("down"), times=2))
    with pytest.raises(ConnectionError):
        bus.publish(OrderCreated(order_id="1"))

    [letter] = bus.dead_letters.list()
    result = bus.replay(letter)

    assert ("ConnectionError: down", 2, "1") == (letter.error, letter.attempts, letter.message.order_id)
    assert "done" == result.value
    assert () == bus.dead_letters.list()


@pytest.mark.acceptance("O30")
def test_middleware_wraps_handlers_one_by_one_or_all() -> None:
    log = []

    def logged(handler):
        def wrapper(message):
            log.append(f"handling {message.type}")
            result = handler(message)
            log.append(f"handled {message.type}")
            return result

        return wrapper

    bus = InMemoryMessageBus(middleware=[logged])
    bus.subscribe(GetOrder, logged(lambda query: "answer"))

    result = bus.publish(GetOrder(order_id="1"))

    assert "answer" == result.value
    assert ["handling GetOrder"] * 2 + ["handled GetOrder"] * 2 == log


@pytest.mark.acceptance("O28")
def test_a_bus_may_wrap_another() -> None:
    class RateLimitExceeded(Exception):  # noqa: N818 - reads as what happened
        pass

    class RateLimitedBus(MessageBus):
        def __init__(self, inner: MessageBus, allowed: int) -> None:
            self._inner = inner
            self._left = iter(range(allowed))

        def subscribe(self, message_type, handler):
            return self._inner.subscribe(message_type, handler)

        def publish(self, message):
            if next(self._left, None) is None:
                raise RateLimitExceeded
            return self._inner.publish(message)

    heard = []
    bus = RateLimitedBus(InMemoryMessageBus(), allowed=1)
    bus.subscribe(OrderCreated, heard.append)

    bus.publish(OrderCreated(order_id="1"))
    with pytest.raises(RateLimitExceeded):
        bus.publish(OrderCreated(order_id="2"))

    assert ["1"] == [event.order_id for event in heard]


@pytest.mark.acceptance("O11")
def test_a_module_connects_its_handlers(bus: InMemoryMessageBus) -> None:
    sent = []

    class OrderModule(Module):
        def register(self, bus, store) -> None:
            bus.subscribe(CreateOrder, lambda command: self._create(command, bus, store))
            bus.subscribe(OrderCreated, sent.append)

        def _create(self, command, bus, store) -> None:
            store.append(command.order_id)
            bus.publish(OrderCreated(order_id=command.order_id))

    store: list[str] = []
    OrderModule().register(bus, store)
    bus.publish(CreateOrder(order_id="1"))

    assert (["1"], ["1"]) == (store, [event.order_id for event in sent])


@pytest.mark.parametrize(
    "wanted, handler, problem",
    [
        (OrderCreated, 5, "handle"),
        (OrderCreated, ManualClock, "hand over an instance"),
        (int, print, "needs a message class"),
        ("", print, "needs a message class"),
    ],
)
def test_what_cannot_be_subscribed_is_refused(bus: InMemoryMessageBus, wanted, handler, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        bus.subscribe(wanted, handler)


@pytest.mark.anyio
async def test_a_coroutine_handler_inside_an_event_loop_is_refused_with_the_way_out(bus: InMemoryMessageBus) -> None:
    async def handler(message: Message) -> None: ...

    bus.subscribe(OrderCreated, handler)

    with pytest.raises(TypeError, match="publish on an AsyncMessageBus"):
        bus.publish(OrderCreated(order_id="1"))


def test_a_closed_bus_takes_nothing_more(bus: InMemoryMessageBus) -> None:
    bus.close()

    with pytest.raises(BusClosedError):
        bus.publish(OrderCreated(order_id="1"))


def test_cancellation_and_exits_pass_through_at_once(bus: InMemoryMessageBus) -> None:
    heard = []
    bus.subscribe(OrderCreated, lambda event: (_ for _ in ()).throw(KeyboardInterrupt()))
    bus.subscribe(OrderCreated, heard.append)

    with pytest.raises(KeyboardInterrupt):
        bus.publish(OrderCreated(order_id="1"))

    assert [] == heard


def test_threads_may_publish_and_subscribe_at_once(bus: InMemoryMessageBus) -> None:
    heard: list[Message] = []
    bus.subscribe(OrderCreated, heard.append)
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        for _ in range(50):
            bus.subscribe(GetOrder, lambda query: None)
            bus.publish(OrderCreated(order_id="1"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 200 == len(heard)
    assert 200 == len(bus.publish(GetOrder(order_id="1")).outcomes)


def test_spans_show_who_published_and_who_handled_and_who_failed() -> None:
    exporter = MemoryExporter()
    tracer = TestableTracer(span_processor=exporter.processor(), test_mode=True)
    bus = InMemoryMessageBus()
    bus.subscribe(CreateOrder, lambda command: bus.publish(OrderCreated(order_id="1")))
    bus.subscribe(OrderCreated, failing(ValueError("no")))

    with tracer.start_span("request"), pytest.raises(ValueError, match="no"):
        bus.publish(CreateOrder(order_id="1"))

    failed = exporter.named("process OrderCreated")
    assert [("ValueError", "no")] == [(each.type, each.message) for each in failed.exceptions]
    assert [
        "request",
        "  publish CreateOrder",
        "    process CreateOrder",
        "      publish OrderCreated",
        "        process OrderCreated",
    ] == [line.partition(" [")[0] for line in exporter.tree().splitlines()]
