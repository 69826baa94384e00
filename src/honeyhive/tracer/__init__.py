"""The tracer: records spans and gets them out of the process.

The names are looked up on first use; importing this room loads nothing of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.tracer.components import Components as Components
    from honeyhive.tracer.decorators import atrace as atrace
    from honeyhive.tracer.decorators import enrich_session as enrich_session
    from honeyhive.tracer.decorators import enrich_span as enrich_span
    from honeyhive.tracer.decorators import enrich_span_context as enrich_span_context
    from honeyhive.tracer.decorators import flush as flush
    from honeyhive.tracer.decorators import graceful_shutdown_all as graceful_shutdown_all
    from honeyhive.tracer.decorators import shutdown_tracer as shutdown_tracer
    from honeyhive.tracer.decorators import trace as trace
    from honeyhive.tracer.decorators import trace_class as trace_class
    from honeyhive.tracer.executors import ContextExecutor as ContextExecutor
    from honeyhive.tracer.export.batch import BatchSpanProcessor as BatchSpanProcessor
    from honeyhive.tracer.export.statistics import FlushResult as FlushResult
    from honeyhive.tracer.export.statistics import Statistics as Statistics
    from honeyhive.tracer.joining import HoneyHiveSpanProcessor as HoneyHiveSpanProcessor
    from honeyhive.tracer.joining import get_global_provider as get_global_provider
    from honeyhive.tracer.joining import set_global_provider as set_global_provider
    from honeyhive.tracer.propagation import with_distributed_trace_context as with_distributed_trace_context
    from honeyhive.tracer.registry import clear_registry as clear_registry
    from honeyhive.tracer.registry import discover_tracer as discover_tracer
    from honeyhive.tracer.registry import get_default_tracer as get_default_tracer
    from honeyhive.tracer.registry import set_default_tracer as set_default_tracer
    from honeyhive.tracer.tracer import HoneyHiveTracer as HoneyHiveTracer

_HOMES = {
    "BatchSpanProcessor": "honeyhive.tracer.export.batch",
    "Components": "honeyhive.tracer.components",
    "ContextExecutor": "honeyhive.tracer.executors",
    "FlushResult": "honeyhive.tracer.export.statistics",
    "HoneyHiveTracer": "honeyhive.tracer.tracer",
    "Statistics": "honeyhive.tracer.export.statistics",
    "atrace": "honeyhive.tracer.decorators",
    "clear_registry": "honeyhive.tracer.registry",
    "discover_tracer": "honeyhive.tracer.registry",
    "enrich_session": "honeyhive.tracer.decorators",
    "enrich_span": "honeyhive.tracer.decorators",
    "enrich_span_context": "honeyhive.tracer.decorators",
    "flush": "honeyhive.tracer.decorators",
    "get_default_tracer": "honeyhive.tracer.registry",
    "graceful_shutdown_all": "honeyhive.tracer.decorators",
    "set_default_tracer": "honeyhive.tracer.registry",
    "shutdown_tracer": "honeyhive.tracer.decorators",
    "trace": "honeyhive.tracer.decorators",
    "trace_class": "honeyhive.tracer.decorators",
    "with_distributed_trace_context": "honeyhive.tracer.propagation",
    "HoneyHiveSpanProcessor": "honeyhive.tracer.joining",
    "set_global_provider": "honeyhive.tracer.joining",
    "get_global_provider": "honeyhive.tracer.joining",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'honeyhive.tracer' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
