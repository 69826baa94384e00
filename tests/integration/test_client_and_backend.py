"""The client and the real backend speak the same language."""

from __future__ import annotations

from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from honeyhive.api import HoneyHive


@pytest.fixture
def client(server, monkeypatch):
    for name in ("HH_API_KEY", "HH_INGESTION_API_KEY", "HH_API_URL", "HONEYHIVE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with HoneyHive(project="demo", strict=True) as client:
        yield client


@pytest.mark.acceptance("C6")
def test_what_the_client_writes_it_finds_again(client, eventually):
    session = client.sessions.start(session_name="a day's work", inputs={"task": "plan"})
    event = client.events.create(
        event_type="model", event_name="call", session_id=session.session_id, inputs={"q": 1}, outputs={"a": 2}
    )
    batch = client.events.create_batch(events=[{"event_type": "tool", "session_id": session.session_id}] * 2)
    client.events.update(event_id=event.event_id, feedback={"rating": 5})

    found = eventually(lambda: _whole(client.events.get_by_session_id(session.session_id)))

    by_id = {one.event_id: one for one in found.events}
    assert {event.event_id, *batch.event_ids} <= set(by_id)
    assert by_id[event.event_id].feedback == {"rating": 5}
    assert by_id[event.event_id].outputs == {"a": 2}


@pytest.mark.usefixtures("client")
def test_the_page_about_events_is_true(eventually):
    page = Path(__file__).parents[2] / "docs" / "how-to" / "events.md"
    document = Sybil(parsers=[PythonCodeBlockParser()], pattern=page.name, path=str(page.parent)).parse(page)

    for example in document.examples():
        example.evaluate()

    client, session = document.namespace["client"], document.namespace["session"]
    (event,) = eventually(lambda: client.events.get_by_session_id(session.session_id).events)
    assert (event.event_name, event.inputs, event.duration) == (
        "look up",
        {"query": "bees"},
        pytest.approx(12.5, abs=0.001),
    )
    client.close()


def _whole(found):
    rated = any(event.feedback for event in found.events)
    return found if rated and len(found.events) >= 3 else None
