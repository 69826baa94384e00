"""What ``tracer.start_as_current_span(...)`` returns: a context manager that is a decorator too."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from opentelemetry.trace import set_span_in_context

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.entering import Enterable, entered
from honeyhive.tracer.span import Span

if TYPE_CHECKING:
    from opentelemetry.trace import Span as ApiSpan

__all__ = ["CurrentSpan"]

P = ParamSpec("P")
R = TypeVar("R")

_current: Final = hh_context.current
_attach: Final = hh_context.attach


class CurrentSpan:
    """Starts a span, makes it current, and ends it: as a context manager or as a decorator.

    Used as a decorator it starts a span for each call, of a coroutine function for each
    await.
    """

    __slots__ = ("_arguments", "_end", "_span", "_start", "_token")

    def __init__(self, start: Callable[..., ApiSpan], arguments: tuple[Any, ...], end_on_exit: bool) -> None:
        self._start = start
        self._arguments = arguments
        self._end = end_on_exit
        self._span: Any = None
        self._token: Any = None

    def __enter__(self) -> ApiSpan:
        span = self._span = self._start(*self._arguments)
        context = _current()
        if isinstance(span, Enterable):
            self._token = _attach(entered(context, span))
        else:
            self._token = _attach(set_span_in_context(span, context))
        return span

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        hh_context.detach(self._token)
        span = self._span
        if exc_val is not None and isinstance(exc_val, Exception) and type(span) is Span and span.is_recording():
            span.note_error(exc_val, escaped=False)
        if self._end:
            span.end()

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
