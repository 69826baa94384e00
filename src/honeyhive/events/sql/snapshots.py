"""Snapshots in a SQL database, beside the events or elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from honeyhive.events.snapshots import AsyncSnapshotStore, Snapshot, SnapshotCodec, WrittenSnapshot
from honeyhive.events.sql.database import Database
from honeyhive.events.sql.named import sqlite_url
from honeyhive.events.sql.tables import Tables
from honeyhive.events.stores.blocking_snapshots import BlockingSnapshotStore

__all__ = ["AsyncSQLSnapshotStore", "PostgreSQLSnapshotStore", "SQLiteSnapshotStore"]


class AsyncSQLSnapshotStore(AsyncSnapshotStore):
    """Keeps the newest snapshot of each aggregate in a SQL database; for one event loop.

    Args:
        place: ``sqlite:///shop.db`` or ``postgresql://user@host/shop``; or an engine, which stays yours to close.
        types: The classes of the aggregates that may be read.
        prefix: Begins the names of the tables.

    Raises:
        ConfigurationError: The URL is of another kind, or a driver is missing.
    """

    def __init__(self, place: str | URL | AsyncEngine, *, types: Iterable[type] = (), prefix: str = "") -> None:
        self._database = Database(place, Tables(prefix))
        self._table = self._database.tables.snapshots
        self._codec = SnapshotCodec(types)

    async def save(self, snapshot: Snapshot[Any]) -> object:
        written = self._codec.write(snapshot.aggregate)
        table = self._table
        mine = table.c.aggregate_id == snapshot.aggregate_id
        async with self._database.writing() as connection:
            former = await connection.scalar(select(table.c.version).where(mine))
            if former is None or former <= snapshot.version:
                await connection.execute(table.delete().where(mine))
                await connection.execute(
                    table.insert().values(
                        aggregate_id=snapshot.aggregate_id,
                        version=snapshot.version,
                        type=written.type,
                        schema_version=written.schema_version,
                        state=written.state,
                    )
                )
        return None

    async def load(self, aggregate_id: str) -> Snapshot[Any] | None:
        table = self._table
        async with self._database.reading() as connection:
            row = (await connection.execute(select(table).where(table.c.aggregate_id == aggregate_id))).first()
        if row is None:
            return None
        aggregate = self._codec.read(WrittenSnapshot(row.type, row.schema_version, row.state))
        return None if aggregate is None else Snapshot(aggregate_id, row.version, aggregate)

    async def discard(self, aggregate_id: str) -> object:
        async with self._database.writing() as connection:
            await connection.execute(self._table.delete().where(self._table.c.aggregate_id == aggregate_id))
        return None

    async def close(self) -> None:
        """Give up the connections; twice is once."""
        await self._database.close()


class SQLiteSnapshotStore(BlockingSnapshotStore):
    """`AsyncSQLSnapshotStore` in a SQLite file, for programs that block. Thread-safe.

    Args:
        path: The file, which may be that of the events.
        types: The classes of the aggregates that may be read.
        prefix: Begins the names of the tables.
    """

    def __init__(self, path: Path | str, *, types: Iterable[type] = (), prefix: str = "") -> None:
        super().__init__(AsyncSQLSnapshotStore(sqlite_url(path), types=types, prefix=prefix))


class PostgreSQLSnapshotStore(BlockingSnapshotStore):
    """`AsyncSQLSnapshotStore` in a PostgreSQL database, for programs that block. Thread-safe.

    Args:
        url: ``postgresql://user:password@host:5432/name``.
        types: The classes of the aggregates that may be read.
        prefix: Begins the names of the tables.
    """

    def __init__(self, url: str | URL, *, types: Iterable[type] = (), prefix: str = "") -> None:
        super().__init__(AsyncSQLSnapshotStore(url, types=types, prefix=prefix))
