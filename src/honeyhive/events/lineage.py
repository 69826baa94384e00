"""Where a new message comes from: the message that is being handled here and now, and the current trace.

It works with any tracer that stands on OpenTelemetry, and with none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.baggage import baggage_header, safe_part
from honeyhive.tracer.traceparent import trace_headers
from honeyhive.utils.frozen import FrozenDict

if TYPE_CHECKING:
    from opentelemetry.context.context import Context

    from honeyhive.events.messages import Message

__all__ = [
    "CARRIED",
    "NO_TRACE",
    "current_message",
    "delivery_count",
    "handled_message",
    "handling",
    "note_delivery",
    "trace_of",
]

CARRIED = ("traceparent", "tracestate", "baggage")
"""The W3C headers that carry a trace from one process to the next."""

NO_TRACE: FrozenDict[str, str] = FrozenDict()

handled_message: ContextVar[Message | None] = ContextVar("handled_message", default=None)
"""What `handling` sets; read it with `current_message`."""


def current_message() -> Message | None:
    """Return the message that is being handled here, or ``None`` outside a handler."""
    return handled_message.get()


_NOTHING = ("", 1)

_delivered: ContextVar[tuple[str, int]] = ContextVar("delivered", default=_NOTHING)
"""The id of the message that an engine has delivered here, and how often."""


def delivery_count(message: Message | None = None) -> int:
    """Return how often an engine has delivered *message*, this time included, as far as it knows.

    More than 1 says that a process has died over it, or could not finish it. It is 1 for what no engine has delivered
    here, and where the engine does not count. By default it is that of the message that is being handled.
    """
    identity, count = _delivered.get()
    asked = message or current_message()
    return count if asked is not None and asked.id == identity else 1


def note_delivery(message: Message, count: int) -> None:
    """Let `delivery_count` tell *count* of *message* from here on, until another one is delivered here."""
    if count != 1 or _delivered.get() is not _NOTHING:  # the first time is what is told anyhow
        _delivered.set((message.id, count))


@contextmanager
def handling(message: Message | None) -> Iterator[None]:
    """Let the messages made in this block be caused by *message*."""
    token = handled_message.set(message)
    try:
        yield
    finally:
        handled_message.reset(token)


def trace_of(context: Context | None = None) -> FrozenDict[str, str]:
    """Return the W3C headers of *context*, the current one by default; empty where there is no trace.

    Of the baggage only what means the same in every process goes along, such as the session.
    """
    context = hh_context.current() if context is None else context
    if not context:
        return NO_TRACE
    headers = trace_headers(context)
    if header := baggage_header(safe_part(hh_context.baggage_in(context))):
        headers["baggage"] = header
    return FrozenDict(headers) if headers else NO_TRACE
