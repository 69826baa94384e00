"""What ``tracer.trace(...)`` and ``enrich_span(...)`` return: one object for each form they are used in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import trace as otel_trace

from honeyhive.tracer.attributes import flatten
from honeyhive.tracer.calls import TraceOptions
from honeyhive.tracer.entering import ENTERABLE
from honeyhive.tracer.span import Span
from honeyhive.tracer.wrapping import decorate

if TYPE_CHECKING:
    from honeyhive.tracer.identity import Identity
    from honeyhive.tracer.unrecorded import UnrecordedSpan

__all__ = ["Enrichment", "TracedBlock"]

F = TypeVar("F", bound=Callable[..., Any])


class TracedBlock:
    """A block or a function that is traced; what ``tracer.trace("name")`` returns.

    In a ``with`` or ``async with`` statement it yields the span. As a decorator it takes
    any function that ``@trace`` takes.
    """

    __slots__ = ("_attributes", "_identity", "_options", "_span")

    def __init__(self, identity: Identity, options: TraceOptions, attributes: Mapping[str, Any]) -> None:
        self._identity = identity
        self._options = options
        self._attributes = attributes
        self._span: Span | UnrecordedSpan | None = None

    def __call__(self, function: F) -> F:
        named = replace(self._options, namespaces={**self._options.namespaces, "metadata": dict(self._attributes)})
        return decorate(function, named, self._identity)  # type: ignore[no-any-return]

    def __enter__(self) -> Span | UnrecordedSpan:
        span = self._identity.core.start_at(self._options.site(self._options.event_name or "trace"), self._options.kind)
        if type(span) is Span:
            flat: dict[str, Any] = {}
            for key, value in self._attributes.items():
                flatten(key, value, flat)
            span.set_attributes(flat)
        span._token = ENTERABLE
        self._span = span
        return span.__enter__()  # type: ignore[no-any-return]

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.__exit__(exc_type, exc_val, exc_tb)

    async def __aenter__(self) -> Span | UnrecordedSpan:
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.__exit__(exc_type, exc_val, exc_tb)


class Enrichment:
    """What ``enrich_span(...)`` returns: true if it was applied, and a ``with`` block around the current span.

    It is applied when it is called; the block opens no span and ends none.
    """

    __slots__ = ("_applied",)

    def __init__(self, applied: bool) -> None:
        self._applied = applied

    def __bool__(self) -> bool:
        return self._applied

    def __enter__(self) -> otel_trace.Span:
        return otel_trace.get_current_span()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        """Leave the span as it is."""

    async def __aenter__(self) -> otel_trace.Span:
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        """Leave the span as it is."""

    def __repr__(self) -> str:
        return f"Enrichment(applied={self._applied})"
