"""Connections to PostgreSQL for threads that block: one event loop in a thread of its own, with asyncpg beneath.

Whatever says that the database is away comes out as `StoreUnavailableError`, whatever the driver calls it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from typing import Any, Final, Literal, NamedTuple, TypeVar

from honeyhive.events.stores.blocking import LoopThread
from honeyhive.exceptions import ConfigurationError, StoreUnavailableError
from honeyhive.server.stores.interface import Cells, Connection, QueryTooLongError, Values

__all__ = ["Pool", "PooledConnection", "lock_of"]

_AWAY: Final = ("08", "40", "53", "57", "58", "25P03", "55P03")
"""What the codes of errors begin with that say so: connection, rollback by the server, resources, intervention, system."""
_FORBIDDEN: Final = ("28", "3D", "42501")
"""... that say that we may not: authorisation, no such database, no right."""
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,50}")
_MOST_CONNECTIONS: Final = 16
_STREAMED: Final = 500
_CLOSING_S: Final = 5.0
_MARK: Final = re.compile(r"\?")
_NO_TEXT: Final = re.compile("[\x00\ud800-\udfff]")
_SETTINGS: Final = {
    "application_name": "honeyhive",
    # A machine that is gone must not keep its locks for hours.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}

T = TypeVar("T")


class Begun(NamedTuple):
    """A connection in a transaction."""

    raw: Any
    transaction: Any


class Pool:
    """Connections to one database, and the thread that uses them. Thread-safe; connects when first needed.

    Args:
        url: ``postgresql://user@host/name``.
        schema: Where unqualified names are looked up.

    Attributes:
        schema: Its name.

    Raises:
        ConfigurationError: asyncpg is missing, the URL is of another kind, or the name of the schema is none.
    """

    def __init__(self, url: str, *, schema: str) -> None:
        if not _NAME.fullmatch(schema):
            raise ConfigurationError(f"{schema!r} is no name for a schema; use small letters, digits and underscores.")
        if not url.startswith(("postgresql://", "postgres://")):
            raise ConfigurationError(f"{url.partition(':')[0]}: is not PostgreSQL; write postgresql://USER@HOST/NAME")
        try:
            import asyncpg
        except ModuleNotFoundError as error:
            raise ConfigurationError(f"{error.name} is missing. Run: pip install 'honeyhive[postgres]'") from error
        self._driver = asyncpg
        self._errors = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
        self._url = url
        self.schema = schema
        self._thread = LoopThread()
        self._pool: Any = None

    def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the coroutine that *work* makes returns.

        Raises:
            StoreUnavailableError: The database is away.
            StoreClosedError: The pool is closed.
            ConfigurationError: The database does not exist, or does not let us in.
        """
        return self._thread.call(lambda: self._telling(work))

    def submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Run the coroutine that *work* makes, and return the future of its result; errors as with `call`."""
        return self._thread.submit(lambda: self._telling(work))

    @contextmanager
    def transaction(
        self,
        *prelude: str,
        isolation: Literal["read_committed", "repeatable_read"] = "read_committed",
        is_readonly: bool = False,
    ) -> Iterator[PooledConnection]:
        """Give a connection in a transaction, after the statements of *prelude*; commit at the end of the block.

        Raises:
            StoreUnavailableError: The database is away; whether a commit came through is not known then.
        """
        begun = self.call(lambda: self._begin(prelude, isolation, is_readonly))
        try:
            yield PooledConnection(self, begun.raw)
        except BaseException:
            with suppress(StoreUnavailableError):  # the connection is gone, and so is the transaction
                self.call(lambda: self._end(begun, begun.transaction.rollback))
            raise
        self.call(lambda: self._end(begun, begun.transaction.commit))

    def close(self) -> None:
        """Close all connections and end the thread; twice is once."""
        self._thread.close(self._close)

    @asynccontextmanager
    async def acquired(self) -> AsyncIterator[Any]:
        """Give a bare connection of the driver, to coroutines that `call` runs."""
        pool = await self._connections()
        async with pool.acquire() as raw:
            yield raw

    async def _telling(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except (*self._errors, OSError) as error:
            told = self._told(error)
            if told is error:
                raise
            raise told from error

    async def _begin(self, prelude: Sequence[str], isolation: str, is_readonly: bool) -> Begun:
        raw = await (await self._connections()).acquire()
        try:
            transaction = raw.transaction(isolation=isolation, readonly=is_readonly)
            await transaction.start()
            for statement in prelude:
                await raw.execute(statement)
        except BaseException:
            await self._given_up(raw)
            raise
        return Begun(raw, transaction)

    async def _end(self, begun: Begun, ending: Callable[[], Awaitable[None]]) -> None:
        try:
            await ending()
        except BaseException:
            await self._given_up(begun.raw)
            raise
        await self._pool.release(begun.raw)

    async def _given_up(self, raw: Any) -> None:
        """Give *raw* back closed: what state it is in is not known."""
        raw.terminate()
        await self._pool.release(raw)

    async def _connections(self) -> Any:
        if self._pool is None:
            self._pool = self._driver.create_pool(
                self._url,
                min_size=0,
                max_size=_MOST_CONNECTIONS,
                connection_class=_kept_as_it_is(self._driver),
                server_settings={**_SETTINGS, "search_path": f'"{self.schema}"'},
            )
        await self._pool  # whoever comes second waits for the first
        return self._pool

    async def _close(self) -> None:
        if self._pool is None:
            return
        try:
            await asyncio.wait_for(self._pool.close(), timeout=_CLOSING_S)
        except (*self._errors, OSError):
            self._pool.terminate()  # somebody is still at it, or nobody answers

    def _told(self, error: Exception) -> Exception:
        """Tell an outage from a mistake of ours."""
        driver = self._driver
        code = getattr(error, "sqlstate", None) or ""
        if isinstance(error, driver.QueryCanceledError):
            return QueryTooLongError("The query took too long.")
        if isinstance(error, driver.InvalidCachedStatementError) or code.startswith(_AWAY):
            return StoreUnavailableError(f"PostgreSQL cannot go on just now: {error}")
        if code.startswith(_FORBIDDEN):
            return ConfigurationError(f"PostgreSQL does not let us in: {error}")
        if isinstance(error, StoreUnavailableError | ValueError):  # asyncpg's errors of values are interface errors too
            return error
        if isinstance(error, driver.InterfaceError | driver.InternalClientError | OSError):
            return StoreUnavailableError(f"PostgreSQL cannot be reached just now: {error or type(error).__name__}")
        return error


class PooledConnection(Connection):
    """A connection of a pool, in a transaction."""

    def __init__(self, pool: Pool, raw: Any) -> None:
        self._pool = pool
        self._raw = raw

    def execute(self, statement: str, values: Values = ()) -> None:
        self._pool.call(lambda: self._raw.execute(_numbered(statement), *map(_storable, values)))

    def execute_many(self, statement: str, rows: Iterable[Values]) -> None:
        stored = [[_storable(value) for value in row] for row in rows]
        if stored:
            self._pool.call(lambda: self._raw.executemany(_numbered(statement), stored))

    def rows(self, statement: str, values: Values = ()) -> Sequence[Cells]:
        found: Sequence[Cells] = self._pool.call(lambda: self._raw.fetch(_numbered(statement), *map(_storable, values)))
        return found

    def stream(self, statement: str, values: Values = ()) -> Iterator[Cells]:
        cursor = self._pool.call(lambda: self._cursor(_numbered(statement), values))
        while found := self._pool.call(lambda: cursor.fetch(_STREAMED)):
            yield from found

    async def _cursor(self, statement: str, values: Values) -> Any:
        return await self._raw.cursor(statement, *map(_storable, values))


def lock_of(subject: str) -> str:
    """Return the statement that waits until no other transaction is about *subject*, and keeps others out until its end."""
    key = int.from_bytes(blake2b(subject.encode(), digest_size=8).digest(), signed=True)
    return f"SELECT pg_advisory_xact_lock({key})"


@lru_cache(maxsize=256)
def _numbered(statement: str) -> str:
    """Return *statement* with the marks that PostgreSQL knows."""
    numbers = count(1)
    return _MARK.sub(lambda _: f"${next(numbers)}", statement)


def _storable(value: object) -> object:
    """Return *value*; in texts, what PostgreSQL cannot hold is replaced so that it can be seen."""
    if isinstance(value, str) and ("\0" in value or not value.isascii()):
        return _NO_TEXT.sub(lambda match: "\u2400" if match[0] == "\0" else "\ufffd", value)
    return value


def _kept_as_it_is(driver: Any) -> type:
    """Return a connection class that goes back to the pool without a statement: nothing of ours outlives a transaction."""

    class Kept(driver.Connection):  # type: ignore[misc] # the driver has no types
        __slots__ = ()

        def get_reset_query(self) -> str:
            return ""

    return Kept
