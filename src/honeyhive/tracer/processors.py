"""A provider's span processors, laid out for the calls that a span makes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from opentelemetry.sdk import trace as sdk

__all__ = ["Processors"]

Call = Callable[..., None]


class Processors(sdk.SynchronousMultiSpanProcessor):
    """A provider's span processors, with the calls each of them really wants laid out.

    Other libraries replace ``_span_processors`` as a whole; what is laid out follows.
    """

    starting: tuple[Call, ...]
    """What is called when a span starts."""
    ended: Call
    """Tells all of them that a span has ended."""

    def __init__(self) -> None:
        self.multiplexer: sdk.SpanProcessor = self
        # Keeps processors that are added at the same time.
        self._adding = threading.RLock()
        self._span_processors = ()
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def of(cls, multiplexer: sdk.SpanProcessor | None) -> Processors:
        """Return *multiplexer* as one of ours; a foreign one is called as a single processor."""
        if isinstance(multiplexer, Processors):
            return multiplexer
        processors = cls()
        if multiplexer is not None:
            processors.multiplexer = multiplexer
            processors._lay_out((multiplexer,))
        return processors

    def add_span_processor(self, span_processor: sdk.SpanProcessor) -> None:
        """Have *span_processor* called after those that are there."""
        with self._adding:
            self._span_processors = (*self._members, span_processor)

    @property
    def _span_processors(self) -> tuple[sdk.SpanProcessor, ...]:
        return self._members

    @_span_processors.setter
    def _span_processors(self, value: tuple[sdk.SpanProcessor, ...]) -> None:
        self._members = tuple(value)
        self._lay_out(self._members)

    def _lay_out(self, members: Sequence[sdk.SpanProcessor]) -> None:
        self.starting = _wanted(members, "on_start")
        self.ended = _in_turn((*_wanted(members, "_on_ending"), *_wanted(members, "on_end")))


def _wanted(members: Sequence[sdk.SpanProcessor], method: str) -> tuple[Call, ...]:
    """Return the bound *method* of those members that do something in it."""
    idle = getattr(sdk.SpanProcessor, method, None)
    bound = []
    for member in members:
        call = getattr(member, method, None)
        if call is not None and getattr(call, "__func__", call) is not idle:
            bound.append(call)
    return tuple(bound)


def _in_turn(calls: tuple[Call, ...]) -> Call:
    """Return one call that makes all of *calls*; the only one of them where there is but one."""
    if len(calls) == 1:
        return calls[0]

    def call_each(span: sdk.ReadableSpan) -> None:
        for call in calls:
            call(span)

    return call_each
