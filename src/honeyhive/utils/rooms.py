"""The front door of a room whose names are looked up on first use, and what it says when a library is missing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping

__all__ = ["lookup"]

_EXTRAS: Mapping[str, str] = {
    "aiokafka": "kafka",
    "aio_pika": "rabbitmq",
    "aiosqlite": "sqlite",
    "asyncpg": "postgres",
    "bson": "mongo",
    "cloudevents": "events",
    "fastapi": "http",
    "nats": "nats",
    "pymongo": "mongo",
    "redis": "redis",
    "sqlalchemy": "sqlite",
    "starlette": "server",
    "uvicorn": "server",
}
"""Optional libraries, and an extra of ours that brings them."""


def lookup(room: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of the package *room*.

    Args:
        room: The package's full name.
        homes: Where each public name lives, relative to the package.

    Returns:
        A function that imports what it is asked for and keeps it in the package. It raises ``AttributeError`` for names
        that are not in *homes*, and an ``ImportError`` that says what to install when an optional library is missing.
    """

    def get(name: str) -> object:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        try:
            value: object = getattr(importlib.import_module(f"{room}.{home}"), name)
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get((error.name or "").partition(".")[0])
            if extra is None:
                raise
            raise ModuleNotFoundError(
                f"{room}.{name} needs {error.name}. Run: pip install 'honeyhive[{extra}]'", name=error.name
            ) from error
        setattr(sys.modules[room], name, value)
        return value

    return get
