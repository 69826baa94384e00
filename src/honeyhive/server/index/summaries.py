"""The summaries of traces and sessions: made anew, from the spans that are there, whenever one of these changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from honeyhive.models.conventions import BUCKETS
from honeyhive.server import jsontext
from honeyhive.server.index.amendments import known_amendments, merge, nanoseconds
from honeyhive.server.records.rows import key_of
from honeyhive.server.stores.interface import Connection
from honeyhive.server.stores.statements import found, upsert

__all__ = ["summarise_sessions", "summarise_traces"]

Json = dict[str, object]


def summarise_traces(connection: Connection, trace_ids: Iterable[str]) -> None:
    """Make the summaries of *trace_ids* anew; a trace without spans is no more."""
    keys = [(trace_id,) for trace_id in trace_ids]
    connection.execute_many("DELETE FROM traces WHERE trace_id = ?", keys)
    connection.execute_many(_SUMMARISE_TRACE, keys)


def summarise_sessions(connection: Connection, session_ids: Iterable[str]) -> None:
    """Make the summaries of *session_ids* anew; a session without a start and without spans is no more."""
    keys = [(session_id,) for session_id in session_ids]
    counted = {row["session_id"]: dict(row) for row in found(connection, _COUNT_SESSIONS, keys)}
    starts = {session_id: jsontext.object_of(text) for session_id, text in found(connection, _STARTS, keys)}
    added = known_amendments(connection, [session_id for (session_id,) in keys])
    known = [key for key in keys if key[0] in counted or key[0] in starts]
    connection.execute_many("DELETE FROM sessions WHERE session_id = ?", [key for key in keys if key not in known])
    connection.execute_many(
        _PUT_SESSION,
        [
            _session_cells(
                session_id, counted.get(session_id, _UNSEEN), starts.get(session_id, {}), added.get(session_id, ())
            )
            for (session_id,) in known
        ],
    )


def _session_cells(
    session_id: str, counted: Mapping[str, object], start: Json, amendments: Sequence[Mapping[str, object]]
) -> list[object]:
    event = dict(start)
    for amendment in amendments:
        merge(event, amendment)
    starts = (nanoseconds(event.get("start_time")), counted["start_ns"])
    ends = (nanoseconds(event.get("end_time")), counted["end_ns"])
    start_ns = min((ns for ns in starts if isinstance(ns, int)), default=0)
    end_ns = max((ns for ns in ends if isinstance(ns, int)), default=0)
    cells: Json = {
        **counted,
        "session_id": session_id,
        "name": event.get("event_name") or counted["name"],
        "project": key_of(str(event["project"])) if event.get("project") else counted["project"],
        "source": event.get("source") or counted["source"],
        "start_ns": start_ns,
        "end_ns": max(start_ns, end_ns),
        "errors": int(str(counted["errors"])) + bool(event.get("error")),
        "details": jsontext.dumps({name: event.get(name) or {} for name in BUCKETS}).decode(),
    }
    return [cells[name] for name in _SESSION_COLUMNS]


_FIGURES: Final = """
    CAST(sum(tokens_in) FILTER (WHERE event_type = 'model') AS BIGINT) AS tokens_in,
    CAST(sum(tokens_out) FILTER (WHERE event_type = 'model') AS BIGINT) AS tokens_out,
    sum(cost) FILTER (WHERE event_type = 'model') AS cost
"""

_SUMMARISE_TRACE: Final = f"""
INSERT INTO traces (
    trace_id, name, project, session_id, start_ns, end_ns, spans, errors, tokens_in, tokens_out, cost
)
SELECT
    trace_id,
    (SELECT name FROM spans WHERE trace_id = own.trace_id ORDER BY parent_id IS NOT NULL, start_ns, span_id LIMIT 1),
    (SELECT project FROM spans WHERE trace_id = own.trace_id AND project IS NOT NULL
     ORDER BY parent_id IS NOT NULL, start_ns, span_id LIMIT 1),
    (SELECT session_id FROM spans WHERE trace_id = own.trace_id AND session_id IS NOT NULL
     ORDER BY parent_id IS NOT NULL, start_ns, span_id LIMIT 1),
    min(start_ns), max(end_ns), count(*), count(error), {_FIGURES}
FROM spans AS own WHERE trace_id = ? GROUP BY trace_id
"""  # noqa: S608 - built from our own words

_COUNT_SESSIONS: Final = f"""
SELECT
    session_id, min(start_ns) AS start_ns, max(end_ns) AS end_ns, count(DISTINCT trace_id) AS traces,
    count(*) AS spans, count(*) FILTER (WHERE event_type = 'model') AS model_spans, count(error) AS errors,
    max(session_name) AS name, max(project) AS project, max(source) AS source, {_FIGURES}
FROM spans WHERE session_id IN {{keys}} GROUP BY session_id
"""  # noqa: S608 - built from our own words

_STARTS: Final = "SELECT session_id, event FROM session_starts WHERE session_id IN {keys}"

_SESSION_COLUMNS: Final = (
    "session_id",
    "name",
    "project",
    "source",
    "start_ns",
    "end_ns",
    "traces",
    "spans",
    "model_spans",
    "errors",
    "tokens_in",
    "tokens_out",
    "cost",
    "details",
)
_PUT_SESSION: Final = upsert("sessions", _SESSION_COLUMNS, ["session_id"])
_UNSEEN: Final[Json] = {
    **dict.fromkeys(("traces", "spans", "model_spans", "errors"), 0),
    **dict.fromkeys(("start_ns", "end_ns", "name", "project", "source", "tokens_in", "tokens_out", "cost")),
}
"""What is counted of a session that has no spans."""
