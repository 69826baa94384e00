"""The span of a scope, through OpenTelemetry's interface alone.

Whose spans they are is decided above: the tracer plugs in with `use_spans_of`. Where nothing is plugged in, a scope that
is to be traced asks OpenTelemetry's global provider, and every other scope goes without.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import Token
from types import TracebackType
from typing import ClassVar, Final, NamedTuple, TypeAlias

from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode

__all__ = ["BY_DEFAULT", "SpanOpener", "Tracing", "use_spans_of"]

SpanOpener: TypeAlias = Callable[[str], AbstractContextManager[Span] | None]
"""Makes a span of this name that is current while it is entered; ``None`` where no tracer would record it."""


class _Plug:
    """Where the tracer plugs in."""

    opener: ClassVar[SpanOpener | None] = None


def use_spans_of(opener: SpanOpener) -> None:
    """Let scopes have the spans of *opener*."""
    _Plug.opener = opener


class Tracing(NamedTuple):
    """How a scope is traced.

    Attributes:
        wanted: Whether it has a span; ``None`` does what the scope around it does, and outermost it means: where there
            is a tracer.
        opener: Whose spans; by default those of whoever has plugged in.
    """

    wanted: bool | None = None
    opener: SpanOpener | None = None

    def open(self, name: str, traced: bool | None) -> AbstractContextManager[Span] | None:
        """Return the span of a scope, to be entered; ``None`` if it has none."""
        if traced is False:
            return None
        if self.opener is not None:
            return self.opener(name)
        span = None if _Plug.opener is None else _Plug.opener(name)
        return _GlobalSpan(name) if span is None and traced else span


BY_DEFAULT: Final = Tracing()


class _GlobalSpan:
    """A span of OpenTelemetry's global provider."""

    __slots__ = ("_name", "_span", "_token")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> Span:
        self._span = otel_trace.get_tracer("honeyhive.scope").start_span(self._name)
        self._token: Token[Context] = otel_context.attach(otel_trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if otel_trace.get_current_span() is self._span:
            otel_context.detach(self._token)
        if isinstance(error, Exception):
            self._span.record_exception(error)
            self._span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        self._span.end()
