"""Removing from the read model what was accepted before a moment, and asking what is there to be removed.

What was said of a session or an event, its start and its updates, stays as long as anything of it stays, however old.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from honeyhive.journal import Position
from honeyhive.server import jsontext
from honeyhive.server.marks import Saying
from honeyhive.server.stores import Connection

__all__ = ["Age", "Touched", "age_of", "forgotten_before", "next_step", "remove_before", "sayings_in"]

_DATED: Final = ("spans", "logs", "client_reports", "dead_letters")
"""Tables whose rows go by their date alone."""
_LARGE: Final = ("spans", "logs")
_START_ALONE: Final = "NOT EXISTS (SELECT 1 FROM spans WHERE spans.session_id = session_starts.session_id)"
_UPDATE_ALONE: Final = (
    "NOT EXISTS (SELECT 1 FROM spans WHERE spans.event_id = amendments.event_id)"
    " AND NOT EXISTS (SELECT 1 FROM spans WHERE spans.session_id = amendments.event_id)"
    " AND NOT EXISTS (SELECT 1 FROM session_starts WHERE session_starts.session_id = amendments.event_id)"
)
_CONDITIONS: Final = {
    **dict.fromkeys(_DATED, "recorded_ns < ?"),
    "session_starts": f"recorded_ns < ? AND {_START_ALONE}",
    "amendments": f"recorded_ns < ? AND {_UPDATE_ALONE}",
}
_NOTE: Final = (
    "INSERT INTO forgotten (only_row, before_ns) VALUES (1, ?) ON CONFLICT (only_row)"
    " DO UPDATE SET before_ns = excluded.before_ns WHERE excluded.before_ns > forgotten.before_ns"
)


class Touched(NamedTuple):
    """What has to be summarised anew."""

    traces: Sequence[str]
    sessions: Sequence[str]


class Age(NamedTuple):
    """How old the read model is, in nanoseconds since 1970."""

    oldest_ns: int
    newest_ns: int
    spans: int


def remove_before(connection: Connection, before_ns: int) -> Touched:
    """Remove what was accepted before *before_ns*, and note that."""
    old = (before_ns,)
    traces = _texts(connection, "SELECT DISTINCT trace_id FROM spans WHERE recorded_ns < ?", old)
    sessions = _texts(
        connection, "SELECT DISTINCT session_id FROM spans WHERE recorded_ns < ? AND session_id IS NOT NULL", old
    )
    for table in _DATED:
        connection.execute(f"DELETE FROM {table} WHERE {_CONDITIONS[table]}", old)  # noqa: S608 - our own words
    condition = _CONDITIONS["session_starts"]
    sessions += _texts(connection, f"SELECT session_id FROM session_starts WHERE {condition}", old)  # noqa: S608
    for table in ("session_starts", "amendments"):
        connection.execute(f"DELETE FROM {table} WHERE {_CONDITIONS[table]}", old)  # noqa: S608 - our own words
    connection.execute(_NOTE, old)
    return Touched(traces, list(dict.fromkeys(sessions)))


def forgotten_before(connection: Connection) -> int:
    """Return the moment before which everything is forgotten; 0 where nothing is."""
    cells = connection.row("SELECT before_ns FROM forgotten")
    return 0 if cells is None else int(cells[0])


def next_step(connection: Connection, before_ns: int, most: int) -> int | None:
    """Return the moment up to which to remove next on the way to *before_ns*, so that about *most* rows go at once.

    Rows that were accepted at the same nanosecond go together, however many they are. ``None`` when nothing is left to go.
    """
    if not any(
        connection.row(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1", (before_ns,))  # noqa: S608 - our own words
        for table, condition in _CONDITIONS.items()
    ):
        return None
    steps = [before_ns]
    for table in _LARGE:
        last = connection.row(
            f"SELECT recorded_ns FROM {table} ORDER BY recorded_ns LIMIT 1 OFFSET ?",  # noqa: S608 - our own words
            (most,),
        )
        steps += [] if last is None else [int(last[0]) + 1]
    return min(steps)


def sayings_in(connection: Connection, segments: Iterable[str]) -> Iterator[Saying]:
    """Yield the starts and updates that are kept, and whose newest record in the log is in one of *segments*."""
    for segment in segments:
        within = (f"{segment}/", f"{segment}0")  # what sorts behind the solidus
        for event, position, recorded_ns in connection.stream(
            "SELECT event, position, recorded_ns FROM session_starts WHERE held >= ? AND held < ?", within
        ):
            yield Saying(_position_of(position), recorded_ns, True, jsontext.object_of(event))
        for fields, position, recorded_ns in connection.stream(
            "SELECT fields, position, recorded_ns FROM amendments WHERE held >= ? AND held < ?", within
        ):
            yield Saying(_position_of(position), recorded_ns, False, jsontext.object_of(fields))


def age_of(connection: Connection) -> Age | None:
    """Return the dates of the oldest and the newest span or log record, and how many spans there are."""
    dates = [
        row
        for table in _LARGE
        for row in connection.rows(f"SELECT min(recorded_ns), max(recorded_ns), count(*) FROM {table}")  # noqa: S608
    ]
    found = [row for row in dates if row[0] is not None]
    if not found:
        return None
    return Age(min(int(row[0]) for row in found), max(int(row[1]) for row in found), int(dates[0][2]))


def _texts(connection: Connection, query: str, values: tuple[object, ...]) -> list[str]:
    return [str(row[0]) for row in connection.rows(query, values)]


def _position_of(text: str) -> Position:
    segment, _, offset = text.rpartition("/")
    return Position(segment, int(offset))
