"""The documented import path of the context functions; they live where the tracer is known."""

from __future__ import annotations

import importlib

_HOMES = {
    "SAFE_PROPAGATION_KEYS": "honeyhive.tracer.propagation",
    "enrich_span_context": "honeyhive.tracer.decorators",
    "extract_context_from_carrier": "honeyhive.tracer.propagation",
    "get_current_baggage": "honeyhive.tracer.propagation",
    "inject_context_into_carrier": "honeyhive.tracer.propagation",
    "setup_baggage_context": "honeyhive.tracer.propagation",
    "with_distributed_trace_context": "honeyhive.tracer.propagation",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 -- sorted() returns a list


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
