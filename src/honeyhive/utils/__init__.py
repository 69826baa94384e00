"""What would make sense in any project: nothing in here knows a honeyhive noun.

Names are looked up on first use, so that importing one helper does not load the others; functions that share their
module's name are imported at once, or the module would take their place.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from honeyhive.utils.capture import CaptureLimits, capture, captured_bytes
from honeyhive.utils.guard import guard, raise_it
from honeyhive.utils.render import render, tree

if TYPE_CHECKING:
    from honeyhive.utils.clock import Clock, SystemClock
    from honeyhive.utils.dotdict import DotDict
    from honeyhive.utils.error_context import ErrorContext
    from honeyhive.utils.fork import Renewable, renew_after_fork
    from honeyhive.utils.frozen import FrozenDict, Immutable, freeze, immutable
    from honeyhive.utils.ids import RandomIds, event_id, is_uuid, new_session_id
    from honeyhive.utils.lazy import LazyResource
    from honeyhive.utils.logger import get_logger
    from honeyhive.utils.missing import MISSING, Missing, is_missing, not_missing, unless_missing
    from honeyhive.utils.normalise import normalise_key, normalise_value
    from honeyhive.utils.patterns import DynamicProcessor, PatternMatcher, Rule
    from honeyhive.utils.redact import Redactor

__all__ = [
    "MISSING",
    "CaptureLimits",
    "Clock",
    "DotDict",
    "DynamicProcessor",
    "ErrorContext",
    "FrozenDict",
    "Immutable",
    "LazyResource",
    "Missing",
    "PatternMatcher",
    "RandomIds",
    "Redactor",
    "Renewable",
    "Rule",
    "SystemClock",
    "capture",
    "captured_bytes",
    "event_id",
    "freeze",
    "get_logger",
    "guard",
    "immutable",
    "is_missing",
    "is_uuid",
    "new_session_id",
    "normalise_key",
    "normalise_value",
    "not_missing",
    "raise_it",
    "render",
    "renew_after_fork",
    "tree",
    "unless_missing",
]

_MODULES = {
    "Clock": "clock",
    "DotDict": "dotdict",
    "get_logger": "logger",
    "DynamicProcessor": "patterns",
    "ErrorContext": "error_context",
    "FrozenDict": "frozen",
    "Immutable": "frozen",
    "LazyResource": "lazy",
    "MISSING": "missing",
    "Missing": "missing",
    "PatternMatcher": "patterns",
    "RandomIds": "ids",
    "Redactor": "redact",
    "Renewable": "fork",
    "Rule": "patterns",
    "SystemClock": "clock",
    "event_id": "ids",
    "freeze": "frozen",
    "is_missing": "missing",
    "immutable": "frozen",
    "is_uuid": "ids",
    "new_session_id": "ids",
    "normalise_key": "normalise",
    "normalise_value": "normalise",
    "not_missing": "missing",
    "unless_missing": "missing",
    "renew_after_fork": "fork",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'honeyhive.utils' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"honeyhive.utils.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
