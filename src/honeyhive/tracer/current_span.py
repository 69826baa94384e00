"""Spans that are current in a block, and what ``tracer.start_as_current_span(...)`` returns: a decorator too."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from opentelemetry.trace import Span as ApiSpan
from opentelemetry.trace import set_span_in_context

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.entering import Enterable, entered
from honeyhive.tracer.span import Span

if TYPE_CHECKING:
    from opentelemetry.context import Context

__all__ = ["CurrentSpan", "EnteredSpan"]

P = ParamSpec("P")
R = TypeVar("R")

_current: Final = hh_context.current
_attach: Final = hh_context.attach
_reset: Final = hh_context.reset


class EnteredSpan:
    """Makes a span that has begun the current one in a block, and ends it, as OpenTelemetry's own does.

    Args:
        span: The span.
        context: A context in which it is current.

    Attributes:
        context: That context.
        given: What the block is given; the span, unless something else is put here.
    """

    __slots__ = ("_end", "_span", "_token", "context", "given")

    _span: Any
    given: Any

    def __init__(self, span: Enterable, context: Context) -> None:
        self._span = self.given = span
        self._end = True
        self.context = context

    def __enter__(self) -> Any:
        self._token = _attach(self.context)
        return self.given

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        try:
            _reset(self._token)
        except ValueError:  # closed in another task than it was opened in, whose context is gone
            pass
        span = self._span
        if exc_val is not None and isinstance(exc_val, Exception) and type(span) is Span and span.is_recording():
            span.note_error(exc_val, escaped=False)
        if self._end:
            span.end()


class CurrentSpan(EnteredSpan):
    """Starts a span, makes it current, and ends it: as a context manager or as a decorator.

    Used as a decorator it starts a span for each call, of a coroutine function for each
    await.
    """

    __slots__ = ("_arguments", "_start")

    def __init__(self, start: Callable[..., ApiSpan], arguments: tuple[Any, ...], end_on_exit: bool) -> None:
        self._start = start
        self._arguments = arguments
        self._end = end_on_exit

    def __enter__(self) -> ApiSpan:
        span = self._span = self._start(*self._arguments)
        context = _current()
        if isinstance(span, Enterable):
            self._token = _attach(entered(context, span))
        else:
            self._token = _attach(set_span_in_context(span, context))
        return span

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        start, arguments, end = self._start, self._arguments, self._end

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def traced_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with CurrentSpan(start, arguments, end):
                    return await function(*args, **kwargs)

            return traced_async  # type: ignore[return-value]

        @functools.wraps(function)
        def traced(*args: P.args, **kwargs: P.kwargs) -> R:
            with CurrentSpan(start, arguments, end):
                return function(*args, **kwargs)

        return traced
