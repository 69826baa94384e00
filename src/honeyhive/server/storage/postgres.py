"""A backend's storage in PostgreSQL, for any number of processes: log and read model in one schema."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import chain, repeat
from typing import Any, Final

from honeyhive.events.projector import Projector
from honeyhive.exceptions import ConfigurationError, StoreUnavailableError
from honeyhive.journal import Position
from honeyhive.resilience import RetryPolicy
from honeyhive.server.admission.limits import Limits
from honeyhive.server.index.projector import ReadModel
from honeyhive.server.index.queries import Queries
from honeyhive.server.index.removal import sayings_before
from honeyhive.server.records.rows import Row
from honeyhive.server.retention.forgetting import LogForgetter, Settle, Size, settled
from honeyhive.server.storage.interface import Progress, Storage
from honeyhive.server.storage.postgres_log import PostgresLog
from honeyhive.server.stores import Database
from honeyhive.server.stores.pool import Pool
from honeyhive.server.stores.postgres import PostgresDatabase
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["PostgresForgetter", "PostgresProgress", "PostgresStorage"]

_POLL_S: Final = 0.5
"""How often a projector looks at the log when no news come: news may get lost."""
_THROUGH_OUTAGES: Final = RetryPolicy(max_attempts=None, delay=0.1, max_delay=1.0)
"""Requests are accepted as soon as the database is back, and readers are waiting for them."""
_FRESH_S: Final = 0.2
_PAUSES_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
_HEAD: Final = "SELECT position FROM log_head"
_PROJECTED: Final = 'SELECT "offset" FROM projected'
_SETTLING_S: Final = 30.0
_ROWS: Final = 2_000


class PostgresStorage(Storage):
    """Log and read model in one schema of a PostgreSQL database. Connects when first used.

    Args:
        url: ``postgresql://user@host/name``.
        schema: The schema that all its tables are in; made when absent, if the user may.
        on_append: Called after each durable append, from the thread that has appended.
        on_readable: Told what the projector here has made readable, from its thread.
        on_failure: Called when the projector here cannot go on, from its thread. An outage is no failure: it is waited for.
        limits: How long a query may take.
        rebuild: Have the projector here forget the read model and make it anew; the others go along.
        settling_s: How long forgetting waits for projectors, in seconds, before it leaves the rest for the next time.
        clock: Dates what is accepted.

    Raises:
        ConfigurationError: The URL or the name of the schema is wrong, or asyncpg is missing.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str = "honeyhive",
        on_append: Callable[[], None],
        on_readable: Callable[[Sequence[Row]], None],
        on_failure: Callable[[BaseException], None],
        limits: Limits,
        rebuild: bool = False,
        settling_s: float = _SETTLING_S,
        clock: Clock | None = None,
    ) -> None:
        self._settling_s = settling_s
        self._database = PostgresDatabase(url, schema=schema)
        self._pool = Pool(url, schema=schema)  # readers cannot keep the log waiting for a connection
        self.log = self._log = PostgresLog(self._pool, on_append=on_append, clock=clock)
        self.queries = Queries(self._database, longest_s=limits.query_s)
        self.projector = Projector(
            self._log,
            ReadModel(self._database, on_readable, clock=clock),
            on_failure=on_failure,
            retry=_THROUGH_OUTAGES,
            poll_s=_POLL_S,
            rebuild=rebuild,
            clock=clock,
        )
        self.progress = PostgresProgress(self._pool, clock=clock)
        self.forgetter = PostgresForgetter(self._log, self._database, settle=self._until_readable)

    def _until_readable(self, position: Position) -> Iterator[None]:
        return settled(self._pool.submit(lambda: self.progress.reached(position)), self._settling_s)

    def connect(self) -> None:
        """Connect now, and not when first used.

        Raises:
            StoreUnavailableError: The database is away.
            ConfigurationError: It does not let us in, or there is none of that name.
        """
        self._log.newest()

    def close(self) -> None:
        """Close all connections; twice is once."""
        self._pool.close()
        self._database.close()


class PostgresProgress(Progress):
    """How far readers can see, asked of the database, whichever process projects.

    Args:
        pool: The connections; yours to close.
        clock: Tells how old an answer is.
    """

    def __init__(self, pool: Pool, *, clock: Clock | None = None) -> None:
        self._pool = pool
        self._clock = clock or SystemClock()
        self._backlog = 0
        self._asked: Future[tuple[int, int]] | None = None
        self._asked_s = float("-inf")

    @property
    def backlog(self) -> int:
        """Records that are accepted and not readable yet, as of the last look; does not wait, but has the next one taken."""
        is_answered = self._asked is None or self._asked.done()  # a database that hangs is asked once
        if is_answered and self._clock.monotonic() - self._asked_s > _FRESH_S:
            self._asked_s = self._clock.monotonic()
            self._asked = self._pool.submit(self._look)
        return self._backlog

    async def reached(self, position: Position) -> None:
        """Return when everything up to *position* can be read; an outage of the database is waited for."""
        async for _, projected in self._looks():
            if projected >= position.offset:
                return

    async def caught_up(self) -> None:
        """Return when everything can be read that is accepted by now, by whichever process; waits as `reached` does."""
        wanted: int | None = None
        async for head, projected in self._looks():
            wanted = head if wanted is None else wanted
            if projected >= wanted:
                return

    async def _looks(self) -> AsyncIterator[tuple[int, int]]:
        """Yield the newest number in the log, and up to which one it is projected, again and again."""
        for pause_s in chain(_PAUSES_S, repeat(_PAUSES_S[-1])):
            with suppress(StoreUnavailableError):
                yield await asyncio.wrap_future(self._pool.submit(self._look))
            await asyncio.sleep(pause_s)

    async def _look(self) -> tuple[int, int]:
        async with self._pool.acquired() as raw:
            head, projected = await _number(raw, _HEAD), await _number(raw, _PROJECTED)
        self._backlog = max(0, head - projected)
        return head, projected


class PostgresForgetter(LogForgetter):
    """Forgets in the log and in the read model by age. By size it cannot: PostgreSQL keeps the room of removed rows.

    Args:
        log: The log.
        database: Where the read model is.
        settle: Waits until the read model shows what it must.
        rows: How many rows of the read model, and how many records, go in one transaction, about.
    """

    def __init__(self, log: PostgresLog, database: Database, *, settle: Settle, rows: int = _ROWS) -> None:
        super().__init__(log.append, database, settle=settle, rows=rows)
        self._log = log

    @property
    def least_bytes(self) -> int:
        raise ConfigurationError("A backend on PostgreSQL forgets by age only; give --keep-days instead of a size.")

    def size(self) -> Size:
        return Size(self._log.size_bytes(), self._database.size_bytes())

    def moment_for(self, share: float) -> int | None:  # noqa: ARG002 - no removal would make the tables smaller
        return None

    def seal(self, before_ns: int) -> None:
        """Do nothing: records go one by one."""

    def newest(self) -> Position | None:
        return self._log.newest()

    def drop(self, before_ns: int) -> Iterator[None]:
        kept = self._log.first_since(before_ns) or self._log.newest()
        if kept is None or kept == self._log.oldest():
            return
        yield from self.leave(before_ns, lambda index: sayings_before(index, kept))
        while self._log.remove_before(kept, self._rows):
            yield


async def _number(raw: Any, query: str) -> int:
    import asyncpg

    try:
        return await raw.fetchval(query) or 0
    except asyncpg.UndefinedTableError:  # nobody has accepted, or nobody has projected anything yet
        return 0
