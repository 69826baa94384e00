"""Messages: values that never change, with an envelope that fills itself in."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from honeyhive.events import Command, Event, InMemoryMessageBus, Message, Query, current_message
from honeyhive.testing import MemoryExporter, SpanCapture, TestableTracer


@dataclass(frozen=True, kw_only=True)
class CreateOrder(Command):
    order_id: str
    customer_id: str
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class OrderCreated(Event):
    order_id: str


class GetOrder(Query):
    order_id: str


class GetOrderOf(GetOrder, key="customer_id"):
    customer_id: str = "anybody"


class Checked(Command):
    amount: object

    def __post_init__(self) -> None:
        if self.amount == 0:
            raise ValueError("nothing to do")


@dataclass(frozen=True, kw_only=True, slots=True)
class Slotted(Event, type="shop.slotted", key="number"):
    number: int
    parts: list[int]


@pytest.mark.acceptance("O2")
@pytest.mark.parametrize("kind", [Command, Event, Query, Message])
def test_a_message_is_a_frozen_keyword_only_data_class(kind: type[Message]) -> None:
    class Plain(kind):  # type: ignore[misc, valid-type]
        order_id: str

    @dataclass(frozen=True, kw_only=True)
    class Decorated(kind):  # type: ignore[misc, valid-type]
        order_id: str

    for message_type in (Plain, Decorated):
        assert "42" == message_type(order_id="42").order_id
        with pytest.raises(TypeError, match="positional"):
            message_type("42")
        with pytest.raises(dataclasses.FrozenInstanceError):
            message_type(order_id="42").order_id = "43"


@pytest.mark.acceptance("O24")
def test_data_classes_give_messages_their_methods() -> None:
    message = CreateOrder(order_id="1", customer_id="c", id="an-id")

    assert "CreateOrder(id='an-id', order_id='1', customer_id='c', lines=())" == repr(message)
    assert CreateOrder(order_id="1", customer_id="c", id="an-id") == message
    assert CreateOrder(order_id="2", customer_id="c", id="an-id") != message
    assert "2" == dataclasses.replace(message, order_id="2").order_id


@pytest.mark.acceptance("O3")
def test_messages_are_hashable_and_refuse_changes() -> None:
    lines = ["tea"]
    message = CreateOrder(order_id="1", customer_id="c", lines=lines)
    lines.append("milk")

    assert {message: 1} == {copy.deepcopy(message): 1}
    assert ("tea",) == message.lines
    with pytest.raises(dataclasses.FrozenInstanceError):
        message.source = "elsewhere"


def test_two_messages_that_say_the_same_are_still_two() -> None:
    assert OrderCreated(order_id="1") != OrderCreated(order_id="1")
    assert OrderCreated(order_id="1").content == OrderCreated(order_id="1").content


def test_what_could_still_change_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"^CreateOrder\.lines\[1\] is of class object, which can change"):
        CreateOrder(order_id="1", customer_id="c", lines=["tea", object()])


def test_a_check_of_the_class_itself_still_runs_and_its_fields_are_frozen() -> None:
    with pytest.raises(ValueError, match="nothing to do"):
        Checked(amount=0)

    assert (1, 2) == Checked(amount=[1, 2]).amount


def test_a_class_without_the_decorator_may_be_inherited_from() -> None:
    message = GetOrderOf(order_id="1", customer_id="c")

    assert {"order_id": "1", "customer_id": "c"} == message.content
    assert "c" == message.key


def test_a_class_with_slots_is_a_message_too() -> None:
    message = Slotted(number=7, parts=[1])

    assert ("shop.slotted", "7", (1,)) == (message.type, message.key, message.parts)
    assert message == pickle.loads(pickle.dumps(message))


def test_the_envelope_fills_itself_in() -> None:
    before = datetime.now(UTC)
    message = OrderCreated(order_id="1")

    assert "OrderCreated" == message.type
    assert message.source.startswith("/")
    assert before <= message.time <= datetime.now(UTC)
    assert message.id == message.correlation_id
    assert (None, None, {}) == (message.causation_id, message.subject, message.trace_context)
    assert OrderCreated(order_id="1").id != message.id


def test_a_class_says_its_name_key_and_source() -> None:
    class Paid(Event, type="shop.order.paid", key="order_id", source="/shop"):
        order_id: str

    message = Paid(order_id="7", subject="order 7")

    assert ("shop.order.paid", "/shop", "7") == (message.type, message.source, message.key)


def test_the_subject_is_the_key_unless_the_class_says_otherwise() -> None:
    assert "order 7" == OrderCreated(order_id="7", subject="order 7").key


def test_a_class_may_leave_no_spans_and_its_subclasses_neither(capture_spans: SpanCapture) -> None:
    class Beat(Event, traced=False):
        pass

    class Heartbeat(Beat):
        pass

    class Attack(Beat, traced=True):
        pass

    bus = InMemoryMessageBus()
    bus.subscribe(Beat, lambda _: None)

    for message in (Beat(), Heartbeat(), Attack()):
        bus.publish(message)

    assert {"publish Attack", "process Attack"} == {span.name for span in capture_spans.spans}


def test_a_field_must_not_hide_the_envelope() -> None:
    with pytest.raises(TypeError, match=r"UserCreated\.id would hide .* call the field user_created_id"):

        class UserCreated(Event):
            id: int  # type: ignore[assignment]


@pytest.mark.parametrize(
    "envelope, problem",
    [({"id": ""}, "needs an id"), ({"time": datetime(2026, 1, 1)}, "no time zone")],  # noqa: DTZ001
)
def test_an_envelope_that_is_not_valid_is_refused(envelope: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        OrderCreated(order_id="1", **envelope)


def test_a_message_follows_from_the_one_that_is_being_handled() -> None:
    made = []
    bus = InMemoryMessageBus()
    bus.subscribe(CreateOrder, lambda command: bus.publish(OrderCreated(order_id=command.order_id)))
    bus.subscribe(OrderCreated, lambda event: made.append((event, current_message())))
    command = CreateOrder(order_id="1", customer_id="c")

    bus.publish(command)

    [(event, handled)] = made
    assert (command.id, command.correlation_id) == (event.causation_id, event.correlation_id)
    assert event is handled
    assert current_message() is None


def test_a_message_knows_the_trace_and_the_session_it_was_made_in() -> None:
    exporter = MemoryExporter()
    tracer = TestableTracer(span_processor=exporter.processor(), test_mode=True)

    with tracer.with_session("chat") as session, tracer.start_span("work"):
        message = OrderCreated(order_id="1")

    work = exporter.named("work")
    assert message.trace_context["traceparent"].startswith(f"00-{work.trace_id:032x}-{work.span_id:016x}-")
    assert f"session_id={session}" in message.trace_context["baggage"]


def test_each_use_of_a_class_that_python_refuses_says_why():
    class Late(Event):
        tags: list[str] = []

    for _ in range(2):
        with pytest.raises(ValueError, match=r"mutable default .* for field tags"):
            Late()
