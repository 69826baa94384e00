"""The only room that speaks HTTP: the client of a HoneyHive service, and the transport under it and the exporter."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.api.client import HoneyHive
    from honeyhive.api.degrade import CallStatistics
    from honeyhive.api.pool import ConnectionPool
    from honeyhive.api.resources import EventsAPI, SessionsAPI
    from honeyhive.api.transport import Reply, Request, Transport
    from honeyhive.exceptions import MissingApiKeyError

__all__ = [
    "CallStatistics",
    "ConnectionPool",
    "EventsAPI",
    "HoneyHive",
    "MissingApiKeyError",
    "Reply",
    "Request",
    "SessionsAPI",
    "Transport",
]

_MODULES = {
    "CallStatistics": "honeyhive.api.degrade",
    "ConnectionPool": "honeyhive.api.pool",
    "EventsAPI": "honeyhive.api.resources",
    "HoneyHive": "honeyhive.api.client",
    "MissingApiKeyError": "honeyhive.exceptions",
    "Reply": "honeyhive.api.transport",
    "Request": "honeyhive.api.transport",
    "SessionsAPI": "honeyhive.api.resources",
    "Transport": "honeyhive.api.transport",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'honeyhive.api' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
