"""The span that stands where none is recorded: sampled out, filtered by name, or disabled."""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from honeyhive.tracer.details import NO_STATE
from honeyhive.tracer.entering import Enterable
from honeyhive.tracer.remote import traceparent
from honeyhive.tracer.state import SpanState

__all__ = ["GIVEN_CONTEXT", "UnrecordedSpan", "make_unrecorded"]

GIVEN_CONTEXT: Final = -1
"""Stands for the flags of an unrecorded span whose span context was given to it."""

_new = object.__new__


class UnrecordedSpan(Enterable, NonRecordingSpan):
    """A span that keeps nothing of what it is told.

    With its parent's span context (a filtered name) children attach to the parent as if
    this one were not there; with a context of its own (sampled out) they are dropped too.
    """

    __slots__ = ("_ctx", "_flags", "_sid", "_st", "_tid", "_token", "_tstate")

    # Sampled out on the short path, there are ids only (_tid, _sid, _flags, _tstate) and the span
    # context is built on demand (_ctx); everywhere else it is given, and _flags says so.
    _ctx: SpanContext | None
    _flags: int
    _sid: int
    _st: SpanState
    _tid: int
    _token: Any
    _tstate: TraceState

    def __init__(self, context: SpanContext, state: SpanState) -> None:
        self._ctx = context
        self._flags = GIVEN_CONTEXT
        self._st = state
        self._token = None

    @property
    def _context(self) -> SpanContext:
        found = self._ctx
        if found is None:
            found = self._ctx = SpanContext(self._tid, self._sid, False, TraceFlags(self._flags), self._tstate)
        return found

    @_context.setter
    def _context(self, value: SpanContext) -> None:
        self._ctx = value
        self._flags = GIVEN_CONTEXT

    @property
    def traceparent(self) -> str | None:
        """The W3C header of that name, straight from the ids; ``None`` where they are not known, or not all there is."""
        if self._flags == GIVEN_CONTEXT or self._tstate:
            return None
        return traceparent(self._tid, self._sid, self._flags)

    def fail(self, error: BaseException) -> None:
        """Do nothing: there is no record to put *error* on."""

    def end(self, end_time: int | None = None) -> None:
        """Do nothing: there is no record to close."""

    def _left_by(self, error: BaseException, *, was_entered: bool) -> None:
        """Do nothing, as :meth:`fail`."""


def make_unrecorded(
    state: SpanState, trace_id: int, span_id: int, flags: int, trace_state: TraceState = NO_STATE
) -> UnrecordedSpan:
    """Create a span of a trace that is sampled out."""
    span = _new(UnrecordedSpan)
    span._st = state
    span._tid = trace_id
    span._sid = span_id
    span._flags = flags
    span._tstate = trace_state
    span._ctx = span._token = None
    return span
