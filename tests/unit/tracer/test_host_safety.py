"""A traced function among everything else that Python lets one do with a function."""

from __future__ import annotations

import abc
import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import gc
import inspect
import signal
import sys
import threading
import typing
import warnings
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import TracerProvider as StockProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from honeyhive import trace, trace_class
from honeyhive.tracer import Components, HoneyHiveTracer

Exported = Callable[[], list[ReadableSpan]]
MakeTracer = Callable[..., HoneyHiveTracer]


def plain(first: int, second: int = 0, /, *, third: int = 0) -> int:
    return first + second + third


async def coroutine(first: int, second: int = 0, *rest: int, third: int) -> int:
    return first


def generator(first: int, *, second: int = 0) -> Generator[int, None, None]:
    yield first


async def async_generator(first: int, second: int = 0, **rest: int) -> AsyncGenerator[int, None]:
    yield first


def call_error(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    try:
        result = function(*args, **kwargs)
    except TypeError as error:
        return str(error)
    if inspect.iscoroutine(result):
        result.close()
    return None


# -- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [plain, coroutine, generator, async_generator])
@pytest.mark.parametrize(
    "args, kwargs",
    [
        ((), {}),
        ((1,), {"third": 1}),
        ((1, 2, 3), {}),
        ((1,), {"first": 1}),
        ((1,), {"other": 1}),
        ((1,), {"second": 2}),
    ],
)
def test_wrong_arguments_are_refused_at_the_call_and_in_the_same_words(
    tracer: HoneyHiveTracer, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert call_error(function, args, kwargs) == call_error(trace(function), args, kwargs)


def test_wrong_arguments_are_refused_at_the_call_through_every_layer_of_decoration(tracer: HoneyHiveTracer) -> None:
    class Reader:
        @trace
        @trace(event_name="twice")
        async def read(self, size: int) -> bytes:
            return b"x" * size

        @classmethod
        @trace
        async def make(cls) -> Reader:
            return cls()

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'size'"):
        Reader().read()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        Reader.make(1)  # type: ignore[call-arg]
    assert b"xx" == asyncio.run(Reader().read(2))


def test_a_coroutine_that_is_never_awaited_is_warned_of_by_its_own_name(
    tracer: HoneyHiveTracer, exported: Exported
) -> None:
    @trace
    async def forgotten() -> None:
        """Nobody waits for it."""

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        forgotten()
        gc.collect()

    assert [f"coroutine '{forgotten.__qualname__}' was never awaited"] == [str(each.message) for each in caught]
    assert [] == exported()


# -- beside other decorators ------------------------------------------------------------------------


def test_abstract_methods_stay_abstract_on_either_side(tracer: HoneyHiveTracer) -> None:
    class Model(abc.ABC):
        @abc.abstractmethod
        @trace
        def ask(self) -> str: ...

        @trace
        @abc.abstractmethod
        def tell(self) -> str: ...

    assert {"ask", "tell"} == Model.__abstractmethods__
    with pytest.raises(TypeError, match="abstract"):
        Model()  # type: ignore[abstract]


def test_a_cache_keeps_its_handles_on_either_side(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @functools.lru_cache
    @trace(event_name="inside the cache")
    def inner(number: int) -> int:
        return number

    @trace(event_name="around the cache")
    @functools.lru_cache
    def outer(number: int) -> int:
        return number

    assert [1, 1, 1, 1] == [inner(1), inner(1), outer(1), outer(1)]

    assert (1, 1) == (inner.cache_info().hits, outer.cache_info().hits)
    outer.cache_clear()
    assert 0 == outer.cache_info().currsize
    assert ["inside the cache", "around the cache", "around the cache"] == [span.name for span in exported()]


def test_a_dispatching_function_still_takes_registrations_on_either_side(tracer: HoneyHiveTracer) -> None:
    @trace
    @functools.singledispatch
    def above(value: object) -> str:
        return "object"

    @functools.singledispatch
    @trace
    def below(value: object) -> str:
        return "object"

    for dispatching in (above, below):
        dispatching.register(int, trace(lambda value: "int"))
        assert ["object", "int"] == [dispatching("x"), dispatching(1)]


def test_context_managers_work_above_and_below(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace(event_name="making it")
    @contextlib.contextmanager
    def above() -> Iterator[int]:
        yield 1

    @contextlib.contextmanager
    @trace(event_name="inside it")
    def below() -> Iterator[int]:
        try:
            yield 2
        except KeyError:
            return

    with above() as one, below() as two:
        assert (1, 2) == (one, two)
        raise KeyError("swallowed by the inner one")

    assert {"making it", "inside it"} == {span.name for span in exported()}


def test_descriptors_decorated_in_the_wrong_order_work_like_the_right_one(
    tracer: HoneyHiveTracer, exported: Exported
) -> None:
    class Model:
        @trace(event_name="class")
        @classmethod
        async def made(cls) -> str:
            return cls.__name__

        @trace(event_name="static")
        @staticmethod
        def given(value: int) -> Iterator[int]:
            yield value

        @trace(event_name="property")
        @property
        def size(self) -> int:
            return 3

    assert "Model" == asyncio.run(Model.made())
    assert [1] == list(Model().given(1))
    assert 3 == Model().size
    assert ["class", "static", "property"] == [span.name for span in exported()]


def test_a_cached_property_in_the_wrong_order_is_a_clear_error_when_the_class_is_made(tracer: HoneyHiveTracer) -> None:
    with pytest.raises(TypeError, match="only callables can be traced, not cached_property"):

        class Model:
            @trace
            @functools.cached_property
            def size(self) -> int:
                return 3


def test_a_wrapper_with_wraps_above_still_finds_the_function(tracer: HoneyHiveTracer) -> None:
    def shouting(function: Callable[[str], str]) -> Callable[[str], str]:
        @functools.wraps(function)
        def shout(text: str) -> str:
            return function(text).upper()

        return shout

    def speak(text: str) -> str:
        return text

    decorated = shouting(trace(shouting(speak)))

    assert "HI" == decorated("hi")
    assert inspect.unwrap(decorated) is speak
    assert inspect.signature(speak) == inspect.signature(decorated)


def test_overloads_and_type_hints_are_those_of_the_function(tracer: HoneyHiveTracer) -> None:
    @trace
    def typed(number: int, *, text: str | None = None) -> list[int]:
        return [number]

    assert {"number": int, "text": str | None, "return": list[int]} == typing.get_type_hints(typed)


# -- unusual classes -------------------------------------------------------------------------------


class Watchful(type):
    """Notes each attribute that somebody sets on its classes after they were made."""

    noted: typing.ClassVar[list[str]] = []

    def __setattr__(cls, name: str, value: object) -> None:
        Watchful.noted.append(name)
        super().__setattr__(name, value)


class Sullen(metaclass=Watchful):
    """Has no room for attributes, and refuses questions about those it does not have."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 1

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"do not ask for {name}")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare")

    __hash__ = None  # type: ignore[assignment]

    @trace
    def method(self) -> int:
        return self.number

    @trace
    async def coroutine(self) -> int:
        return self.number


def test_instances_are_neither_marked_nor_asked(tracer: HoneyHiveTracer, exported: Exported) -> None:
    class Child(Sullen, metaclass=Watchful):
        __slots__ = ()

    Watchful.noted.clear()

    assert 1 == Child().method()
    assert 1 == asyncio.run(Child().coroutine())

    assert [] == Watchful.noted
    assert 2 == len(exported())


def test_a_traced_class_keeps_slots_and_metaclass(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace_class
    class Point(metaclass=Watchful):
        __slots__ = ("x",)

        def __init__(self, x: int) -> None:
            self.x = x

        def double(self) -> int:
            return 2 * self.x

    assert 4 == Point(2).double()
    assert not hasattr(Point(1), "__dict__")
    assert ["Point.double"] == [span.name for span in exported()]


# -- loops, threads, executors ---------------------------------------------------------------------


def test_to_thread_keeps_the_parent_and_a_bare_executor_does_not(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace(event_name="blocking")
    def blocking() -> None:
        """Run on another thread."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with tracer.start_span("request"):
            await asyncio.to_thread(blocking)
            await loop.run_in_executor(None, blocking)
            await loop.run_in_executor(None, contextvars.copy_context().run, blocking)

    asyncio.run(main())

    request = next(span for span in exported() if span.name == "request")
    parents = [span.parent and span.parent.span_id for span in exported() if span.name == "blocking"]
    assert request.context is not None
    assert [request.context.span_id, None, request.context.span_id] == parents


def test_a_traced_coroutine_can_be_run_by_a_loop_in_an_executor(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace(event_name="answer")
    async def answer(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        runs = [loop.run_in_executor(None, lambda number=number: asyncio.run(answer(number))) for number in range(8)]
        return await asyncio.gather(*runs)

    assert list(range(8)) == asyncio.run(main())
    assert [None] * 8 == [span.parent for span in exported()]
    assert 8 == len({span.context.trace_id for span in exported() if span.context})


def test_a_task_group_fails_with_the_very_group(tracer: HoneyHiveTracer, exported: Exported) -> None:
    group = ExceptionGroup("both", [ValueError("one"), KeyError("two")])

    @trace(event_name="failing")
    def failing() -> None:
        raise group

    with pytest.raises(ExceptionGroup) as caught:
        failing()
    assert caught.value is group
    kinds = []
    try:
        failing()
    except* ValueError as errors:
        kinds.append(errors.exceptions[0])
    except* KeyError as errors:
        kinds.append(errors.exceptions[0])

    assert list(group.exceptions) == kinds
    assert ["ExceptionGroup: both (2 sub-exceptions)"] * 2 == [span.status.description for span in exported()]


def test_tasks_of_a_group_end_their_spans_when_one_fails(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace(event_name="waiting")
    async def waiting() -> None:
        await asyncio.sleep(30)

    @trace(event_name="failing")
    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("theirs")

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(waiting())
            tasks.create_task(failing())

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())

    assert ["theirs"] == [str(error) for error in caught.value.exceptions]
    assert {"waiting", "failing"} == {span.name for span in exported()}


def test_a_span_may_end_in_another_task_than_it_began_in(
    tracer: HoneyHiveTracer, exported: Exported, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        span = tracer.start_span("handed over")
        with tracer.start_span("parent"):
            entered = tracer.start_span("entered")
            entered.__enter__()

        async def end_both() -> None:
            span.end()
            entered.__exit__(None, None, None)

        await asyncio.create_task(end_both())

    asyncio.run(main())

    spans = {span.name: span for span in exported()}
    assert {"handed over", "parent", "entered"} == spans.keys()
    assert spans["entered"].parent == spans["parent"].context
    assert [] == caplog.records


# -- the interpreter -------------------------------------------------------------------------------


def frames_below(function: Callable[..., int]) -> int:
    here = len(inspect.stack(0))
    return function() - here


def test_a_call_is_at_most_three_frames_deeper(tracer: HoneyHiveTracer) -> None:
    def depth() -> int:
        return len(inspect.stack(0))

    async def depth_awaited() -> int:
        return depth()

    def depth_yielded() -> Iterator[int]:
        yield depth()

    def first(iterate: Callable[[], Iterator[int]]) -> int:
        return next(iter(iterate()))

    def awaited(function: Callable[[], Any]) -> int:
        try:
            function().send(None)
        except StopIteration as stop:
            return int(stop.value)
        return -1

    assert frames_below(trace(depth)) <= frames_below(depth) + 3
    assert awaited(trace(depth_awaited)) <= awaited(depth_awaited) + 3
    assert first(trace(depth_yielded)) <= first(depth_yielded) + 3


def test_calls_work_under_a_debugger_with_hardly_any_stack_left(tracer: HoneyHiveTracer, exported: Exported) -> None:
    seen: list[str] = []

    def watch(frame: Any, event: str, argument: object) -> Any:
        seen.append(event)
        return watch

    @trace(event_name="deep")
    def deep(left: int) -> int:
        return left if left == 0 else deep(left - 1)

    def run_out() -> int:
        return run_out() + 1

    before, limit = sys.gettrace(), sys.getrecursionlimit()
    sys.settrace(watch)
    sys.setrecursionlimit(len(inspect.stack(0)) + 120)
    try:
        assert 0 == deep(20)
        with pytest.raises(RecursionError):
            trace(run_out)()
    finally:
        sys.setrecursionlimit(limit)
        sys.settrace(before)

    assert 21 == len([span for span in exported() if span.name == "deep"])
    assert "exception" in seen


@pytest.mark.parametrize("limit", range(20, 60, 4))
def test_a_stack_that_ends_amid_our_own_work_is_the_users_error_or_none(
    tracer: HoneyHiveTracer, exported: Exported, limit: int
) -> None:
    @trace
    def shallow() -> str:
        return "done"

    def outcome() -> str:
        try:
            return shallow()
        except RecursionError:
            return "no stack left"

    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + limit)
    try:
        found = outcome()
    finally:
        sys.setrecursionlimit(before)

    assert found in {"done", "no stack left"}
    assert not otel_trace.get_current_span().is_recording()


class Noting(SpanProcessor):
    """Notes names without a lock: the exporter in memory has one that no signal handler may meet."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.names.append(span.name)


def test_a_signal_handler_may_trace_wherever_it_interrupts() -> None:
    noting = Noting()
    tracer = HoneyHiveTracer(test_mode=True, components=Components(span_processor=noting))
    handled = 0

    @trace(event_name="handler")
    def handler(number: int, frame: object) -> None:
        nonlocal handled
        handled += 1
        tracer.enrich_span(metadata={"handled": handled})

    # Not SIGALRM, which the time limit of each test is kept with.
    before = signal.signal(signal.SIGVTALRM, handler)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.0005, 0.0005)
    try:
        calls = 0
        while handled < 50:
            with tracer.start_span("work") as span:
                span.set_attribute("list", [1, 2])
                assert span.attributes is not None
                calls += 1
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)

    assert (calls, handled) == (noting.names.count("work"), noting.names.count("handler"))


class Uncooperative:
    """Not what is asked for, and no help in finding out."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize(
    "wrong",
    [None, 5, "text", b"bytes", [1], float("nan"), object(), Uncooperative()],
    ids=["none", "int", "text", "bytes", "list", "nan", "object", "uncooperative"],
)
@pytest.mark.parametrize(
    "call",
    [
        "start_span",
        "enrich_span",
        "enrich_session",
        "create_session",
        "get_baggage",
        "flush",
        "extract_context",
        "inject_context",
        "create_event",
        "shutdown",
    ],
)
def test_no_call_of_a_tracer_raises_whatever_it_is_given(make_tracer: MakeTracer, call: str, wrong: object) -> None:
    tracer = make_tracer()

    with tracer.start_span("work"):
        getattr(tracer, call)(wrong)


class BrokenAtTheStart(SpanProcessor):
    def on_start(self, span: object, parent_context: object = None) -> None:
        raise RuntimeError("broken at the start")


class BrokenAtTheEnd(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("broken at the end")


def drained(stream: AsyncGenerator[int, None]) -> list[int]:
    async def drain() -> list[int]:
        return [item async for item in stream]

    return asyncio.run(drain())


@pytest.mark.parametrize("broken", [BrokenAtTheStart, BrokenAtTheEnd])
@pytest.mark.parametrize(
    "call, expected",
    [
        (lambda: trace(plain)(1), 1),
        (lambda: asyncio.run(trace(coroutine)(1, third=3)), 1),
        (lambda: list(trace(generator)(1)), [1]),
        (lambda: drained(trace(async_generator)(1)), [1]),
    ],
    ids=["function", "coroutine", "generator", "async generator"],
)
def test_an_error_of_ours_changes_no_result(
    tracer: HoneyHiveTracer, call: Callable[[], object], expected: object, broken: type[SpanProcessor]
) -> None:
    """Anything around the call may fail, such as a processor that somebody added."""
    tracer.provider.add_span_processor(broken())

    assert expected == call()


@pytest.mark.parametrize("broken", [BrokenAtTheStart, BrokenAtTheEnd])
@pytest.mark.parametrize(
    "call",
    [
        lambda fail: trace(fail)(),
        lambda fail: asyncio.run(trace(as_coroutine(fail))()),
        lambda fail: list(trace(as_generator(fail))()),
    ],
    ids=["function", "coroutine", "generator"],
)
def test_an_error_of_ours_replaces_no_error_of_theirs(
    tracer: HoneyHiveTracer, call: Callable[[Callable[[], None]], object], broken: type[SpanProcessor]
) -> None:
    tracer.provider.add_span_processor(broken())
    theirs = ValueError("theirs")

    def fail() -> None:
        raise theirs

    with pytest.raises(ValueError, match="theirs") as caught:
        call(fail)

    assert theirs is caught.value
    assert caught.value.__context__ is None


def as_coroutine(fail: Callable[[], None]) -> Callable[[], Any]:
    async def fail_later() -> None:
        fail()

    return fail_later


def as_generator(fail: Callable[[], None]) -> Callable[[], Any]:
    def fail_amid() -> Generator[int, None, None]:
        yield 1
        fail()

    return fail_amid


def test_a_host_with_a_provider_of_its_own_keeps_it_and_its_spans(tracer: HoneyHiveTracer, exported: Exported) -> None:
    theirs, host = InMemorySpanExporter(), StockProvider(shutdown_on_exit=False)
    host.add_span_processor(SimpleSpanProcessor(theirs))

    @trace(event_name="ours")
    def ours() -> None:
        """Run inside a span of the host."""

    with host.get_tracer("host").start_as_current_span("theirs"):
        ours()

    assert ["ours"] == [span.name for span in exported()]
    assert ["theirs"] == [span.name for span in theirs.get_finished_spans()]


def test_threads_that_trace_the_same_function_do_not_mix(tracer: HoneyHiveTracer, exported: Exported) -> None:
    ready = threading.Barrier(8)

    @trace(event_name="inner")
    def inner(number: int) -> int:
        return number

    @trace(event_name="outer")
    def outer(number: int) -> int:
        return inner(number)

    def work(number: int) -> None:
        ready.wait()
        for _ in range(20):
            outer(number)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    inputs = {span.context.span_id: dict(span.attributes or {}) for span in exported() if span.context}
    pairs = [(span.parent.span_id, span.context.span_id) for span in exported() if span.parent and span.context]
    key = "honeyhive_inputs.number"
    assert 160 == len(pairs)
    assert all(inputs[parent][key] == inputs[child][key] for parent, child in pairs)
