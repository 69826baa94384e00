"""Removing from the read model what is forgotten, and asking what is to be.

What was said of a session or an event, its start and its updates, stays as long as anything of it stays, however old. That
is decided once, by who asks here, and written down: see `honeyhive.server.records.marks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from honeyhive.journal import Position
from honeyhive.server import jsontext
from honeyhive.server.records.marks import Forgotten, Saying
from honeyhive.server.stores import Cells, Connection
from honeyhive.server.stores.statements import found

__all__ = [
    "Age",
    "Step",
    "Touched",
    "age_of",
    "forgotten_before",
    "needed",
    "next_step",
    "remove",
    "sayings_before",
    "sayings_in",
    "text_of",
]

_DATED: Final = ("spans", "logs", "client_reports", "dead_letters")
"""Tables whose rows go by their date alone."""
_LARGE: Final = ("spans", "logs")
_STARTS_ALONE: Final = """
SELECT event, position, recorded_ns FROM session_starts AS own WHERE recorded_ns < ?
AND NOT EXISTS (SELECT 1 FROM spans WHERE session_id = own.session_id AND recorded_ns >= ?)
ORDER BY recorded_ns LIMIT ?
"""
_UPDATES_ALONE: Final = """
SELECT fields, position, recorded_ns FROM amendments AS own WHERE recorded_ns < ?
AND NOT EXISTS (SELECT 1 FROM spans WHERE event_id = own.event_id AND recorded_ns >= ?)
AND NOT EXISTS (SELECT 1 FROM spans WHERE session_id = own.event_id AND recorded_ns >= ?)
AND NOT EXISTS (SELECT 1 FROM session_starts WHERE session_id = own.event_id AND recorded_ns >= ?)
ORDER BY recorded_ns LIMIT ?
"""
_WITH_SUBJECT: Final = (
    "SELECT session_id FROM spans WHERE session_id IN {keys}",
    "SELECT event_id FROM spans WHERE event_id IN {keys}",
    "SELECT session_id FROM session_starts WHERE session_id IN {keys}",
)
_NOTE: Final = (
    "INSERT INTO forgotten (only_row, before_ns) VALUES (1, ?) ON CONFLICT (only_row)"
    " DO UPDATE SET before_ns = excluded.before_ns WHERE excluded.before_ns > forgotten.before_ns"
)


class Touched(NamedTuple):
    """What follows from removing."""

    traces: Sequence[str]
    """Have to be summarised anew."""
    sessions: Sequence[str]
    """Have to be summarised anew."""
    has_removed: bool
    """Whether there is room to be given back."""


class Age(NamedTuple):
    """How old the read model is, in nanoseconds since 1970."""

    oldest_ns: int
    newest_ns: int
    spans: int


class Step(NamedTuple):
    """What is to go in one transaction."""

    before_ns: int
    """What was accepted before."""
    sayings: Sequence[Saying] = ()
    """What was said of sessions and events of which nothing stays."""
    rows: int = 0
    """How many rows that is, about."""


def remove(connection: Connection, what: Forgotten) -> Touched:
    """Remove *what* is forgotten, and note that."""
    old = (what.before_ns,)
    traces = _texts(connection, "SELECT DISTINCT trace_id FROM spans WHERE recorded_ns < ?", old)
    sessions = _texts(
        connection, "SELECT DISTINCT session_id FROM spans WHERE recorded_ns < ? AND session_id IS NOT NULL", old
    )
    tables = _with_rows_before(connection, what.before_ns)
    for table in tables:
        connection.execute(f"DELETE FROM {table} WHERE recorded_ns < ?", old)  # noqa: S608 - our own words
    # An older start may have been carried over to behind the one that has replaced it: it goes with that.
    connection.execute_many(
        "DELETE FROM session_starts WHERE session_id = ? AND position <= ?",
        [(session_id, text_of(position)) for session_id, position in what.starts],
    )
    connection.execute_many(
        "DELETE FROM amendments WHERE event_id = ? AND position = ?",
        [(event_id, text_of(position)) for event_id, position in what.updates],
    )
    connection.execute(_NOTE, old)
    sessions += [own_id for own_id, _ in (*what.starts, *what.updates)]
    return Touched(traces, list(dict.fromkeys(sessions)), bool(tables or what.starts or what.updates))


def forgotten_before(connection: Connection) -> int:
    """Return the moment before which everything is forgotten; 0 where nothing is."""
    cells = connection.row("SELECT before_ns FROM forgotten")
    return 0 if cells is None else int(cells[0])


def next_step(connection: Connection, before_ns: int, most: int) -> Step | None:
    """Return what to remove next on the way to *before_ns*, about *most* rows of each kind.

    Rows that were accepted at the same nanosecond go together, however many they are. ``None`` when nothing is left to go.
    """
    step_ns = _next_moment(connection, before_ns, most)
    sayings = _alone(connection, step_ns, most)
    if not sayings and not _with_rows_before(connection, before_ns):
        return None
    return Step(step_ns, sayings, len(sayings) + sum(_count(connection, table, step_ns, most) for table in _LARGE))


def needed(connection: Connection, sayings: Sequence[Saying]) -> list[Saying]:
    """Return those of *sayings* that are about what is there."""
    keys = [(subject,) for subject in dict.fromkeys(saying.subject for saying in sayings)]
    there = {own_id for query in _WITH_SUBJECT for (own_id,) in found(connection, query, keys)}
    return [saying for saying in sayings if saying.subject in there]


def _with_rows_before(connection: Connection, before_ns: int) -> list[str]:
    return [
        table
        for table in _DATED
        if connection.row(f"SELECT 1 FROM {table} WHERE recorded_ns < ? LIMIT 1", (before_ns,))  # noqa: S608 - own words
    ]


def _count(connection: Connection, table: str, before_ns: int, most: int) -> int:
    [(number,)] = connection.rows(
        f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE recorded_ns < ? LIMIT ?) AS counted",  # noqa: S608 - our own words
        (before_ns, most),
    )
    return int(number)


def _next_moment(connection: Connection, before_ns: int, most: int) -> int:
    steps = [before_ns]
    for table in _LARGE:
        last = connection.row(
            f"SELECT recorded_ns FROM {table} ORDER BY recorded_ns LIMIT 1 OFFSET ?",  # noqa: S608 - our own words
            (most,),
        )
        steps += [] if last is None else [int(last[0]) + 1]
    return min(steps)


def _alone(connection: Connection, before_ns: int, most: int) -> list[Saying]:
    """Return starts and updates from before *before_ns* of which nothing from since then is there, at most so many of each."""
    starts = connection.rows(_STARTS_ALONE, (before_ns, before_ns, most))
    updates = connection.rows(_UPDATES_ALONE, (*[before_ns] * 4, most))
    return [
        *(_saying(cells, is_start=True) for cells in starts),
        *(_saying(cells, is_start=False) for cells in updates),
    ]


def _saying(cells: Cells, *, is_start: bool) -> Saying:
    body, position, recorded_ns = cells
    return Saying(_position_of(position), recorded_ns, is_start, jsontext.object_of(body))


def sayings_in(connection: Connection, segments: Iterable[str]) -> Iterator[Saying]:
    """Yield the starts and updates that are kept, and whose newest record in the log is in one of *segments*."""
    for segment in segments:
        yield from _sayings(connection, f"{segment}/", f"{segment}0")  # what sorts behind the solidus


def sayings_before(connection: Connection, position: Position) -> Iterator[Saying]:
    """Yield the starts and updates that are kept, and whose newest record in the log is in front of *position*."""
    yield from _sayings(connection, f"{position.segment}/", text_of(position))


def _sayings(connection: Connection, begin: str, end: str) -> Iterator[Saying]:
    within = (begin, end)
    for cells in connection.stream(
        "SELECT event, position, recorded_ns FROM session_starts WHERE held >= ? AND held < ?", within
    ):
        yield _saying(cells, is_start=True)
    for cells in connection.stream(
        "SELECT fields, position, recorded_ns FROM amendments WHERE held >= ? AND held < ?", within
    ):
        yield _saying(cells, is_start=False)


def age_of(connection: Connection) -> Age | None:
    """Return the dates of the oldest and the newest span or log record, and how many spans there are."""
    dates = [
        row
        for table in _LARGE
        for row in connection.rows(f"SELECT min(recorded_ns), max(recorded_ns), count(*) FROM {table}")  # noqa: S608
    ]
    dated = [row for row in dates if row[0] is not None]
    if not dated:
        return None
    return Age(min(int(row[0]) for row in dated), max(int(row[1]) for row in dated), int(dates[0][2]))


def _texts(connection: Connection, query: str, values: tuple[object, ...]) -> list[str]:
    return [str(row[0]) for row in connection.rows(query, values)]


def text_of(position: Position) -> str:
    """Write *position* so that texts sort as positions do."""
    return f"{position.segment}/{position.offset:020d}"


def _position_of(text: str) -> Position:
    segment, _, offset = text.rpartition("/")
    return Position(segment, int(offset))
