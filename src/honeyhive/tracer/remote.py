"""Spans as processes name them to one another in a header: ours to others, and theirs to us."""

from __future__ import annotations

from typing import ClassVar, Final

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from honeyhive.tracer.details import NO_STATE

__all__ = ["RemoteSpan", "remote_span", "traceparent"]

_new = object.__new__
_flags: Final = tuple(map(TraceFlags, range(256)))
_two_digits: Final = tuple(f"{flags:02x}" for flags in range(256))


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


def remote_span(header: str, trace_id: int, span_id: int, flags: int) -> RemoteSpan:
    """Create the span that a *header* of these parts names."""
    span = _new(RemoteSpan)
    span.traceparent = header
    span._tid = trace_id
    span._sid = span_id
    span._flags = flags
    span._ctx = None
    return span


def traceparent(trace_id: int, span_id: int, flags: int) -> str:
    """Return the header that names a span."""
    # By way of bytes: numbers of this length are formatted slowly.
    return f"00-{trace_id.to_bytes(16).hex()}-{span_id.to_bytes(8).hex()}-{_two_digits[flags & 255]}"
