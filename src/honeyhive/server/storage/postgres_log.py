"""The ingest log in PostgreSQL: what is in here has been accepted, by whichever process, and survives a loss of power.

Positions are numbers without a gap. Each process appends what waits in one statement, which holds the row that has the
newest number until its transaction is visible; so a reader who has seen position 7 has seen all below it, which sequences do
not promise, and records have dates that rise as positions do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from honeyhive.events.log import DatedRecord
from honeyhive.exceptions import ConfigurationError, StoreUnavailableError
from honeyhive.journal import Position
from honeyhive.models.wire import RecordKind
from honeyhive.server.admission.limits import Refusal
from honeyhive.server.records.marks import LogKind
from honeyhive.server.stores.pool import Pool
from honeyhive.server.stores.postgres import make_schema
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["LOG_NAME", "PostgresLog"]

LOG_NAME: Final = "log"
"""What all positions in it have in place of a segment."""
_GROUP_BYTES: Final = 16 * 1024 * 1024
_GROUP_RECORDS: Final = 1_000
_BATCH_BYTES: Final = 8 * 1024 * 1024
_BATCH_ITEMS: Final = 4_096
_DISK_FULL: Final = "53100"
_FULL: Final = "The disk of the database is full; nothing was stored."
_AWAY: Final = "The backend cannot reach its database; nothing counts as stored."

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS log_records (
    position BIGINT PRIMARY KEY,
    recorded_ns BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    items BIGINT NOT NULL,
    payload BYTEA NOT NULL
);
CREATE TABLE IF NOT EXISTS log_head (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    position BIGINT NOT NULL,
    recorded_ns BIGINT NOT NULL
);
INSERT INTO log_head VALUES (1, 0, 0) ON CONFLICT DO NOTHING;
"""
_APPEND: Final = """
WITH head AS (
    UPDATE log_head SET position = position + cardinality($1::BIGINT[]), recorded_ns = greatest(recorded_ns, $4)
    RETURNING position - cardinality($1::BIGINT[]) AS before, recorded_ns
)
INSERT INTO log_records (position, recorded_ns, kind, items, payload)
SELECT head.before + new.number, head.recorded_ns, new.kind, new.items, new.payload
FROM head, unnest($1::BIGINT[], $2::BIGINT[], $3::BYTEA[]) WITH ORDINALITY AS new (kind, items, payload, number)
RETURNING position
"""
# What is behind the bounds is cut off by the sizes alone, without reading what is stored outside the row.
_READ: Final = """
WITH page AS (
    SELECT position, items, octet_length(payload) AS bytes FROM log_records
    WHERE position > $1 ORDER BY position LIMIT $2
), sized AS (
    SELECT position, row_number() OVER so_far AS number, sum(bytes) OVER so_far AS bytes, sum(items) OVER so_far AS items
    FROM page WINDOW so_far AS (ORDER BY position)
)
SELECT position, recorded_ns, kind, items, payload FROM log_records
WHERE position IN (SELECT position FROM sized WHERE number = 1 OR (bytes <= $3 AND items <= $2))
ORDER BY position
"""
_REMOVE: Final = """
WITH oldest AS (
    SELECT position FROM log_records WHERE position < $1 ORDER BY position LIMIT $2
), removed AS (
    DELETE FROM log_records WHERE position <= (SELECT max(position) FROM oldest) RETURNING 1
)
SELECT count(*) FROM removed
"""
_BY_INDEX: Final = "SET LOCAL enable_seqscan = off; SET LOCAL jit = off"


@dataclass(slots=True)
class _Draft:
    """A record that waits for its turn."""

    kind: int
    payload: bytes
    items: int
    position: Position | None = None
    error: Exception | None = None
    is_done: bool = False
    is_called: threading.Event = field(default_factory=threading.Event)
    """Set when it is done, or when it is its turn to see to all that wait."""


class PostgresLog:
    """Appends durably and dated, from any number of threads of any number of processes, and reads; a source of projections.

    Those that wait at the same time share one transaction.

    Args:
        pool: The connections; yours to close.
        on_append: Called after each durable append.
        clock: Dates what is accepted.
    """

    def __init__(self, pool: Pool, *, on_append: Callable[[], None] | None = None, clock: Clock | None = None) -> None:
        self._pool = pool
        self._on_append = on_append
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()  # who waits is taken by one group, and somebody has the turn while anybody waits
        self._waiting: list[_Draft] = []
        self._has_turn = False
        self._is_made = False
        self._last: Position | None = None

    def append(self, kind: RecordKind | LogKind, payload: bytes, items: int = 1) -> Position:
        """Append one record and return its position once it survives a loss of power.

        Raises:
            Refusal: 507 when the disk is full, 503 when the database is away; nothing counts as stored.
        """
        draft = _Draft(int(kind), payload, items)
        with self._lock:
            self._waiting.append(draft)
            is_mine, self._has_turn = not self._has_turn, True
        if not is_mine:
            draft.is_called.wait()
        if not draft.is_done:
            self._lead(draft)
        if draft.position is None:
            raise _refused(draft.error)
        if self._on_append is not None:
            self._on_append()
        return draft.position

    @property
    def last(self) -> Position | None:
        """The newest position that was given here."""
        return self._last

    def read(self, after: Position | None) -> list[DatedRecord]:
        """Return the next batch behind *after*, bounded by bytes and items.

        Raises:
            StoreUnavailableError: The database is away.
            ConfigurationError: *after* is a position in another log.
        """
        if after is not None and after.segment != LOG_NAME:
            raise ConfigurationError(
                "The read model was made from another log. Make it anew from this one: rebuild it."
            )
        rows = self._pool.call(lambda: self._read(0 if after is None else after.offset))
        return [
            DatedRecord(kind, items, payload, Position(LOG_NAME, position), recorded_ns)
            for position, recorded_ns, kind, items, payload in rows
        ]

    def newest(self) -> Position | None:
        """Return the newest position that anybody was given.

        Raises:
            StoreUnavailableError: The database is away.
        """
        number = self._value("SELECT position FROM log_head")
        return Position(LOG_NAME, number) if number else None

    def oldest(self) -> Position | None:
        """Return the position of the oldest record that is still there; errors as with `newest`."""
        number = self._value("SELECT min(position) FROM log_records")
        return Position(LOG_NAME, number) if number else None

    def first_since(self, moment_ns: int) -> Position | None:
        """Return the position of the oldest record that was accepted at *moment_ns* or later; errors as with `newest`."""
        number = self._value(
            "SELECT position FROM log_records WHERE recorded_ns >= $1 ORDER BY position LIMIT 1", moment_ns
        )
        return Position(LOG_NAME, number) if number else None

    def remove_before(self, position: Position, most: int) -> int:
        """Remove the oldest records in front of *position*, at most so many, and return how many; errors as with `newest`."""
        return self._value(_REMOVE, position.offset, most)

    def size_bytes(self) -> int:
        """Return what it takes, with the room of removed records that was not used again yet; errors as with `newest`."""
        return self._value("SELECT pg_total_relation_size('log_records')")

    def _value(self, query: str, *values: object) -> int:
        async def ask() -> int:
            async with self._pool.acquired() as raw:
                await self._make(raw)
                return await raw.fetchval(query, *values) or 0

        return self._pool.call(ask)

    def _take(self) -> list[_Draft]:
        """Take those that wait, oldest first, as many as go together."""
        size = count = 0
        with self._lock:
            for draft in self._waiting:
                size += len(draft.payload)
                if count and (size > _GROUP_BYTES or count == _GROUP_RECORDS):
                    break
                count += 1
            group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    def _lead(self, draft: _Draft) -> None:
        """Write what waits until *draft* is written, and pass the turn on."""
        try:
            while not draft.is_done:
                self._write(self._take())
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        """Give the turn to the first who waits; all others of a group have been told that they are done."""
        with self._lock:
            self._has_turn = bool(self._waiting)
            if self._waiting:
                self._waiting[0].is_called.set()

    def _write(self, group: Sequence[_Draft]) -> None:
        try:
            positions = self._pool.call(lambda: self._append(group))
        except Exception as error:  # noqa: BLE001 - each of those who wait is told
            for draft in group:
                draft.error = error
        else:
            for draft, position in zip(group, positions, strict=True):
                draft.position = Position(LOG_NAME, position)
            self._last = group[-1].position
        finally:
            for draft in group:
                draft.is_done = True
                draft.is_called.set()

    async def _append(self, group: Sequence[_Draft]) -> list[int]:
        kinds, items = [draft.kind for draft in group], [draft.items for draft in group]
        async with self._pool.acquired() as raw:
            await self._make(raw)
            rows = await raw.fetch(_APPEND, kinds, items, [draft.payload for draft in group], self._clock.time_ns())
        return sorted(row["position"] for row in rows)

    async def _read(self, after: int) -> Sequence[Any]:
        async with self._pool.acquired() as raw:
            await self._make(raw)
            async with raw.transaction(readonly=True):
                await raw.execute(_BY_INDEX)
                found: Sequence[Any] = await raw.fetch(_READ, after, _BATCH_ITEMS, _BATCH_BYTES)
            return found

    async def _make(self, raw: Any) -> None:
        if not self._is_made:
            async with raw.transaction():
                await make_schema(raw, self._pool.schema)
                await raw.execute(_TABLES)
            self._is_made = True


def _refused(error: Exception | None) -> Exception:
    if isinstance(error, StoreUnavailableError):
        if getattr(error.__cause__, "sqlstate", None) == _DISK_FULL:
            return Refusal(507, _FULL, retry_after_s=30)
        return Refusal(503, _AWAY, retry_after_s=5)
    return error or RuntimeError("a record was neither stored nor refused")
