"""Messages: values that never change, with an envelope that fills itself in."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.events import Command, Event, InMemoryMessageBus, Message, Query, current_message
from honeyhive.events.forms import ENVELOPE
from honeyhive.testing import MemoryExporter, SpanCapture, TestableTracer

T = TypeVar("T")


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


class WithTotal(Slotted):
    total: int = 0


class Shown(Event):
    """Has no check of its own, and so is made in one go."""

    number: int
    parts: list[object] = field(default_factory=list)
    note: str | None = None


class Looked(Shown):
    """Says the same, with a check that sees the fields before they are settled."""

    def __post_init__(self) -> None:
        assert self.number is not None


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


def test_the_source_is_that_of_the_class_also_where_it_has_an_init_of_its_own() -> None:
    class Shipped(GetOrder, source="/shipping"):
        def __init__(self, number: int) -> None:
            super().__init__(order_id=str(number))

    assert "/shipping" == Shipped(7).source


def test_what_a_class_takes_can_be_looked_up() -> None:
    class Sent(Event):
        order_id: str
        parts: list[int] = field(default_factory=list)

    takes = inspect.signature(Sent)

    assert ["order_id", "parts"] == [name for name in takes.parameters if name not in ENVELOPE]
    assert "order_id: 'str', parts: 'list[int]' = <factory>) -> None" in str(takes)
    assert f"Sent{takes}" == f"{Sent.__doc__} -> None"


def test_what_a_class_with_an_init_of_its_own_takes_stands_there() -> None:
    class Shipped(GetOrder):
        def __init__(self, number: int) -> None:
            super().__init__(order_id=str(number))

    assert ["number"] == list(inspect.signature(Shipped).parameters)


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


def test_the_envelope_is_what_all_messages_have() -> None:
    assert {each.name for each in dataclasses.fields(Message)} == ENVELOPE


arguments = st.fixed_dictionaries(
    {},
    optional={
        "number": st.integers(),
        "parts": st.lists(st.integers() | st.lists(st.text())) | st.just((1,)) | st.builds(object),
        "note": st.none() | st.text(),
        "id": st.text(max_size=3),
        "time": st.datetimes(timezones=st.none() | st.just(UTC)),
        "source": st.sampled_from(["", "/shop"]),
        "subject": st.none() | st.text(),
        "correlation_id": st.text(max_size=1),
        "causation_id": st.none() | st.text(max_size=1),
        "trace_context": st.just({}) | st.dictionaries(st.just("traceparent"), st.text()),
        "extensions": st.dictionaries(st.text(), st.lists(st.integers())),
        "unheard_of": st.none(),
    },
)


@given(arguments)
def test_a_check_of_the_class_changes_nothing_else(values: dict[str, Any]) -> None:
    def made(kind: type[Message]) -> object:
        try:
            message = kind(**values)
        except (TypeError, ValueError) as error:
            return type(error), str(error).replace(kind.__name__, "It")
        held = {each.name: getattr(message, each.name) for each in dataclasses.fields(message)}
        drawn = {name: held.pop(name) is not None for name in {"id", "time"} - values.keys()}
        if "id" not in values and not values.get("correlation_id"):
            drawn["correlation_id"] = held.pop("correlation_id") == message.id
        return held, drawn

    assert made(Shown) == made(Looked)


@pytest.mark.parametrize(
    "arguments, problem",
    [
        ({}, r"OrderCreated\.__init__\(\) missing .*'order_id'"),
        ({"order_id": "1", "colour": "red"}, r"OrderCreated\.__init__\(\) got an unexpected keyword argument 'colour'"),
        ({"colour": "red"}, r"OrderCreated\.__init__\(\) missing .*'order_id'"),
    ],
)
def test_arguments_that_the_class_does_not_have_are_refused(arguments: dict[str, str], problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        OrderCreated(**arguments)


def test_the_fields_of_a_class_may_be_all_that_those_of_data_classes_may() -> None:
    @dataclass(frozen=True)
    class Placed(Event):
        order_id: str
        lines: list[str] = field(default_factory=list)
        rush: InitVar[bool] = False
        number: int = field(init=False, default=7)
        note: str = field(init=False)

        def __post_init__(self, rush: bool) -> None:
            object.__setattr__(self, "note", "rush" if rush else "")

    placed = Placed("1", ["tea"], rush=True)

    assert {"order_id": "1", "lines": ("tea",), "number": 7, "note": "rush"} == placed.content
    assert "" == Placed("1").note
    with pytest.raises(TypeError, match="'number'"):
        Placed("1", number=8)
    with pytest.raises(TypeError, match="too many positional arguments"):
        Placed("1", [], True, "id")


def test_a_field_may_be_what_a_descriptor_makes_of_it() -> None:
    class Upper:
        def __get__(self, instance: object, owner: type) -> str:
            return "" if instance is None else instance._name

        def __set__(self, instance: object, value: str) -> None:
            object.__setattr__(instance, "_name", value.upper())

    @dataclass(frozen=True, kw_only=True)
    class Named(Event):
        name: str = Upper()

    assert "TEA" == Named(name="tea").name


def test_a_class_may_have_an_init_of_its_own() -> None:
    class Paid(Event):
        cents: int

        def __init__(self, euros: int, **envelope: Any) -> None:
            object.__setattr__(self, "cents", 100 * euros)
            super().__init__(**envelope)

    class PaidLate(Paid):
        days: int

    paid = Paid(3, id="an-id")

    assert ("an-id", "an-id", 300) == (paid.id, paid.correlation_id, paid.cents)
    assert {"cents": 1, "days": 2} == PaidLate(cents=1, days=2).content


@pytest.mark.parametrize("message", [Shown(number=1, id="1"), Looked(note="n", number=1), Checked(amount=1)])
def test_a_message_holds_its_fields_in_their_order(message: Message) -> None:
    assert [each.name for each in dataclasses.fields(message)] == [*vars(message)]


def test_a_generic_class_is_a_message_too() -> None:
    class Changed(Event, Generic[T]):
        value: T

    assert 5 == Changed[int](value=5).value


def test_a_class_with_slots_is_filled_in_like_others() -> None:
    slotted = Slotted(number=7, parts=[1])

    assert slotted.id == slotted.correlation_id
    assert slotted.source.startswith("/")
    assert (8, (1,)) == (dataclasses.replace(slotted, number=8).number, slotted.parts)
    assert not hasattr(slotted, "colour")


def test_threads_may_make_the_first_messages_of_a_class_at_once() -> None:
    begin = threading.Barrier(8)

    class First(Event):
        number: int

    def make(number: int) -> int:
        begin.wait()
        return First(number=number).content["number"]

    with ThreadPoolExecutor(8) as threads:
        assert [*range(8)] == [*threads.map(make, range(8))]


@pytest.mark.parametrize(
    "message",
    [
        GetOrderOf(order_id="1", customer_id="c", extensions={"tenant": "t"}),
        WithTotal(number=1, parts=[], total=3),
        Checked(amount=[1]),
    ],
)
def test_a_message_survives_copies_and_pickles(message: Message) -> None:
    for twin in (copy.copy(message), copy.deepcopy(message), pickle.loads(pickle.dumps(message))):
        assert message == twin
        assert vars(message) == vars(twin)


def test_a_pickle_may_be_the_first_that_a_process_hears_of_a_class(tmp_path) -> None:
    (tmp_path / "shop.py").write_text(
        "from dataclasses import dataclass\n"
        "from honeyhive.events import Event\n"
        "class Opened(Event):\n    where: str\n"
        "@dataclass(frozen=True, kw_only=True, slots=True)\nclass Slotted(Event):\n    number: int\n"
        "class WithTotal(Slotted):\n    total: int\n"
    )
    write = "import pickle, sys, shop; sys.stdout.buffer.write(pickle.dumps(({})))"
    made = "shop.Opened(where='here'), shop.WithTotal(number=1, total=2)"
    read = "import pickle, sys; print(*(each.content for each in pickle.loads(sys.stdin.buffer.read())))"

    def run(program: str, given: bytes = b"") -> bytes:
        return subprocess.run(
            [sys.executable, "-c", program], input=given, cwd=tmp_path, capture_output=True, check=True
        ).stdout

    assert b"{'where': 'here'} {'number': 1, 'total': 2}\n" == run(read, run(write.format(made)))
