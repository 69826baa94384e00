"""``@trace`` and its kin: what is recorded, and that nothing else changes."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from honeyhive import atrace, enrich_span, trace, trace_class
from honeyhive.models import EventType
from honeyhive.tracer import HoneyHiveTracer

Exported = Callable[[], list[ReadableSpan]]


@trace
def doubled(value: int) -> int:
    return value * 2


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.mark.acceptance("S7")
@pytest.mark.acceptance("C4")
def test_a_plain_function_is_recorded_with_arguments_and_result(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace(event_type=EventType.model)
    def ask(question: str, *, retries: int = 2) -> dict[str, str]:
        return {"answer": question.upper()}

    assert {"answer": "HI"} == ask("hi")

    found = attributes(exported()[0])
    assert "model" == found["honeyhive_event_type"]
    assert ("hi", 2) == (found["honeyhive_inputs.question"], found["honeyhive_inputs.retries"])
    assert '{"answer":"HI"}' == found["honeyhive_outputs.result"]
    assert found["honeyhive.session_id"] == tracer.session_id


@pytest.mark.acceptance("S7")
@pytest.mark.acceptance("C4")
def test_a_coroutine_function_is_recorded_until_it_returns(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace(event_type=EventType.model)
    async def ask(question: str) -> str:
        await asyncio.sleep(0)
        return otel_trace.format_span_id(otel_trace.get_current_span().get_span_context().span_id)

    seen = asyncio.run(ask("hi"))

    span = exported()[0]
    assert span.context is not None
    assert seen == otel_trace.format_span_id(span.context.span_id)
    assert seen == attributes(span)["honeyhive_outputs.result"]


@pytest.mark.acceptance("S9")
def test_an_exception_passes_untouched_and_is_recorded_once(tracer: HoneyHiveTracer, exported: Exported) -> None:
    error = ValueError("theirs")

    @trace
    def fails() -> None:
        raise error

    with pytest.raises(ValueError, match="theirs") as caught:
        fails()

    span = exported()[0]
    assert error is caught.value
    assert not hasattr(error, "__notes__")
    assert StatusCode.ERROR is span.status.status_code
    assert ["exception"] == [event.name for event in span.events]
    assert ("theirs", "ValueError") == (
        attributes(span)["honeyhive_error"],
        attributes(span)["honeyhive_error_type"],
    )
    assert 1 == len(exported())


async def fails_when_awaited(*_: object) -> None:
    raise ValueError("theirs")


def fails_at_once(*_: object) -> None:
    raise ValueError("theirs")


def fails_amid(*_: object) -> Generator[int, None, None]:
    yield 1
    raise ValueError("theirs")


@pytest.mark.parametrize(
    "fail",
    [
        trace(fails_at_once),
        lambda: trace(fails_at_once)(1, 2),
        lambda: list(trace(fails_amid)()),
        lambda: trace(fails_when_awaited)().send(None),
    ],
    ids=["function", "arguments", "generator", "coroutine"],
)
def test_after_an_error_its_span_is_current_no_more(
    tracer: HoneyHiveTracer, exported: Exported, fail: Callable[[], object]
) -> None:
    with tracer.start_span("around") as around:
        with pytest.raises(ValueError, match="theirs"):
            fail()

        assert otel_trace.get_current_span() is around
        trace(event_name="next")(lambda: None)()

    assert not otel_trace.get_current_span().is_recording()
    (following,) = [span for span in exported() if span.name == "next"]
    assert following.parent is not None
    assert around.get_span_context().span_id == following.parent.span_id


@pytest.mark.parametrize("error", [KeyboardInterrupt("k"), SystemExit(3), type("Own", (BaseException,), {})("o")])
def test_what_is_no_exception_passes_too_and_the_span_ends(
    tracer: HoneyHiveTracer, exported: Exported, error: BaseException
) -> None:
    @trace
    def leaves() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        leaves()

    assert error is caught.value
    assert StatusCode.ERROR is exported()[0].status.status_code


@pytest.mark.acceptance("S9")
def test_calls_inside_calls_are_children(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace(event_name="outer")
    def outer() -> int:
        return doubled(4)

    assert 8 == outer()

    parent, child = exported()
    assert child.parent is not None
    assert parent.context is not None
    assert child.parent.span_id == parent.context.span_id


@pytest.mark.acceptance("S9")
@pytest.mark.parametrize("name", ["__name__", "__qualname__", "__doc__", "__module__", "__annotations__"])
def test_introspection_finds_the_same_as_before(name: str) -> None:
    def plain(a: int, b: str = "x", *, c: float = 1.0) -> bool:
        """Document it."""
        return True

    async def coroutine(a: int) -> None: ...

    def generator(a: int) -> Iterator[int]:
        yield a

    async def async_generator(a: int) -> AsyncIterator[int]:
        yield a

    for function in (plain, coroutine, generator, async_generator):
        traced = trace(function)

        assert getattr(function, name) == getattr(traced, name)
        assert inspect.signature(function) == inspect.signature(traced)
        assert traced.__wrapped__ is function  # type: ignore[attr-defined]
        for ask in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
            assert ask(function) == ask(traced)


def test_a_traced_function_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(doubled)) is doubled


def test_partials_callable_objects_and_builtins_can_be_traced(tracer: HoneyHiveTracer, exported: Exported) -> None:
    class Adder:
        def __call__(self, value: int) -> int:
            return value + 1

    assert 3 == trace(functools.partial(lambda a, b: a + b, 1))(2)
    assert 5 == trace(Adder())(4)
    assert 2 == trace(len)([1, 2])

    assert 3 == len(exported())


def test_decorators_in_the_other_order_work_as_well(tracer: HoneyHiveTracer, exported: Exported) -> None:
    class Shop:
        price = 3

        @trace
        @staticmethod
        def static(value: int) -> int:
            return value

        @trace
        @classmethod
        def of_class(cls) -> type:
            return cls

        @trace
        @property
        def cost(self) -> int:
            return self.price

    shop = Shop()
    assert (1, Shop, 3) == (shop.static(1), Shop.of_class(), shop.cost)
    assert 3 == len(exported())


def test_a_class_is_refused_with_the_name_of_the_right_decorator() -> None:
    with pytest.raises(TypeError, match="@trace_class"):
        trace(int)  # type: ignore[type-var]


def test_atrace_makes_a_coroutine_function_of_a_plain_one(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @atrace
    def plain(value: int) -> int:
        return value

    async def main() -> int:
        return await plain(7)

    assert 7 == asyncio.run(main())
    assert 1 == len(exported())


def test_declared_namespaces_stand_instead_of_what_would_be_captured(
    tracer: HoneyHiveTracer, exported: Exported
) -> None:
    @trace(inputs={"hidden": True}, outputs={"kept": 1}, config={"model": "m"}, tags="blue")
    def work(secret: str) -> str:
        return secret

    work("no")

    found = attributes(exported()[0])
    assert (True, 1, "m", "blue") == (
        found["honeyhive_inputs.hidden"],
        found["honeyhive_outputs.kept"],
        found["honeyhive_config.model"],
        found["honeyhive_metadata.tags"],
    )
    assert "honeyhive_inputs.secret" not in found
    assert "honeyhive_outputs.result" not in found


@pytest.mark.parametrize("switch", ["capture", "capture_inputs", "capture_outputs"])
def test_capture_can_be_switched_off(tracer: HoneyHiveTracer, exported: Exported, switch: str) -> None:
    @trace(**{switch: False})
    def work(value: str) -> str:
        return value

    work("x")

    found = attributes(exported()[0])
    assert ("honeyhive_inputs.value" in found) is (switch == "capture_outputs")
    assert ("honeyhive_outputs.result" in found) is (switch == "capture_inputs")


def test_values_are_recorded_as_of_the_call(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace
    def grow(items: list[str]) -> None:
        items.append("after")

    grow(["before"])

    assert '["before"]' == attributes(exported()[0])["honeyhive_inputs.items"]


def test_a_function_runs_untraced_where_there_is_no_tracer(exported: Exported) -> None:
    assert 6 == doubled(3)
    assert [] == exported()


def test_what_the_user_sets_wins_over_what_was_captured(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace
    def work() -> str:
        enrich_span(outputs={"result": "mine"})
        return "captured"

    work()

    assert "mine" == attributes(exported()[0])["honeyhive_outputs.result"]


@pytest.mark.acceptance("S8")
def test_trace_class_traces_every_kind_of_method_and_breaks_none(tracer: HoneyHiveTracer, exported: Exported) -> None:
    class Base:
        def inherited(self) -> str:
            return type(self).__name__

    @trace_class
    class Service(Base):
        def method(self, value: int) -> int:
            return self.static(value)

        @staticmethod
        def static(value: int) -> int:
            return value

        @classmethod
        def made(cls) -> Service:
            return cls()

        @property
        def label(self) -> str:
            return "plain"

        def _private(self) -> None: ...

    service = Service.made()
    assert (1, "Service", "plain") == (service.method(1), service.inherited(), service.label)
    service._private()
    Base().inherited()

    assert ["Service.made", "Service.method", "Service.static", "Service.inherited"] == [s.name for s in exported()]


def test_trace_class_takes_names_to_include_and_to_exclude(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace_class(include=["_inner", "label"])
    class Some:
        def outer(self) -> None:
            self._inner()

        def _inner(self) -> None: ...

        @property
        def label(self) -> str:
            return "traced"

    @trace_class(exclude=["loud"], event_type="chain")
    class Others:
        def loud(self) -> None: ...

        def quiet(self) -> None: ...

    Some().outer()
    assert "traced" == Some().label
    Others().loud()
    Others().quiet()

    assert ["Some._inner", "Some.label", "Others.quiet"] == [span.name for span in exported()]
    assert "chain" == attributes(exported()[-1])["honeyhive_event_type"]


def test_a_subclass_traced_again_does_not_double_spans(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace_class
    class Base:
        def work(self) -> None: ...

    @trace_class
    class Derived(Base):
        def more(self) -> None: ...

    Derived().work()
    Derived().more()

    assert ["Base.work", "Derived.more"] == [span.name for span in exported()]


@pytest.mark.acceptance("S11")
@pytest.mark.acceptance("C7")
def test_enrich_span_in_a_with_statement_applies_to_the_current_span_and_opens_none(
    tracer: HoneyHiveTracer, exported: Exported
) -> None:
    with tracer.start_span("work") as span:
        with enrich_span(event_type=EventType.tool, metadata={"a": {"b": [1, 2]}}) as current:
            assert current is span
        assert span.is_recording()

    found = attributes(exported()[0])
    assert ("tool", 1, 2) == (
        found["honeyhive_event_type"],
        found["honeyhive_metadata.a.b.0"],
        found["honeyhive_metadata.a.b.1"],
    )
    assert 1 == len(exported())


def test_enrichments_land_in_their_namespaces(tracer: HoneyHiveTracer, exported: Exported) -> None:
    with tracer.start_span("work"):
        applied = enrich_span(
            {"positional": 1},
            metadata={"positional": 0, "m": 1},
            metrics={"score": 0.5},
            feedback={"ok": True},
            inputs={"q": "?"},
            outputs={"a": "!"},
            config={"model": "x"},
            user_properties={"id": "u"},
            error=ValueError("bad"),
            anything="else",
            update_event_id="e-1",
        )

    found = attributes(exported()[0])
    assert applied
    assert {
        "honeyhive_metadata.positional": 1,
        "honeyhive_metadata.m": 1,
        "honeyhive_metrics.score": 0.5,
        "honeyhive_feedback.ok": True,
        "honeyhive_inputs.q": "?",
        "honeyhive_outputs.a": "!",
        "honeyhive_config.model": "x",
        "honeyhive_user_properties.id": "u",
        "honeyhive_error": "bad",
        "honeyhive_metadata.anything": "else",
        "honeyhive_event_id": "e-1",
    }.items() <= found.items()


def test_enriching_where_nothing_runs_is_false_and_said_once(
    tracer: HoneyHiveTracer, caplog: pytest.LogCaptureFixture
) -> None:
    assert not enrich_span(metadata={"a": 1})
    assert tracer.enrich_span(metadata={"a": 1}) is False

    assert len(caplog.records) <= 1
