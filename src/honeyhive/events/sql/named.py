"""The SQL stores by the names of their databases, to be awaited and blocking."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict, Unpack

from sqlalchemy.engine import URL

from honeyhive.events.codec import MessageCodec
from honeyhive.events.sql.blocking import BlockingSQLEventStore
from honeyhive.events.sql.store import AsyncSQLEventStore
from honeyhive.events.upcasting import Upcasters
from honeyhive.exceptions import ConfigurationError
from honeyhive.utils.clock import Clock

__all__ = [
    "AsyncPostgreSQLEventStore",
    "AsyncSQLiteEventStore",
    "PostgreSQLEventStore",
    "SQLStoreOptions",
    "SQLiteEventStore",
]


class SQLStoreOptions(TypedDict, total=False):
    """What all SQL stores may be told; see `AsyncSQLEventStore`."""

    codec: MessageCodec | None
    upcasters: Upcasters | None
    clock: Clock | None
    prefix: str
    poll_s: float


class AsyncSQLiteEventStore(AsyncSQLEventStore):
    """Keeps events in a SQLite file, durable when `save` returns; several processes may use it.

    Args:
        path: The file, made when absent, or its ``sqlite:`` URL; ``:memory:`` for none.
        options: As of `AsyncSQLEventStore`.

    Raises:
        ConfigurationError: A driver is missing.
    """

    def __init__(self, path: Path | str, **options: Unpack[SQLStoreOptions]) -> None:
        super().__init__(sqlite_url(path), **options)


class AsyncPostgreSQLEventStore(AsyncSQLEventStore):
    """Keeps events in a PostgreSQL database.

    Args:
        url: ``postgresql://user:password@host:5432/name``.
        options: As of `AsyncSQLEventStore`.

    Raises:
        ConfigurationError: The URL is of another kind, or a driver is missing.
    """

    def __init__(self, url: str | URL, **options: Unpack[SQLStoreOptions]) -> None:
        if not str(url).startswith(("postgresql", "postgres")):
            raise ConfigurationError("a PostgreSQL store takes a URL such as postgresql://user@host:5432/name")
        super().__init__(url, **options)


class SQLiteEventStore(BlockingSQLEventStore):
    """`AsyncSQLiteEventStore` for programs that block. Thread-safe."""

    def __init__(self, path: Path | str, **options: Unpack[SQLStoreOptions]) -> None:
        super().__init__(AsyncSQLiteEventStore(path, **options))


class PostgreSQLEventStore(BlockingSQLEventStore):
    """`AsyncPostgreSQLEventStore` for programs that block. Thread-safe."""

    def __init__(self, url: str | URL, **options: Unpack[SQLStoreOptions]) -> None:
        super().__init__(AsyncPostgreSQLEventStore(url, **options))


def sqlite_url(path: Path | str) -> str | URL:
    """Return the URL of the file *path*, or *path* if it is one."""
    if isinstance(path, str) and path.startswith("sqlite"):
        return path
    return URL.create("sqlite", database=str(path))
