"""The read model in SQLite: its file, its one writer, and the connections of its readers.

Nothing in here is the truth; the journal is. A file that is damaged, or that another version of the schema wrote, is put
aside or replaced and projected again.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Final

from honeyhive.journal import Position
from honeyhive.models.conventions import BUCKETS
from honeyhive.server import jsontext
from honeyhive.server.figures import figures_of
from honeyhive.server.logs import LogRow
from honeyhive.server.records import EVENT_KIND, Row
from honeyhive.server.reports import ClientReport

__all__ = ["Amendment", "Changes", "Store", "reading"]

_SCHEMA_VERSION: Final = 2
_LARGEST: Final = 2**63 - 1
_COLUMNS: Final = tuple(column.name for column in fields(Row))
_LOG_COLUMNS: Final = tuple(column.name for column in fields(LogRow))

_logger = logging.getLogger("honeyhive.server")

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Amendment:
    """What one ``PUT /events`` adds to an event, which may be a session."""

    event_id: str
    position: Position
    fields: Mapping[str, object]


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


class Store:
    """The writer's side; owned by one thread, which must be the one that opens it.

    Args:
        path: The database file; made when absent, put aside when damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = _open(path)

    def position(self) -> Position | None:
        """Return the journal position up to which everything is projected."""
        found = self._connection.execute('SELECT segment, "offset" FROM projected').fetchone()
        return Position(*found) if found else None

    def apply(self, changes: Iterable[tuple[Position, Changes]]) -> None:
        """Apply *changes*, in order, and move the position, all in one transaction.

        Applying the same changes again changes nothing.

        Raises:
            sqlite3.Error: Nothing was applied.
        """
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            touched = _Touched()
            for position, change in changes:
                self._apply_one(position, change, touched)
                touched.position = position
            for trace_id in touched.traces:
                self._summarise_trace(trace_id)
            for session_id in touched.sessions:
                self._summarise_session(session_id)
            if touched.position is not None:
                self._connection.execute("INSERT OR REPLACE INTO projected VALUES (1, ?, ?)", touched.position)

    def reset(self) -> None:
        """Forget everything, so that the journal is projected from its beginning."""
        self.close()
        _remove(self._path)
        self._connection = _open(self._path)

    def close(self) -> None:
        """Close the file; twice is once."""
        self._connection.close()

    # -- one record --------------------------------------------------------------------------

    def _apply_one(self, position: Position, change: Changes, touched: _Touched) -> None:
        if change.dead_letter is not None:
            self._connection.execute(
                "INSERT OR REPLACE INTO dead_letters VALUES (?, ?)", (_text_of(position), change.dead_letter)
            )
        for event in change.session_starts:
            session_id = str(event["session_id"])
            self._connection.execute(
                "INSERT OR REPLACE INTO session_starts VALUES (?, ?)", (session_id, jsontext.dumps(event).decode())
            )
            touched.sessions[session_id] = None
        self._put_logs(change.logs)
        for report in change.reports:
            self._connection.execute("INSERT OR REPLACE INTO client_reports VALUES (?, ?, ?, ?, ?)", _cells_of(report))
        self._put(self._with_known_amendments(change.rows), touched)
        for amendment in change.amendments:
            self._amend(amendment, touched)

    def _put_logs(self, rows: Sequence[LogRow]) -> None:
        marks = ", ".join("?" * len(_LOG_COLUMNS))
        self._connection.executemany(
            f"INSERT OR REPLACE INTO logs ({', '.join(_LOG_COLUMNS)}) VALUES ({marks})",  # noqa: S608 - our own names
            map(_cells_of, rows),
        )

    def _put(self, rows: Sequence[Row], touched: _Touched) -> None:
        if not rows:
            return
        self._note_former_sessions(rows, touched)
        marks = ", ".join("?" * len(_COLUMNS))
        self._connection.executemany(
            f"INSERT OR REPLACE INTO spans ({', '.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608 - our own names
            map(_cells, rows),
        )
        for row in rows:
            touched.traces[row.trace_id] = None
            if row.session_id is not None:
                touched.sessions[row.session_id] = None

    def _note_former_sessions(self, rows: Sequence[Row], touched: _Touched) -> None:
        """A span or event that comes again may have changed its session; the old one must be counted anew."""
        for row in rows:
            former = self._connection.execute(_FORMER_EVENT if row.kind == EVENT_KIND else _FORMER_SPAN, _key(row))
            for trace_id, session_id in former.fetchall():
                if session_id is not None:
                    touched.sessions[session_id] = None
                if trace_id != row.trace_id:
                    touched.traces[trace_id] = None
                    self._connection.execute(_DROP_FORMER_EVENT, _key(row))

    # -- amendments --------------------------------------------------------------------------

    def _amend(self, amendment: Amendment, touched: _Touched) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO amendments VALUES (?, ?, ?)",
            (amendment.event_id, _text_of(amendment.position), jsontext.dumps(amendment.fields).decode()),
        )
        rows = self._rows_of_event(amendment.event_id)
        self._put([_amended(row, [amendment.fields]) for row in rows], touched)
        if not rows:
            touched.amended_sessions(self._connection, amendment.event_id)

    def _with_known_amendments(self, rows: Sequence[Row]) -> Sequence[Row]:
        known: dict[str, list[Json]] = {}
        for event_id, text in self._connection.execute(
            "SELECT event_id, fields FROM amendments"
            " WHERE event_id IN (SELECT value FROM json_each(?)) ORDER BY event_id, position",
            (jsontext.dumps([row.event_id for row in rows]).decode(),),
        ):
            known.setdefault(event_id, []).append(_object(text))
        if not known:
            return rows
        return [_amended(row, known.get(row.event_id, ())) for row in rows]

    def _rows_of_event(self, event_id: str) -> list[Row]:
        found = self._connection.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM spans WHERE event_id = ?",  # noqa: S608 - our own names
            (event_id,),
        ).fetchall()
        return [Row(**{**dict(cells), "details": _object(cells["details"])}) for cells in found]

    # -- summaries ---------------------------------------------------------------------------

    def _summarise_trace(self, trace_id: str) -> None:
        self._connection.execute("DELETE FROM traces WHERE trace_id = ?", (trace_id,))
        self._connection.execute(_SUMMARISE_TRACE, {"trace": trace_id})

    def _summarise_session(self, session_id: str) -> None:
        counted = self._connection.execute(_COUNT_SESSION, (session_id,)).fetchone()
        started = self._connection.execute(
            "SELECT event FROM session_starts WHERE session_id = ?", (session_id,)
        ).fetchone()
        if not counted["spans"] and not started:
            self._connection.execute("DELETE FROM sessions WHERE session_id = ?", (session_id,))
            return
        event = _object(started[0]) if started else {}
        for (text,) in self._connection.execute(
            "SELECT fields FROM amendments WHERE event_id = ? ORDER BY position", (session_id,)
        ):
            _merge(event, _object(text))
        self._connection.execute(_PUT_SESSION, _session_cells(session_id, dict(counted), event))


class _Touched:
    """What a transaction has changed and must therefore summarise."""

    def __init__(self) -> None:
        self.traces: dict[str, None] = {}
        self.sessions: dict[str, None] = {}
        self.position: Position | None = None

    def amended_sessions(self, connection: sqlite3.Connection, event_id: str) -> None:
        """Note *event_id* if it is a session's."""
        known = connection.execute(
            "SELECT 1 FROM sessions WHERE session_id = :id UNION SELECT 1 FROM session_starts WHERE session_id = :id",
            {"id": event_id},
        ).fetchone()
        if known:
            self.sessions[event_id] = None


_SUMMARISE_TRACE: Final = """
INSERT INTO traces
SELECT
    :trace,
    (SELECT name FROM spans WHERE trace_id = :trace ORDER BY parent_id IS NOT NULL, start_ns LIMIT 1),
    (SELECT project FROM spans
     WHERE trace_id = :trace AND project IS NOT NULL ORDER BY parent_id IS NOT NULL, start_ns LIMIT 1),
    (SELECT session_id FROM spans
     WHERE trace_id = :trace AND session_id IS NOT NULL ORDER BY parent_id IS NOT NULL, start_ns LIMIT 1),
    min(start_ns), max(end_ns), count(*), sum(error IS NOT NULL),
    sum(tokens_in) FILTER (WHERE event_type = 'model'),
    sum(tokens_out) FILTER (WHERE event_type = 'model'),
    sum(cost) FILTER (WHERE event_type = 'model')
FROM spans WHERE trace_id = :trace
HAVING count(*) > 0
"""

_COUNT_SESSION: Final = """
SELECT
    min(start_ns) AS start_ns, max(end_ns) AS end_ns, count(DISTINCT trace_id) AS traces, count(*) AS spans,
    total(event_type = 'model') AS model_spans, total(error IS NOT NULL) AS errors,
    sum(tokens_in) FILTER (WHERE event_type = 'model') AS tokens_in,
    sum(tokens_out) FILTER (WHERE event_type = 'model') AS tokens_out,
    sum(cost) FILTER (WHERE event_type = 'model') AS cost,
    max(session_name) AS name, max(project) AS project, max(source) AS source
FROM spans WHERE session_id = ?
"""

_PUT_SESSION: Final = """
INSERT OR REPLACE INTO sessions VALUES (
    :session_id, :name, :project, :source, :start_ns, :end_ns, :traces, :spans, :model_spans, :errors,
    :tokens_in, :tokens_out, :cost, :details
)
"""


def _session_cells(session_id: str, counted: Json, event: Json) -> Json:
    start_ns = min((ns for ns in (_ns(event.get("start_time")), counted["start_ns"]) if isinstance(ns, int)), default=0)
    end_ns = max((ns for ns in (_ns(event.get("end_time")), counted["end_ns"]) if isinstance(ns, int)), default=0)
    details = {name: event.get(name) or {} for name in BUCKETS}
    return {
        **counted,
        "session_id": session_id,
        "name": event.get("event_name") or counted["name"],
        "project": event.get("project") or counted["project"],
        "source": event.get("source") or counted["source"],
        "start_ns": start_ns,
        "end_ns": max(start_ns, end_ns),
        "model_spans": int(str(counted["model_spans"]).split(".", maxsplit=1)[0]),
        "errors": int(str(counted["errors"]).split(".", maxsplit=1)[0]) + bool(event.get("error")),
        "details": jsontext.dumps(details).decode(),
    }


def _amended(row: Row, amendments: Iterable[Mapping[str, object]]) -> Row:
    """Return *row* with *amendments* merged in, and with the figures that follow from them."""
    amendments = list(amendments)
    if not amendments:
        return row
    event: Json = dict(row.details)
    for amendment in amendments:
        _merge(event, amendment)
    found = figures_of(event)
    end_ns = _ns(event.pop("end_time", None))
    duration = event.pop("duration", None)
    if end_ns is None and isinstance(duration, int | float):
        end_ns = row.start_ns + max(0, round(duration * 1_000_000))
    error = event.pop("error", None)
    return replace(
        row,
        end_ns=row.end_ns if end_ns is None else min(end_ns, _LARGEST),
        error=error if isinstance(error, str) and error else row.error,
        model=found.model or row.model,
        tokens_in=row.tokens_in if found.tokens_in is None else found.tokens_in,
        tokens_out=row.tokens_out if found.tokens_out is None else found.tokens_out,
        cost=row.cost if found.cost is None else found.cost,
        details=event,
    )


_FORMER_SPAN: Final = "SELECT trace_id, session_id FROM spans WHERE trace_id = :trace AND span_id = :span"
_FORMER_EVENT: Final = "SELECT trace_id, session_id FROM spans WHERE event_id = :event AND kind = 'event'"
_DROP_FORMER_EVENT: Final = "DELETE FROM spans WHERE event_id = :event AND kind = 'event' AND trace_id <> :trace"


def _key(row: Row) -> dict[str, str]:
    return {"trace": row.trace_id, "span": row.span_id, "event": row.event_id}


_PLAIN_FIELDS: Final = ("duration", "end_time", "error")


def _merge(event: Json, fields: Mapping[str, object]) -> None:
    for name in BUCKETS:
        added, present = fields.get(name), event.get(name)
        if isinstance(added, Mapping):
            event[name] = {**(present if isinstance(present, Mapping) else {}), **added}
    event.update({name: fields[name] for name in _PLAIN_FIELDS if fields.get(name) is not None})


def _cells(row: Row) -> list[object]:
    return [*(getattr(row, name) for name in _COLUMNS[:-1]), jsontext.dumps(row.details).decode()]


def _cells_of(row: LogRow | ClientReport) -> list[object]:
    values = (getattr(row, column.name) for column in fields(row))
    return [jsontext.dumps(value).decode() if isinstance(value, Mapping) else value for value in values]


def _ns(milliseconds: object) -> int | None:
    if isinstance(milliseconds, int | float) and 0 < milliseconds < _LARGEST / 1_000_000:
        return round(milliseconds * 1_000_000)
    return None


def _object(text: str) -> Json:
    value = jsontext.loads(text)
    return dict(value) if isinstance(value, dict) else {}


def _text_of(position: Position) -> str:
    """Write *position* so that texts sort as positions do."""
    return f"{position.segment}/{position.offset:020d}"


# -- the file --------------------------------------------------------------------------------


@contextmanager
def reading(path: Path, *, longest_s: float) -> Iterator[sqlite3.Connection]:
    """Open the read model at *path* for one reader, with one consistent view of it.

    Works beside the running server and without one.

    Args:
        path: The database file.
        longest_s: A query that runs longer is interrupted (``sqlite3.OperationalError``).

    Raises:
        FileNotFoundError: There is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)) as connection:
        deadline = time.monotonic() + longest_s
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        yield connection


def _open(path: Path) -> sqlite3.Connection:
    """Open *path* for writing; put a damaged file aside, replace one of another schema."""
    if path.exists():
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            _prepare(connection)
            if connection.execute("PRAGMA user_version").fetchone()[0] == _SCHEMA_VERSION and _is_sound(connection):
                return connection
        except sqlite3.DatabaseError:
            connection.close()
            _put_aside(path)
        else:
            connection.close()
            _remove(path)
    return _create(path)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    # The journal is the truth and is synced before any answer: a commit lost here is projected again.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA busy_timeout = 10000")


def _is_sound(connection: sqlite3.Connection) -> bool:
    if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise sqlite3.DatabaseError("the file is damaged")
    return True


def _create(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None)
    _prepare(connection)
    connection.executescript(files(__package__).joinpath("schema.sql").read_text("utf-8"))
    connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    return connection


def _put_aside(path: Path) -> None:
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    _logger.error("The index %s was damaged. It is kept as %s; a new one is made from the journal.", path, aside.name)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
