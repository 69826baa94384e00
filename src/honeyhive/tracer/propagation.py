"""Carrying context between processes with free functions, for programs that do not pass a tracer around."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import baggage as otel_baggage
from opentelemetry.context import get_current

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.baggage import SAFE_PROPAGATION_KEYS
from honeyhive.tracer.registry import discover_tracer

__all__ = [
    "SAFE_PROPAGATION_KEYS",
    "extract_context_from_carrier",
    "get_current_baggage",
    "inject_context_into_carrier",
    "joined_context",
    "setup_baggage_context",
    "with_distributed_trace_context",
]


def inject_context_into_carrier(carrier: dict[str, str], tracer_instance: Any = None) -> None:
    """Write trace, baggage and session to *carrier*; does nothing where there is no tracer."""
    tracer = discover_tracer(tracer_instance)
    if tracer is not None:
        tracer.inject_context(carrier)


def extract_context_from_carrier(carrier: Mapping[str, str], tracer_instance: Any = None) -> Any:
    """Return the context that *carrier* brings; the current one where there is no tracer."""
    tracer = discover_tracer(tracer_instance)
    return get_current() if tracer is None else tracer.extract_context(carrier)


def get_current_baggage() -> dict[str, str]:
    """Return the baggage of the current context."""
    return {name: str(value) for name, value in otel_baggage.get_all().items()}


def setup_baggage_context(baggage_items: Mapping[str, str], tracer_instance: Any = None) -> Any:
    """Add *baggage_items* to the current context, from here on, and return it.

    Args:
        baggage_items: What to add.
        tracer_instance: Let bare ``@trace`` mean this tracer here.
    """
    context = hh_context.with_baggage(get_current(), {name: str(value) for name, value in baggage_items.items()})
    if tracer_instance is not None:
        context = hh_context.with_tracer(context, tracer_instance.identity)
    hh_context.attach(context)
    return context


@contextmanager
def with_distributed_trace_context(
    carrier: Mapping[str, str], tracer_instance: Any = None, *, session_id: str | None = None
) -> Iterator[Any]:
    """Continue the trace and session of *carrier* for a block; yields the context.

    Args:
        carrier: Headers of a request, or what :meth:`inject_context` wrote.
        tracer_instance: The tracer; otherwise the one of the context or the default one.
        session_id: Join this session instead of the carrier's.
    """
    tracer = discover_tracer(tracer_instance)
    context = get_current() if tracer is None else joined_context(carrier, tracer, session_id)
    token = hh_context.attach(context)
    try:
        yield context
    finally:
        hh_context.detach(token)


def joined_context(carrier: Mapping[str, str], tracer: Any, session_id: str | None = None) -> Any:
    """Return the current context, in the trace and the session of *carrier*, where bare ``@trace`` means *tracer*.

    Args:
        carrier: Headers of a request, or what :meth:`inject_context` wrote.
        tracer: The tracer.
        session_id: Join this session instead of the carrier's.
    """
    context = tracer.extract_context(carrier)
    joined = session_id or _carried_session(carrier, context)
    if joined:
        context = hh_context.with_session(context, tracer.identity, joined)
    return hh_context.with_tracer(context, tracer.identity)


def _carried_session(carrier: Mapping[str, str], context: Any) -> str | None:
    baggage = context.get(hh_context.BAGGAGE_KEY) or {}
    for key in ("session_id", "honeyhive_session_id", "honeyhive.session_id"):
        found = baggage.get(key) or carrier.get(key)
        if found:
            return str(found)
    return None
