"""The spans of generators: entered for each step, and what was yielded.

A generator's span is current only while the body of the generator runs, so the consumer
between two items sees its own span, a loop left early leaks nothing, and every step runs
in the task that asked for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.entering import activate
from honeyhive.utils.capture import capture, captured_bytes
from honeyhive.utils.guard import failures

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping
    from types import TracebackType

    from honeyhive.tracer.calls import CallPlan
    from honeyhive.tracer.span import Span
    from honeyhive.tracer.unrecorded import UnrecordedSpan

__all__ = ["wrap_async_generator", "wrap_generator"]

_MOST_ITEMS: Final = 1000
_MOST_ITEM_BYTES: Final = 1_000_000


class _Items:
    """What a generator has yielded so far: joined text if all of it is text, else a list; bounded."""

    __slots__ = ("_captured", "_room", "_seen")

    def __init__(self) -> None:
        self._captured: list[object] = []
        self._room = _MOST_ITEM_BYTES
        self._seen = 0

    def add(self, item: object) -> None:
        self._seen += 1
        if self._seen > _MOST_ITEMS or self._room <= 0:
            return
        captured = capture(item)
        self._room -= captured_bytes(captured)
        if self._room > 0:
            self._captured.append(captured)

    def value(self) -> object:
        """Return the whole as one value to capture."""
        kept = self._captured
        if kept and all(type(item) is str for item in kept):
            return "".join(cast("list[str]", kept)) + self._rest()
        from honeyhive.utils.render import tree

        shown = [tree(item) for item in kept]
        return [*shown, self._rest()] if self._rest() else shown

    def _rest(self) -> str:
        more = self._seen - len(self._captured)
        return f"<{more} more items>" if more > 0 else ""


class _Steps:
    """One running generator: its span is current inside each ``with`` block, which runs the body for one step.

    Args:
        plan: How calls of the generator function are recorded.
        span: The span of this call.
        ending: The exception with which a step says that there is no more.
    """

    __slots__ = ("_ending", "_items", "_plan", "_span", "_token")

    def __init__(self, plan: CallPlan, span: Span | UnrecordedSpan, ending: type[Exception]) -> None:
        self._plan = plan
        self._span = span
        self._ending = ending
        self._token: Any = None
        self._items = _Items()

    def __enter__(self) -> None:
        self._token = activate(self._span)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        hh_context.detach(self._token)
        if error is None:
            return
        if isinstance(error, self._ending):
            self._returned(getattr(error, "value", None))
        elif isinstance(error, GeneratorExit):
            self._returned(None)
        else:
            self._plan.fail(self._span, error)

    def yielded(self, item: object) -> None:
        """Keep what the step gave."""
        try:
            self._items.add(item)
        except Exception as error:
            failures("trace", error)

    def _returned(self, value: object) -> None:
        try:
            whole = self._items.value()
        except Exception as error:
            failures("trace", error)
            whole = None
        self._plan.finish(self._span, whole if value is None else {"items": whole, "returned": value})


class _UntracedSteps:
    """Stands in where a generator runs untraced."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Leave the context as it is."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the context as it is."""

    def yielded(self, item: object) -> None:
        """Keep nothing of *item*."""


_UNTRACED: Final = _UntracedSteps()


def _steps(
    plan: CallPlan, args: tuple[Any, ...], kwargs: Mapping[str, Any], ending: type[Exception]
) -> _Steps | _UntracedSteps:
    span = plan.begin(args, kwargs, is_current=False)
    return _UNTRACED if span is None else _Steps(plan, span, ending)


def wrap_generator(function: Callable[..., Any], plan: CallPlan) -> Callable[..., Any]:
    """Return the generator function *function* traced as *plan* says."""

    def traced(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        steps = _steps(plan, args, kwargs, StopIteration)
        inner = function(*args, **kwargs)
        step, value = inner.send, None
        while True:
            try:
                with steps:
                    item = step(value)
            except StopIteration as stop:
                return stop.value
            steps.yielded(item)
            try:
                step, value = inner.send, (yield item)
            except BaseException as error:  # whatever the consumer throws in belongs to the body
                step, value = inner.throw, error

    return traced


def wrap_async_generator(function: Callable[..., Any], plan: CallPlan) -> Callable[..., Any]:
    """Return the asynchronous generator function *function* traced as *plan* says."""

    async def traced(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        steps = _steps(plan, args, kwargs, StopAsyncIteration)
        inner = function(*args, **kwargs)
        step, value = inner.asend, None
        while True:
            try:
                with steps:
                    item = await step(value)
            except StopAsyncIteration:
                return
            steps.yielded(item)
            try:
                step, value = inner.asend, (yield item)
            except BaseException as error:  # whatever the consumer throws in belongs to the body
                step, value = inner.athrow, error

    return traced
