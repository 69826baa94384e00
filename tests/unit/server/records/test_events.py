"""REST calls are completed before they are journaled, or refused with a reason."""

from __future__ import annotations

import json

import pytest

from honeyhive.server.admission.limits import Refusal
from honeyhive.server.records.events import Intake, project_rest


def test_what_a_sender_leaves_out_is_filled_in(intake: Intake) -> None:
    submission = intake.submit("POST", "/events", {"event": {"event_type": "tool", "duration": 1_000}})

    assert submission.reply == {"success": True, "event_id": "id-2"}
    [event], _ = project_rest(submission.call)
    assert event["session_id"] == "id-1"
    assert event["event_name"] == "unknown"
    assert (event["start_time"], event["end_time"]) == (4_000.0, 5_000.0)


def test_a_session_is_answered_with_all_that_is_known_of_it(intake: Intake) -> None:
    session = {"session_name": "s", "session_id": "abc", "inputs": {"q": 1}}

    reply = intake.submit("POST", "/session/start", {"session": session}).reply

    assert reply is not None
    assert (reply["session_id"], reply["event_id"], reply["event_name"]) == ("abc", "abc", "s")
    assert {"org_id", "workspace_id", "project_id"} <= reply.keys()


def test_an_event_may_come_as_json_in_a_text(intake: Intake) -> None:
    body = {"event": json.dumps({"event_type": "model", "event_id": "e"})}

    assert intake.submit("POST", "/events", body).reply == {"success": True, "event_id": "e"}


def test_a_batch_may_share_one_session(intake: Intake) -> None:
    body = {
        "events": [{"event_type": "tool"}, {"event_type": "model", "session_id": "other"}],
        "session_properties": {"session_name": "shared"},
    }

    submission = intake.submit("POST", "/events/batch", body)

    events, _ = project_rest(submission.call)
    assert submission.reply is not None
    shared = submission.reply["session_id"]
    assert [event["session_id"] for event in events] == [shared] * 3
    assert [event["event_type"] for event in events] == ["session", "tool", "model"]


@pytest.mark.parametrize(
    "path, body",
    [
        ("/events", []),
        ("/events", {}),
        ("/events", {"event": "{"}),
        ("/events", {"event": 7}),
        ("/events", {"event": {"event_type": "banana"}}),
        ("/events", {"event": {"event_type": ["model"]}}),
        ("/events", {"event": {"inputs": "text"}}),
        ("/events", {"event": {"error": {}}}),
        ("/events", {"event": {"start_time": "yesterday"}}),
        ("/events", {"event": {"event_id": 7}}),
        ("/events", {"event": {"session_id": "x" * 300}}),
        ("/events", {"event": {"session_id": "a\nb"}}),
        ("/events/batch", {"events": {}}),
        ("/events/batch", {"events": [7]}),
        ("/session/start", {}),
    ],
)
def test_a_malformed_call_is_refused_with_a_reason(intake: Intake, path: str, body: object) -> None:
    with pytest.raises(Refusal) as refused:
        intake.submit("POST", path, body)

    assert refused.value.status == 400


def test_an_update_needs_an_event(intake: Intake) -> None:
    with pytest.raises(Refusal, match="event_id"):
        intake.submit("PUT", "/events", {"metrics": {}})
