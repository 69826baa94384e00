"""A read model in any SQL database that SQLAlchemy knows the driver of, asynchronous."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import MetaData, select
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from honeyhive.events.following import BuriedRecord, Overtaken
from honeyhive.events.projections import Projection
from honeyhive.events.sql.database import Database
from honeyhive.events.sql.named import sqlite_url
from honeyhive.events.sql.tables import Tables
from honeyhive.events.steps import run_async
from honeyhive.events.store import RecordedEvent
from honeyhive.exceptions import StoreUnavailableError

__all__ = ["SQLProjection"]


class SQLProjection(Projection):
    """A read model in tables of a SQL database; rows and position move in one transaction.

    For `honeyhive.events.AsyncProjectionEngine`. Methods marked with `honeyhive.events.on` are coroutine functions and use
    `connection`. Several processes may run the same projection: each event has its effect once.

    Args:
        place: A path, a URL as of the stores, or an engine, which stays yours to close.
        prefix: Begins the names of the tables in which positions are kept.

    Attributes:
        metadata: The tables of the model; they are made, and emptied, with it.
    """

    metadata: ClassVar[MetaData]
    outages = (StoreUnavailableError,)

    def __init__(self, place: Path | str | URL | AsyncEngine, *, prefix: str = "") -> None:
        self._database = Database(sqlite_url(place) if isinstance(place, Path) else place, Tables(prefix))
        self._tables = self._database.tables
        self._connection: AsyncConnection | None = None
        self._position: int | None = None

    @property
    def connection(self) -> AsyncConnection:
        """The connection of the transaction in which an event is being handled.

        Raises:
            RuntimeError: No event is being handled.
        """
        if self._connection is None:
            raise RuntimeError(f"{self.name} is handling no event; to read its tables, use `reading`")
        return self._connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection to query the model."""
        async with self._database.reading() as connection:
            yield connection

    async def open(self) -> Any:
        async with self._database.writing() as connection:
            await connection.run_sync(self.metadata.create_all)

    async def position(self) -> int | None:
        async with self._database.reading() as connection:
            self._position = await self._stored(connection)
        return self._position

    async def apply(self, records: Sequence[RecordedEvent]) -> Any:
        async with self._moving(records[-1].position) as connection:
            self._connection = connection
            try:
                for record in records:
                    await run_async(self.handling(record))
            finally:
                self._connection = None

    async def bury(self, record: RecordedEvent, error: Exception) -> Any:
        reason = f"{type(error).__name__}: {error}"
        async with self._moving(record.position) as connection:
            await connection.execute(
                self._tables.buried.insert().values(name=self.name, position=record.position, reason=reason)
            )

    async def reset(self) -> Any:
        async with self._database.writing() as connection:
            await connection.run_sync(self.metadata.drop_all)
            await connection.run_sync(self.metadata.create_all)
            for table in (self._tables.positions, self._tables.buried):
                await connection.execute(table.delete().where(table.c.name == self.name))

    async def buried(self) -> list[BuriedRecord]:
        """Return the events that could not be applied, oldest first."""
        table = self._tables.buried
        query = select(table.c.position, table.c.reason).where(table.c.name == self.name).order_by(table.c.position)
        async with self._database.reading() as connection:
            return [BuriedRecord(self.name, *row) for row in await connection.execute(query)]

    async def close(self) -> Any:
        # Queries go on when the projection is not kept up to date any more; `dispose` ends those too.
        return None

    async def dispose(self) -> None:
        """Close all connections of an engine made here; twice is once."""
        await self._database.close()

    async def _stored(self, connection: AsyncConnection) -> int | None:
        table = self._tables.positions
        return await connection.scalar(select(table.c.position).where(table.c.name == self.name))

    @asynccontextmanager
    async def _moving(self, position: int) -> AsyncIterator[AsyncConnection]:
        table = self._tables.positions
        async with self._database.transaction(f"projection {self.name}") as connection:
            if await self._stored(connection) != self._position:
                raise Overtaken(self.name)
            yield connection
            if self._position is None:
                await connection.execute(table.insert().values(name=self.name, position=position))
            else:
                await connection.execute(table.update().where(table.c.name == self.name).values(position=position))
        self._position = position
