"""Writing the read model: what journal records change, and the one transaction that a batch of them is.

Nothing in here is the truth; the journal is. The SQL is the same for every database, see `honeyhive.server.stores`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

from honeyhive.events.following import Overtaken
from honeyhive.journal import Position
from honeyhive.server import jsontext
from honeyhive.server.index.amendments import Amendment, amended, known_amendments
from honeyhive.server.index.removal import remove, text_of
from honeyhive.server.index.summaries import summarise_sessions, summarise_traces
from honeyhive.server.records.logs import LogRow
from honeyhive.server.records.marks import Forgotten
from honeyhive.server.records.reports import ClientReport
from honeyhive.server.records.rows import EVENT_KIND, Row
from honeyhive.server.stores import Connection, Database, database_of
from honeyhive.server.stores.statements import found, upsert

__all__ = ["Amendment", "Changes", "Store"]

_COLUMNS: Final = tuple(column.name for column in fields(Row))
_LOG_COLUMNS: Final = tuple(column.name for column in fields(LogRow))
_REPORT_COLUMNS: Final = tuple(column.name for column in fields(ClientReport))
_CELLS: Final = {kind: attrgetter(*(column.name for column in fields(kind))) for kind in (Row, LogRow, ClientReport)}
_LONGEST_S: Final = 60.0

_PUT_SPAN: Final = upsert("spans", [*_COLUMNS, "recorded_ns"], ["trace_id", "span_id"])
_PUT_LOG: Final = upsert("logs", [*_LOG_COLUMNS, "recorded_ns"], ["log_id"])
_PUT_REPORT: Final = upsert("client_reports", [*_REPORT_COLUMNS, "recorded_ns"], ["report_id"])
_PUT_START: Final = (
    upsert("session_starts", ["session_id", "event", "recorded_ns", "position", "held"], ["session_id"])
    + " WHERE excluded.position >= session_starts.position"  # what is carried over is older than where it stands
)
_PUT_AMENDMENT: Final = upsert(
    "amendments", ["event_id", "position", "fields", "recorded_ns", "held"], ["event_id", "position"]
)
_PUT_DEAD_LETTER: Final = upsert("dead_letters", ["position", "reason", "recorded_ns"], ["position"])
_PUT_POSITION: Final = upsert("projected", ["only_row", "segment", "offset"], ["only_row"])
_POSITION: Final = 'SELECT segment, "offset" FROM projected'
_OF_EVENTS: Final = f"SELECT {', '.join(_COLUMNS)}, recorded_ns FROM spans WHERE event_id IN {{keys}}"  # noqa: S608
# SQLite has no use of an index for `(trace_id, span_id) IN (VALUES ...)`; alternatives are looked up in both engines.
_FORMER_SPANS: Final = "SELECT session_id FROM spans WHERE {keys}"
_FORMER_EVENTS: Final = (
    "SELECT trace_id, span_id, session_id, event_id FROM spans WHERE event_id IN {keys} AND kind = 'event'"
)
_DROP_SPAN: Final = "DELETE FROM spans WHERE trace_id = ? AND span_id = ?"
_KNOWN_SESSIONS: Final = "SELECT session_id FROM sessions WHERE session_id IN {keys}"

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Changes:
    """What one journal record changes."""

    rows: Sequence[Row] = ()
    session_starts: Sequence[Mapping[str, object]] = ()
    amendments: Sequence[Amendment] = ()
    logs: Sequence[LogRow] = ()
    reports: Sequence[ClientReport] = ()
    dead_letter: str | None = None
    """Why the record cannot be projected."""
    carried: Sequence[tuple[Position, Changes]] = ()
    """Starts and updates that were accepted earlier, and where."""
    forgotten: Forgotten | None = None
    """What is forgotten from here on."""
    recorded_ns: int = 0
    """When the record was accepted, in nanoseconds since 1970; 0 where nobody knows."""


class Store:
    """The writer's side; owned by one thread, which must be the one that opens it.

    Args:
        place: The database; a path is that of a SQLite file, which is made when absent and put aside when damaged.
    """

    def __init__(self, place: Database | Path) -> None:
        self._database = database_of(place)
        self._writer = self._database.writer()
        self._position = self.position()

    def position(self) -> Position | None:
        """Return the journal position up to which everything is projected.

        Raises:
            StoreUnavailableError: The database is away.
        """
        with self._database.reading(longest_s=_LONGEST_S) as connection:
            self._position = _position_in(connection)
        return self._position

    def apply(self, changes: Iterable[tuple[Position, Changes]]) -> None:
        """Apply *changes*, in order, and move the position, all in one transaction.

        Applying the same changes again changes nothing.

        Args:
            changes: Taken only when no other writer runs any more.

        Raises:
            Overtaken: Another writer has moved the position since it was read; nothing was applied.
            StoreUnavailableError: The database is away; whether anything was applied is not known.
        """
        reached, batch = self._position, _Batch()
        with self._writer.transaction() as connection:
            if _position_in(connection) != self._position:
                raise Overtaken("the read model")
            transaction = _Transaction(connection)
            for position, change in changes:
                reached = position
                batch.add(position, change)
                if change.forgotten is not None:
                    transaction.write(batch)
                    transaction.forget(change.forgotten)
                    batch = _Batch()
            transaction.write(batch)
            transaction.finish(reached)
        self._position = reached
        if transaction.has_removed:
            self._writer.give_back()

    def reset(self) -> None:
        """Forget everything, so that the journal is projected from its beginning."""
        self._writer.reset()
        self._position = None

    def close(self) -> None:
        """Give up what was opened; twice is once."""
        self._writer.close()


class _Stamped(NamedTuple):
    """A row, and when what it comes from was accepted."""

    row: Row
    recorded_ns: int

    def cells(self) -> list[object]:
        return [*_cells_of(self.row), self.recorded_ns]


_Key = tuple[str, str]
"""Trace id and span id."""


@dataclass(slots=True)
class _Batch:
    """What some records change, put together. Of several rows for the same span or event the last one counts."""

    rows: dict[_Key, _Stamped] = field(default_factory=dict)
    events: dict[str, _Key] = field(default_factory=dict)
    """Where the rows are that came over REST, by event id: such an event is in one trace only."""
    amendments: dict[str, None] = field(default_factory=dict)
    """The ids of what is amended."""
    updates: list[tuple[str, str, str, int, str]] = field(default_factory=list)
    starts: list[tuple[str, str, int, str, str]] = field(default_factory=list)
    logs: list[list[object]] = field(default_factory=list)
    reports: list[list[object]] = field(default_factory=list)
    dead_letters: list[tuple[str, str, int]] = field(default_factory=list)

    def add(self, position: Position, change: Changes) -> None:
        stamp = change.recorded_ns
        for row in change.rows:
            self._add_row(row, stamp)
        self._add_sayings(position, change, held=position)
        for origin, former in change.carried:
            self._add_sayings(origin, former, held=position)
        self.logs += [[*_cells_of(log), stamp] for log in change.logs]
        self.reports += [[*_cells_of(report), stamp] for report in change.reports]
        if change.dead_letter is not None:
            self.dead_letters.append((text_of(position), change.dead_letter, stamp))

    def _add_sayings(self, position: Position, change: Changes, *, held: Position) -> None:
        stamp, origin, place = change.recorded_ns, text_of(position), text_of(held)
        for each in change.amendments:
            self.amendments[each.event_id] = None
            self.updates.append((each.event_id, text_of(each.position), _json(each.fields), stamp, place))
        self.starts += [
            (str(event["session_id"]), _json(event), stamp, origin, place) for event in change.session_starts
        ]

    def _add_row(self, row: Row, stamp: int) -> None:
        key = (row.trace_id, row.span_id)
        if row.kind == EVENT_KIND:
            former = self.events.get(row.event_id, key)
            if former != key:
                del self.rows[former]
            self.events[row.event_id] = key
        self.rows[key] = _Stamped(row, stamp)


class _Transaction:
    """One transaction of the writer, and what must be summarised anew before it ends.

    Attributes:
        has_removed: Whether there is room to be given back after it.
    """

    def __init__(self, connection: Connection) -> None:
        self.has_removed = False
        self._connection = connection
        self._traces: dict[str, None] = {}
        self._sessions: dict[str, None] = {}

    def write(self, batch: _Batch) -> None:
        """Write all of *batch*."""
        put = self._connection.execute_many
        put(_PUT_DEAD_LETTER, batch.dead_letters)
        put(_PUT_LOG, batch.logs)
        put(_PUT_REPORT, batch.reports)
        put(_PUT_START, batch.starts)
        self._sessions.update(dict.fromkeys(start[0] for start in batch.starts))
        put(_PUT_AMENDMENT, batch.updates)
        self._amend(batch.amendments)
        self._put_rows(self._with_known_amendments(batch.rows))

    def forget(self, what: Forgotten) -> None:
        """Remove *what* is forgotten."""
        touched = remove(self._connection, what)
        self._traces.update(dict.fromkeys(touched.traces))
        self._sessions.update(dict.fromkeys(touched.sessions))
        self.has_removed = self.has_removed or touched.has_removed

    def finish(self, position: Position | None) -> None:
        """Write what follows from all that was written, and the position."""
        summarise_traces(self._connection, self._traces)
        summarise_sessions(self._connection, self._sessions)
        if position is not None:
            self._connection.execute(_PUT_POSITION, (1, *position))

    def _amend(self, event_ids: Mapping[str, None]) -> None:
        """Amend the rows of *event_ids* that are there already, by all that is known: an update may come out of order."""
        known = [
            _stamped(cells) for cells in found(self._connection, _OF_EVENTS, [(event_id,) for event_id in event_ids])
        ]
        self._put_rows(
            self._with_known_amendments({(stamped.row.trace_id, stamped.row.span_id): stamped for stamped in known})
        )
        others = event_ids.keys() - {row.event_id for row, _ in known}
        sessions = found(self._connection, _KNOWN_SESSIONS, [(event_id,) for event_id in sorted(others)])
        self._sessions.update(dict.fromkeys(session_id for (session_id,) in sessions))

    def _with_known_amendments(self, rows: Mapping[_Key, _Stamped]) -> Mapping[_Key, _Stamped]:
        known = known_amendments(self._connection, [row.event_id for row, _ in rows.values()])
        if not known:
            return rows
        return {
            key: _Stamped(amended(row, known.get(row.event_id, ())), recorded_ns)
            for key, (row, recorded_ns) in rows.items()
        }

    def _put_rows(self, rows: Mapping[_Key, _Stamped]) -> None:
        self._note_former(rows)
        self._connection.execute_many(_PUT_SPAN, map(_Stamped.cells, rows.values()))
        for row, _ in rows.values():
            self._touch(row.trace_id, row.session_id)

    def _note_former(self, rows: Mapping[_Key, _Stamped]) -> None:
        """A span or event that comes again may have changed its session or trace; the old one must be counted anew."""
        for (session_id,) in found(self._connection, _FORMER_SPANS, list(rows), one_key="trace_id = ? AND span_id = ?"):
            if session_id is not None:
                self._sessions[session_id] = None
        events = {row.event_id: key for key, (row, _) in rows.items() if row.kind == EVENT_KIND}
        moved = []
        for trace_id, span_id, session_id, event_id in found(
            self._connection, _FORMER_EVENTS, [(event_id,) for event_id in events]
        ):
            if trace_id != events[event_id][0]:
                self._touch(trace_id, session_id)
                moved.append((trace_id, span_id))
        self._connection.execute_many(_DROP_SPAN, moved)

    def _touch(self, trace_id: str, session_id: str | None) -> None:
        self._traces[trace_id] = None
        if session_id is not None:
            self._sessions[session_id] = None


def _position_in(connection: Connection) -> Position | None:
    cells = connection.row(_POSITION)
    return None if cells is None else Position(*cells)


def _stamped(cells: Iterable[object]) -> _Stamped:
    *plain, details, recorded_ns = cells
    return _Stamped(Row(*plain, jsontext.object_of(str(details))), int(str(recorded_ns)))  # type: ignore[arg-type, call-arg] # as put


def _cells_of(row: Row | LogRow | ClientReport) -> list[object]:
    *plain, last = _CELLS[type(row)](row)
    return [*plain, _json(last)]


def _json(value: Mapping[str, object]) -> str:
    return jsontext.dumps(value).decode()
