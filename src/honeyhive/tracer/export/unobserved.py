"""Keeping everybody from making spans of our own work, which would never end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry import context as otel_context
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

__all__ = ["observed_by_nobody", "unobserved"]

_SUPPRESS = getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
_NOT_SAMPLED = NonRecordingSpan(SpanContext(trace_id=1, span_id=1, is_remote=False))


def observed_by_nobody(work: Callable[[], None]) -> Callable[[], None]:
    """Return *work*, to be run `unobserved`."""

    def run() -> None:
        with unobserved():
            work()

    return run


@contextmanager
def unobserved() -> Iterator[None]:
    """Have no spans made in the block.

    Instrumentations look at a key of the context; all others, such as a traced logging
    handler, find themselves in a trace that is not sampled.
    """
    token = otel_context.attach(set_span_in_context(_NOT_SAMPLED, otel_context.set_value(_SUPPRESS, True)))
    try:
        yield
    finally:
        otel_context.detach(token)
