"""Events and sessions as they arrive over REST: checked, completed, and read back from the journal.

What a sender may leave out (ids, times, names) is filled in *before* the journal, so that projecting the journal again
gives the same events. The journal holds each call in its public shape, ``{"method", "path", "body"}``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from honeyhive.models.conventions import BUCKETS, EVENT_TYPES
from honeyhive.server import jsontext
from honeyhive.server.admission.limits import Limits, Refusal
from honeyhive.server.records.reports import CLIENT_REPORTS, ClientReport, checked_report, report_of

__all__ = ["Event", "Intake", "Submission", "client_report", "project_rest"]

Event = Mapping[str, object]

_LONGEST_ID: Final = 256
_TEXTS: Final = ("project", "source", "event_name", "error")
_TIMES: Final = ("start_time", "end_time", "duration")
_IDS: Final = ("event_id", "session_id", "parent_id")


@dataclass(frozen=True, slots=True)
class Submission:
    """A call that may be stored, and what to answer once it is."""

    call: Mapping[str, object]
    reply: Mapping[str, object] | None


class Intake:
    """Checks and completes REST calls.

    Args:
        new_id: Makes the ids that senders leave out.
        now_ms: The time that events without a time have, in milliseconds since 1970.
        limits: The bounds of one call.
    """

    def __init__(self, *, new_id: Callable[[], str], now_ms: Callable[[], float], limits: Limits) -> None:
        self._new_id = new_id
        self._now_ms = now_ms
        self._limits = limits
        self._verbs: Mapping[tuple[str, str], Callable[[Event], Submission]] = {
            ("POST", "/session/start"): self._start_session,
            ("POST", "/events"): self._create_event,
            ("POST", "/v1/events"): self._create_event,
            ("PUT", "/events"): self._update_event,
            ("PUT", "/v1/events"): self._update_event,
            ("POST", "/events/batch"): self._create_batch,
            ("POST", "/v1/events/batch"): self._create_batch,
            ("POST", CLIENT_REPORTS): self._take_report,
        }

    def submit(self, method: str, path: str, body: object) -> Submission:
        """Check the call and fill in what it leaves out.

        Raises:
            Refusal: 400 with the reason, 404 for another call, 413 for too many events.
        """
        verb = self._verbs.get((method, path))
        if verb is None:
            raise Refusal(404, "There is no such call.")
        if jsontext.is_deeper_than(body, self._limits.depth):
            raise Refusal(400, f"The body nests deeper than {self._limits.depth} levels.")
        return verb(_object(body, "The body"))

    def _start_session(self, body: Event) -> Submission:
        session = dict(_object(_unpacked(body.get("session"), "session"), "session"))
        session.setdefault("event_name", session.get("session_name"))
        session["event_type"] = "session"
        session["session_id"] = session.get("session_id") or session.get("event_id") or self._new_id()
        session["event_id"] = session["session_id"]
        complete = self._complete(session)
        call = {"method": "POST", "path": "/session/start", "body": {"session": complete}}
        return Submission(call, {**complete, "org_id": "local", "workspace_id": "local", "project_id": "local"})

    def _create_event(self, body: Event) -> Submission:
        event = self._complete(_object(_unpacked(body.get("event"), "event"), "event"))
        call = {"method": "POST", "path": "/events", "body": {"event": event}}
        return Submission(call, {"success": True, "event_id": event["event_id"]})

    def _update_event(self, body: Event) -> Submission:
        if not body.get("event_id"):
            raise Refusal(400, "event_id is missing.")
        _check(body)
        return Submission({"method": "PUT", "path": "/events", "body": dict(body)}, None)

    def _create_batch(self, body: Event) -> Submission:
        events = body.get("events")
        if not isinstance(events, list):
            raise Refusal(400, "events is not a list.")
        if len(events) > self._limits.events:
            raise Refusal(413, f"The batch holds more than {self._limits.events} events; send fewer at once.")
        given = [_object(event, "An item of events") for event in events]
        shared = self._shared_session(body)
        complete = [self._complete({"session_id": shared, **event}) for event in given]
        if shared is not None:
            for event in complete:
                event["session_id"] = shared
            complete = [*self._session_of_batch(body, shared), *complete]
        reply: dict[str, object] = {
            "event_ids": [event["event_id"] for event in complete if event["event_type"] != "session"],
            "success": True,
        }
        if shared is not None:
            reply["session_id"] = shared
        return Submission({"method": "POST", "path": "/events/batch", "body": {"events": complete}}, reply)

    def _take_report(self, body: Event) -> Submission:
        report = checked_report(body, self._new_id, self._now_ms)
        return Submission({"method": "POST", "path": CLIENT_REPORTS, "body": report}, {"success": True})

    def _shared_session(self, body: Event) -> str | None:
        if not (body.get("is_single_session") or body.get("single_session") or body.get("session_properties")):
            return None
        properties = _object(body.get("session_properties") or {}, "session_properties")
        return _identifier(properties.get("session_id") or self._new_id(), "session_id")

    def _session_of_batch(self, body: Event, session_id: str) -> list[dict[str, object]]:
        properties = body.get("session_properties")
        if not isinstance(properties, Mapping):
            return []
        session = {"event_name": properties.get("session_name"), **properties}
        return [self._complete({**session, "event_type": "session", "session_id": session_id, "event_id": session_id})]

    def _complete(self, event: Event) -> dict[str, object]:
        """Return *event* checked, with every id, name and time."""
        _check(event)
        complete: dict[str, object] = {name: event.get(name) or {} for name in BUCKETS}
        complete.update({name: event.get(name) for name in ("project", "source", "error") if event.get(name)})
        complete["event_type"] = _event_type(event)
        complete["event_name"] = event.get("event_name") or "unknown"
        complete["session_id"] = event.get("session_id") or self._new_id()
        complete["event_id"] = event.get("event_id") or self._new_id()
        if complete["event_type"] == "session":
            complete["event_id"] = complete["session_id"]
        elif event.get("parent_id"):
            complete["parent_id"] = event["parent_id"]
        complete.update(self._times(event))
        return complete

    def _times(self, event: Event) -> dict[str, float]:
        duration = _number(event.get("duration")) or 0.0
        end = _number(event.get("end_time"))
        start = _number(event.get("start_time"))
        if start is None:
            start = (self._now_ms() if end is None else end) - duration
        if end is None:
            end = start + duration
        return {"start_time": start, "end_time": end, "duration": max(0.0, end - start)}


def project_rest(call: object) -> tuple[Sequence[Event], Sequence[Event]]:
    """Read a journaled call back: the events it creates (sessions among them) and the updates it makes.

    Raises:
        ValueError: It is no such call.
    """
    if isinstance(call, Mapping) and isinstance(body := call.get("body"), Mapping):
        match call.get("method"), call.get("path"):
            case "POST", "/session/start":
                return [_journaled(body.get("session"))], []
            case "POST", "/events":
                return [_journaled(body.get("event"))], []
            case "POST", "/events/batch":
                return [_journaled(event) for event in _list(body.get("events"))], []
            case "PUT", "/events":
                return [], [body]
            case "POST", path if path == CLIENT_REPORTS:
                return [], []
    raise ValueError("not a call that this server journals")


def client_report(call: object) -> ClientReport | None:
    """Read a journaled call back if it is a client report.

    Raises:
        ValueError: It is one, and not complete.
    """
    if isinstance(call, Mapping) and call.get("path") == CLIENT_REPORTS and isinstance(call.get("body"), Mapping):
        return report_of(call["body"])
    return None


def _journaled(event: object) -> Event:
    if isinstance(event, Mapping) and {"event_id", "session_id", "event_type", "event_name"} <= event.keys():
        return event
    raise ValueError("an event of the call is not complete")


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []


def _check(event: Event) -> None:
    for name in BUCKETS:
        if event.get(name) is not None and not isinstance(event[name], Mapping):
            raise Refusal(400, f"{name} is not an object.")
    for name in _TEXTS:
        if event.get(name) is not None and not isinstance(event[name], str):
            raise Refusal(400, f"{name} is not a text.")
    for name in _TIMES:
        if event.get(name) is not None and _number(event[name]) is None:
            raise Refusal(400, f"{name} is not a number of milliseconds.")
    for name in _IDS:
        if event.get(name):
            _identifier(event[name], name)


def _event_type(event: Event) -> str:
    given = event.get("event_type") or "tool"
    if given not in EVENT_TYPES:
        raise Refusal(400, f"event_type is none of {', '.join(sorted(EVENT_TYPES))}.")
    return str(given)


def _identifier(value: object, name: str) -> str:
    if isinstance(value, str) and len(value) <= _LONGEST_ID and value.isprintable():
        return value
    raise Refusal(400, f"{name} is not an id: a printable text of at most {_LONGEST_ID} characters.")


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _unpacked(value: object, name: str) -> object:
    """Open *value* if it is JSON in a text, which is how the published description wants it."""
    if not isinstance(value, str):
        return value
    try:
        return jsontext.loads(value)
    except ValueError:
        raise Refusal(400, f"{name} is not JSON.") from None


def _object(value: object, name: str) -> Event:
    if isinstance(value, Mapping):
        return value
    raise Refusal(400, f"{name} is missing or not an object.")
