"""The only room that speaks HTTP: the client of a HoneyHive service, and the transport under it and the exporter."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.api.pool import ConnectionPool
    from honeyhive.api.transport import Reply, Request, Transport

__all__ = ["ConnectionPool", "Reply", "Request", "Transport"]

_MODULES = {
    "ConnectionPool": "pool",
    "Reply": "transport",
    "Request": "transport",
    "Transport": "transport",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'honeyhive.api' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"honeyhive.api.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
