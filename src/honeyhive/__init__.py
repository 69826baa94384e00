"""Observability and tracing for AI applications.

The front door: every public name is looked up on first use, so importing the
package costs next to nothing, starts no thread, and opens no file or socket.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.api import HoneyHive as HoneyHive
    from honeyhive.exceptions import APIError as APIError
    from honeyhive.exceptions import AuthenticationError as AuthenticationError
    from honeyhive.exceptions import ConfigurationError as ConfigurationError
    from honeyhive.exceptions import HoneyHiveError as HoneyHiveError
    from honeyhive.exceptions import MissingApiKeyError as MissingApiKeyError
    from honeyhive.exceptions import RateLimitError as RateLimitError
    from honeyhive.models import EventType as EventType
    from honeyhive.models import State as State
    from honeyhive.scope import ctx as ctx
    from honeyhive.tracer.decorators import atrace as atrace
    from honeyhive.tracer.decorators import enrich_session as enrich_session
    from honeyhive.tracer.decorators import enrich_span as enrich_span
    from honeyhive.tracer.decorators import flush as flush
    from honeyhive.tracer.decorators import trace as trace
    from honeyhive.tracer.decorators import trace_class as trace_class
    from honeyhive.tracer.export.batch import BatchSpanProcessor as BatchSpanProcessor
    from honeyhive.tracer.export.statistics import FlushResult as FlushResult
    from honeyhive.tracer.export.statistics import Statistics as Statistics
    from honeyhive.tracer.export.worker import process_statistics as statistics  # noqa: F401 -- see _HOMES
    from honeyhive.tracer.registry import get_default_tracer as get_default_tracer
    from honeyhive.tracer.registry import set_default_tracer as set_default_tracer
    from honeyhive.tracer.tracer import HoneyHiveTracer as HoneyHiveTracer
    from honeyhive.utils.dotdict import DotDict as DotDict
    from honeyhive.utils.logger import get_logger as get_logger
    from honeyhive.utils.missing import MISSING as MISSING
    from honeyhive.utils.missing import Missing as Missing
    from honeyhive.utils.missing import is_missing as is_missing
    from honeyhive.utils.missing import not_missing as not_missing

_HOMES = {
    "APIError": "honeyhive.exceptions",
    "AuthenticationError": "honeyhive.exceptions",
    "BatchSpanProcessor": "honeyhive.tracer.export.batch",
    "ConfigurationError": "honeyhive.exceptions",
    "DotDict": "honeyhive.utils.dotdict",
    "EventType": "honeyhive.models",
    "FlushResult": "honeyhive.tracer.export.statistics",
    "HoneyHive": "honeyhive.api",
    "HoneyHiveError": "honeyhive.exceptions",
    "HoneyHiveTracer": "honeyhive.tracer.tracer",
    "MISSING": "honeyhive.utils.missing",
    "Missing": "honeyhive.utils.missing",
    "MissingApiKeyError": "honeyhive.exceptions",
    "RateLimitError": "honeyhive.exceptions",
    "State": "honeyhive.models",
    "Statistics": "honeyhive.tracer.export.statistics",
    "atrace": "honeyhive.tracer.decorators",
    "ctx": "honeyhive.scope",
    "enrich_session": "honeyhive.tracer.decorators",
    "enrich_span": "honeyhive.tracer.decorators",
    "flush": "honeyhive.tracer.decorators",
    "get_default_tracer": "honeyhive.tracer.registry",
    "get_logger": "honeyhive.utils.logger",
    "is_missing": "honeyhive.utils.missing",
    "not_missing": "honeyhive.utils.missing",
    "set_default_tracer": "honeyhive.tracer.registry",
    "statistics": "honeyhive.tracer.export.worker:process_statistics",
    "trace": "honeyhive.tracer.decorators",
    "trace_class": "honeyhive.tracer.decorators",
}

__version__ = "0.1.0"
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'honeyhive' has no attribute {name!r}")
    module, _, other_name = home.partition(":")
    value = getattr(importlib.import_module(module), other_name or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
