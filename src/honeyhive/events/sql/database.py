"""Connections to a SQL database, and the transactions in which one writer works at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from hashlib import blake2b
from typing import Any, Final

import anyio
from sqlalchemy import event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from honeyhive.events.sql.tables import Tables
from honeyhive.events.sqlite_outages import is_away
from honeyhive.exceptions import ConfigurationError, StoreClosedError, StoreUnavailableError

__all__ = ["Database", "outages_told"]

_AWAY: Final = ("08", "40", "53", "57", "58")
"""Classes of SQLSTATE that say so: connection, rollback by the server, resources, intervention, system."""

_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
_BUSY_S: Final = 30
_LOCK: Final = text("SELECT pg_advisory_xact_lock(:key)")


class Database:
    """A SQL database as the event room uses it; for one event loop.

    The tables are made when it is first used.

    Args:
        place: Its URL, ``sqlite:///shop.db`` or ``postgresql://user@host/shop``; or an engine, which stays yours to close.
        tables: The tables.

    Raises:
        ConfigurationError: The URL is of another kind, or a driver is missing.
    """

    def __init__(self, place: str | URL | AsyncEngine, tables: Tables) -> None:
        self.tables = tables
        self._is_ours = not isinstance(place, AsyncEngine)
        self.engine = place if isinstance(place, AsyncEngine) else engine_of(place)
        self._events = f"{tables.prefix}events"
        self._making: anyio.Lock | None = None
        self._is_made = False
        self._is_closed = False

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite: one file, one writer."""
        return self.engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection for reading."""
        with outages_told():
            await self._ready()
            async with self.engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction that no other writer of these tables runs beside; commit at the end.

        So whatever is numbered in it becomes visible in the order of its numbers, without a gap.
        """
        async with self.transaction(self._events) as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self, subject: str) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction beside which no other one runs that is about *subject*; commit at the end."""
        with outages_told():
            await self._ready()
            async with self.engine.connect() as connection:
                if self.is_sqlite:
                    await _begin(connection)
                else:
                    await connection.execute(_LOCK, {"key": _key_of(subject)})
                yield connection
                await connection.commit()

    async def insert_many(self, connection: AsyncConnection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert *rows* by *statement*, which is compiled for this database.

        Raises:
            sqlalchemy.exc.IntegrityError: A row is there already.
        """
        if not self.is_sqlite:
            await connection.exec_driver_sql(statement, rows)
            return
        try:
            # SQLAlchemy would go to the driver's thread three times for it.
            await (await _driver_of(connection)).executemany(statement, rows)
        except sqlite3.IntegrityError as error:
            raise IntegrityError(statement, None, error) from error

    async def become_writer(self, connection: AsyncConnection) -> None:
        """Make the transaction of *connection*, begun by somebody else, the one writer until it ends."""
        await self._ready()
        if not self.is_sqlite:
            await connection.execute(_LOCK, {"key": _key_of(self._events)})

    async def close(self) -> None:
        """Close all connections of an engine made here; twice is once."""
        self._is_closed = True
        if self._is_ours:
            await self.engine.dispose()

    async def _ready(self) -> None:
        if self._is_closed:
            raise StoreClosedError("the store is closed; make a new one")
        if self._is_made:
            return
        self._making = self._making or anyio.Lock()
        async with self._making:
            if not self._is_made:
                await self._make()
                self._is_made = True

    async def _make(self) -> None:
        async with self.engine.connect() as connection:
            if self.is_sqlite:
                await _begin(connection)
            else:
                # Two processes that make the same table at once would disturb one another.
                await connection.execute(_LOCK, {"key": _key_of(self._events)})
            await connection.run_sync(self.tables.metadata.create_all)
            await connection.commit()


@contextmanager
def outages_told() -> Iterator[None]:
    """Tell an outage from a mistake: raise it as `StoreUnavailableError`, and all else as it is."""
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated or _is_away(error.orig):
            raise StoreUnavailableError(f"the database cannot be reached just now: {error.orig}") from error
        raise
    except sqlite3.Error as error:
        if is_away(error):
            raise StoreUnavailableError(f"the database cannot be written just now: {error}") from error
        raise
    except StoreUnavailableError:
        raise
    except OSError as error:
        raise StoreUnavailableError(f"the database cannot be reached just now: {error}") from error


def _is_away(error: BaseException | None) -> bool:
    if isinstance(error, sqlite3.Error):
        return is_away(error)
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return isinstance(state, str) and state.startswith(_AWAY)


async def _begin(connection: AsyncConnection) -> None:
    """Begin a transaction that may write: one that begins by reading may find that it cannot write any more."""
    await (await _driver_of(connection)).execute("BEGIN IMMEDIATE")


async def _driver_of(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


def _key_of(subject: str) -> int:
    return int.from_bytes(blake2b(subject.encode(), digest_size=8).digest(), signed=True)


def engine_of(place: str | URL) -> AsyncEngine:
    """Return a new engine for *place*.

    Raises:
        ConfigurationError: The URL is of another kind, or a driver is missing.
    """
    url = make_url(place)
    driver = _DRIVERS.get(url.drivername, url.drivername)
    if driver not in _DRIVERS.values():
        raise ConfigurationError(
            f"{url.render_as_string()} is neither SQLite nor PostgreSQL; write sqlite:///FILE or postgresql://USER@HOST/NAME"
        )
    url = url.set(drivername=driver)
    try:
        return _sqlite(url) if driver.startswith("sqlite") else create_async_engine(url, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        extra = "sqlite" if driver.startswith("sqlite") else "postgres"
        raise ConfigurationError(f"{error.name} is missing. Run: pip install 'honeyhive[{extra}]'") from error


def _sqlite(url: URL) -> AsyncEngine:
    # In autocommit the transactions are ours to begin, see Database._begin.
    arguments = {"isolation_level": None, "timeout": _BUSY_S}
    if url.database in {None, "", ":memory:"}:
        # It lives as long as its one connection, which only one at a time may use.
        engine = create_async_engine(
            url, connect_args=arguments, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0
        )
    else:
        # What is not committed is rolled back before a connection goes back to the pool, which need not do it again.
        engine = create_async_engine(url, connect_args=arguments, pool_reset_on_return=None)
    event.listen(engine.sync_engine, "connect", _prepare)
    return engine


def _prepare(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined] # a connection as drivers have it
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
