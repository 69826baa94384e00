"""What readers ask of the read model; every answer is made of plain dicts, lists and scalars.

The REST routes, the pages and ``honeyhive traces`` share these. They read the database directly, which works beside a
running server as well as without one. Values of a request reach SQL as parameters only, and the SQL is the same for every
database, see `honeyhive.server.stores`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from honeyhive.models.conventions import BUCKETS
from honeyhive.server import jsontext
from honeyhive.server.admission.limits import Refusal
from honeyhive.server.stores import Cells, Connection, Database, database_of
from honeyhive.utils.trees import preorder

__all__ = ["Cursor", "Listing", "Page", "Queries"]

Json = dict[str, object]
Condition = tuple[str, Sequence[object]]
"""SQL with marks, and the values for the marks."""

_LARGEST: Final = 2**63 - 1
MAX_LIMIT: Final = 1_000
MAX_TRACE_SPANS: Final = 100_000
_SPAN_COLUMNS: Final = (
    "trace_id, span_id, parent_id, event_id, parent_event_id, name, kind, start_ns, end_ns, status, event_type,"
    " session_id, project, source, error, model, provider, tokens_in, tokens_out, cost"
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins: after the item with this start and id."""

    start_ns: int = _LARGEST
    id: str = "\U0010ffff"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read a cursor that an earlier page gave.

        Raises:
            Refusal: 400 when it is none.
        """
        start, separator, own_id = text.partition("-")
        if not separator or not start.isascii() or not start.isdecimal() or len(start) > 19:
            raise Refusal(400, "cursor is not one that this server gave.")
        return cls(min(int(start), _LARGEST), own_id)

    def __str__(self) -> str:
        return f"{self.start_ns}-{self.id}"


@dataclass(frozen=True, slots=True)
class Listing:
    """Which traces or sessions to list; every filter that is given must hold."""

    project: str | None = None
    session_id: str | None = None
    errors_only: bool = False
    limit: int = 50
    cursor: Cursor | None = None

    def conditions(self) -> list[tuple[str, object]]:
        """Return SQL with one mark, and the value for it, or ``None`` where nothing is asked."""
        return [
            ("project = ?", self.project),
            ("session_id = ?", self.session_id),
            ("errors > ?", 0 if self.errors_only else None),
        ]


@dataclass(frozen=True, slots=True)
class Page:
    """Some items, newest first, and where the next ones begin."""

    items: Sequence[Json]
    next_cursor: str | None


class Queries:
    """Reads the read model. Thread-safe.

    Every method may raise `IndexMissingError` while there is no read model yet, `QueryTooLongError`, and
    `StoreUnavailableError` when the database cannot be read just now.

    Args:
        place: The database; a path is that of a SQLite file.
        longest_s: A query that runs longer is given up.
    """

    def __init__(self, place: Database | Path, *, longest_s: float = 10.0) -> None:
        self._database = database_of(place)
        self._longest_s = longest_s

    def traces(self, listing: Listing) -> Page:
        """List traces, newest first."""
        return self._page("traces", "trace_id", listing)

    def sessions(self, listing: Listing) -> Page:
        """List sessions, newest first."""
        return self._page("sessions", "session_id", listing)

    def trace(self, trace_id: str, *, with_details: bool = True) -> Json | None:
        """Return one trace: its summary, and its spans parents first, each with its depth and its children.

        `session_name` is what the session was called when it began, or nothing.

        The tree is given as a list because one as deep as programs make them can be nested in JSON, but not read again.

        Args:
            trace_id: Lower case hex.
            with_details: Whether the spans come with their payloads.
        """
        with self._reading() as connection:
            found = connection.row(_TRACE_WITH_SESSION, (trace_id,))
            if found is None:
                return None
            query = _TRACE_SPANS if with_details else _TRACE_SPANS_BARE
            spans = [_opened(row) for row in connection.rows(query, (trace_id, trace_id, MAX_TRACE_SPANS))]
            return {**_opened(found), "span_list": in_tree_order(spans)}

    def trace_ids(self, beginning: str, *, most: int = 2) -> list[str]:
        """Return the ids of traces that begin with *beginning*, which is lower case hex."""
        with self._reading() as connection:
            query = "SELECT trace_id FROM traces WHERE trace_id >= ? AND trace_id < ? ORDER BY trace_id LIMIT ?"
            return [trace_id for (trace_id,) in connection.rows(query, (beginning, f"{beginning}g", most))]

    def span(self, trace_id: str, span_id: str) -> Json | None:
        """Return one span with its details."""
        with self._reading() as connection:
            row = connection.row(
                f"SELECT {_SPAN_COLUMNS}, details FROM spans WHERE trace_id = ? AND span_id = ?",  # noqa: S608 - own names
                (trace_id, span_id),
            )
            return None if row is None else _opened(row)

    def logs(self, trace_id: str, span_id: str | None = None, *, most: int = MAX_LIMIT) -> list[Json]:
        """Return the log records of one trace, or of one span, oldest first."""
        where, values = _where([("trace_id = ?", trace_id), ("span_id = ?", span_id)])
        with self._reading() as connection:
            rows = connection.rows(
                "SELECT trace_id, span_id, session_id, time_ns, severity, level, logger, body, attributes"  # noqa: S608
                f" FROM logs{where} ORDER BY time_ns, log_id LIMIT ?",
                [*values, most],
            )
            return [{**dict(row), "attributes": jsontext.loads(row["attributes"])} for row in rows]

    def client_reports(self, *, most: int = 100) -> list[Json]:
        """Return what programs said they have lost, newest first."""
        with self._reading() as connection:
            rows = connection.rows(
                "SELECT report_id, time_ns, process, pid, dropped FROM client_reports"
                " ORDER BY time_ns DESC, report_id LIMIT ?",
                (most,),
            )
            return [{**dict(row), "dropped": jsontext.loads(row["dropped"])} for row in rows]

    def session(self, session_id: str, *, with_spans: bool = True) -> Json | None:
        """Return one session: its summary with its buckets, and its spans of all traces in tree order.

        Args:
            session_id: The session.
            with_spans: Whether there is a ``span_list``.
        """
        with self._reading() as connection:
            found = connection.row("SELECT * FROM sessions WHERE session_id = ?", (session_id,))
            if found is None or not with_spans:
                return None if found is None else _opened(found)
            spans = [_opened(row) for row in connection.rows(_SESSION_SPANS, (session_id, MAX_TRACE_SPANS))]
            return {**_opened(found), "span_list": in_tree_order(spans)}

    def event(self, event_id: str) -> Json | None:
        """Return one event in its public shape; a session is an event too."""
        with self._reading() as connection:
            row = connection.row(
                f"SELECT {_SPAN_COLUMNS}, details FROM spans WHERE event_id = ?"  # noqa: S608 - own names
                " ORDER BY start_ns, trace_id, span_id LIMIT 1",
                (event_id,),
            )
            if row is not None:
                return public_event(_opened(row))
            found = connection.row("SELECT * FROM sessions WHERE session_id = ?", (event_id,))
            return None if found is None else public_session(_opened(found))

    def events(self, filters: EventFilters) -> tuple[list[Json], int]:
        """Return one page of events in their public shape, and how many there are in all."""
        where, values = filters.sql()
        with self._reading() as connection:
            [(total,)] = connection.rows(f"SELECT count(*) FROM spans{where}", values)  # noqa: S608
            rows = connection.rows(
                f"SELECT {_SPAN_COLUMNS}, details FROM spans{where}"  # noqa: S608 - built from our own words
                " ORDER BY start_ns DESC, span_id LIMIT ? OFFSET ?",
                [*values, filters.limit, filters.limit * (filters.page - 1)],
            )
            return [public_event(_opened(row)) for row in rows], total

    def every_span(self, *, project: str | None = None, session_id: str | None = None) -> Iterator[Json]:
        """Yield all spans with their details, oldest first, as one consistent view; nothing is held in memory."""
        where, values = _where([("project = ?", project), ("session_id = ?", session_id)])
        with self._database.reading(longest_s=float("inf")) as connection:
            for row in connection.stream(
                f"SELECT {_SPAN_COLUMNS}, details FROM spans{where} ORDER BY start_ns, span_id",  # noqa: S608 - own words
                values,
            ):
                yield _opened(row)

    def _page(self, table: str, key: str, listing: Listing) -> Page:
        after = listing.cursor or Cursor()
        where, values = _where(listing.conditions())
        where = f"{where} AND" if where else " WHERE"
        limit = listing.limit
        with self._reading() as connection:
            rows = connection.rows(
                f"SELECT * FROM {table}{where} (start_ns, {key}) < (?, ?)"  # noqa: S608 - built from our own words
                f" ORDER BY start_ns DESC, {key} DESC LIMIT ?",
                [*values, after.start_ns, after.id, limit + 1],
            )
        items = [_opened(row) for row in rows[:limit]]
        more = len(rows) > limit and rows[limit - 1]
        return Page(items, str(Cursor(more["start_ns"], more[key])) if more else None)

    def _reading(self) -> AbstractContextManager[Connection]:
        return self._database.reading(longest_s=self._longest_s)


_TRACE_WITH_SESSION: Final = (
    "SELECT traces.*, sessions.name AS session_name"
    " FROM traces LEFT JOIN sessions USING (session_id) WHERE traces.trace_id = ?"
)

# A trace's own spans, and the events that were sent over REST for one of them.
_TRACE_SPANS_BARE: Final = f"""
WITH RECURSIVE attached (event_id) AS (
    SELECT event_id FROM spans WHERE trace_id = ?
    UNION
    SELECT below.event_id FROM attached JOIN spans AS below ON below.parent_event_id = attached.event_id
    WHERE below.kind = 'event'
)
SELECT {_SPAN_COLUMNS} FROM spans WHERE trace_id = ?
UNION
SELECT {_SPAN_COLUMNS} FROM spans WHERE kind = 'event' AND event_id IN (SELECT event_id FROM attached)
ORDER BY start_ns, end_ns DESC, span_id LIMIT ?
"""  # noqa: S608 - built from our own words
_TRACE_SPANS: Final = _TRACE_SPANS_BARE.replace(_SPAN_COLUMNS, f"{_SPAN_COLUMNS}, details")
_SESSION_SPANS: Final = f"""
SELECT {_SPAN_COLUMNS}, details FROM spans WHERE session_id = ?
ORDER BY start_ns, end_ns DESC, span_id LIMIT ?
"""  # noqa: S608 - built from our own words


@dataclass(frozen=True, slots=True)
class EventFilters:
    """The filters of ``/v1/events/export``: all must hold.

    Attributes:
        conditions: Made by `honeyhive.server.reading.filters` only.
    """

    conditions: Sequence[Condition] = ()
    limit: int = 1_000
    page: int = 1

    def sql(self) -> tuple[str, list[object]]:
        """Return the WHERE clause, or nothing, and its values."""
        clause = " AND ".join(condition for condition, _ in self.conditions)
        return (f" WHERE {clause}" if clause else ""), [value for _, values in self.conditions for value in values]


def in_tree_order(spans: Sequence[Json]) -> list[Json]:
    """Return *spans* parents first, each with ``depth``, ``children`` (span ids) and ``is_orphan``."""
    by_key = {(span["trace_id"], span["span_id"]): span for span in spans}
    by_event = {span["event_id"]: key for key, span in by_key.items()}
    parents = {key: _parent(span, by_key, by_event) for key, span in by_key.items()}
    return [
        {
            **by_key[node.key],
            "depth": node.depth,
            "children": [span_id for _, span_id in node.children],
            "is_orphan": node.is_orphan,
        }
        for node in preorder(parents)
    ]


def public_event(span: Mapping[str, object]) -> Json:
    """Return *span* in the shape that the published REST description gives events."""
    details = _mapping(span.get("details"))
    event: Json = {name: details.get(name) or {} for name in BUCKETS}
    event["metadata"] = {
        **_mapping(event["metadata"]),
        "trace_id": span["trace_id"],
        "span_id": span["span_id"],
        **({} if span["parent_id"] is None else {"parent_span_id": span["parent_id"]}),
        **_tokens(span),
    }
    for key in ("event_id", "session_id", "project", "source", "event_type", "error"):
        event[key] = span[key]
    event["project_id"] = span["project"]
    event["event_name"] = span["name"]
    event["parent_id"] = span["parent_event_id"] or span["session_id"]
    return {**event, **_times(span)}


def public_session(session: Mapping[str, object]) -> Json:
    """Return a session's summary in the shape that the published REST description gives events."""
    details = _mapping(session.get("details"))
    event: Json = {name: details.get(name) or {} for name in BUCKETS}
    event["metadata"] = {
        **_mapping(event["metadata"]),
        "num_events": session["spans"],
        "num_model_events": session["model_spans"],
        "has_feedback": bool(event["feedback"]),
        **_tokens(session),
    }
    event.update(
        event_id=session["session_id"],
        session_id=session["session_id"],
        event_type="session",
        event_name=session["name"] or "unknown",
        parent_id=None,
        project=session["project"],
        project_id=session["project"] or "local",
        source=session["source"],
        org_id="local",
        workspace_id="local",
    )
    return {**event, **_times(session)}


def nested_session(session: Mapping[str, object]) -> Json:
    """Return a session with its events nested, as ``GET /v1/sessions/{id}`` is published.

    Nesting ends at 64 levels, because readers recurse: what is deeper hangs below the 64th, its ``parent_id`` says where
    it belongs.
    """
    root: Json = {**public_session(session), "children": []}
    path: list[Json] = [root]
    for span in _list(session["span_list"]):
        node: Json = {**public_event(span), "children": []}
        depth = min(int(str(span["depth"])), 63)
        del path[depth + 1 :]
        _list(path[-1]["children"]).append(node)
        path.append(node)
    return root


def _parent(
    span: Json, by_key: Mapping[tuple[object, object], Json], by_event: Mapping[object, tuple[object, object]]
) -> tuple[object, object] | None:
    """Find the parent by span id, else by event id; a parent that is not here stays named."""
    if span["parent_id"] is None and span["parent_event_id"] is None:
        return None
    own = (span["trace_id"], span["parent_id"])
    if own in by_key:
        return own
    by_id = by_event.get(span["parent_event_id"]) if span["kind"] == "event" else None
    return by_id or (own if span["parent_id"] is not None else None)


def _where(wanted: Iterable[tuple[str, object]]) -> tuple[str, list[object]]:
    used = [(condition, value) for condition, value in wanted if value is not None]
    clause = " AND ".join(condition for condition, _ in used)
    return (f" WHERE {clause}" if clause else ""), [value for _, value in used]


def _opened(row: Cells) -> Json:
    fields = dict(row)
    if "details" in fields:
        fields["details"] = jsontext.loads(fields["details"])
    return fields


def _tokens(item: Mapping[str, object]) -> Json:
    tokens_in, tokens_out = item["tokens_in"], item["tokens_out"]
    found = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "cost": item["cost"]}
    known = {key: value for key, value in found.items() if value is not None}
    if tokens_in is not None or tokens_out is not None:
        known["total_tokens"] = int(str(tokens_in or 0)) + int(str(tokens_out or 0))
    return known


def _times(item: Mapping[str, object]) -> Json:
    start_ns, end_ns = int(str(item["start_ns"])), int(str(item["end_ns"]))
    return {
        "start_time": start_ns / 1_000_000,
        "end_time": end_ns / 1_000_000,
        "duration": max(0, end_ns - start_ns) / 1_000_000,
    }


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Json]:
    return value if isinstance(value, list) else []
