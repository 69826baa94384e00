"""The span of another process, as far as the header that names it tells."""

from __future__ import annotations

from typing import ClassVar, Final

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from honeyhive.tracer.details import NO_STATE

__all__ = ["RemoteSpan", "remote_span"]

_new = object.__new__
_flags: Final = tuple(map(TraceFlags, range(256)))


class RemoteSpan(NonRecordingSpan):
    """A span of another process, with nothing but its ids; the span context is built for whoever asks.

    Attributes:
        traceparent: The header it came in.
    """

    __slots__ = ("_ctx", "_flags", "_sid", "_tid", "traceparent")

    _st: ClassVar[None] = None  # no tracer of this process has made it
    _ctx: SpanContext | None
    _flags: int
    _sid: int
    _tid: int
    traceparent: str

    @property
    def _context(self) -> SpanContext:
        found = self._ctx
        if found is None:
            found = self._ctx = SpanContext(self._tid, self._sid, True, _flags[self._flags], NO_STATE)
        return found

    @_context.setter
    def _context(self, value: SpanContext) -> None:
        self._ctx = value


def remote_span(traceparent: str, trace_id: int, span_id: int, flags: int) -> RemoteSpan:
    """Create the span that a *traceparent* of these parts names."""
    span = _new(RemoteSpan)
    span.traceparent = traceparent
    span._tid = trace_id
    span._sid = span_id
    span._flags = flags
    span._ctx = None
    return span
