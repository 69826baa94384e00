"""Models of the REST interface: frozen, tolerant of what they do not know, strict in what they need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

import honeyhive.models
from honeyhive.models import (
    CreateEventRequest,
    Event,
    EventExportResponse,
    EventFilter,
    EventType,
    FilterOperator,
    PostSessionStartResponse,
    SessionStartRequest,
    TracingParams,
)


def test_event_types_are_text():
    assert [str(kind) for kind in EventType] == ["model", "tool", "chain", "session", "generic"]
    assert EventType.model == "model"


def test_event_types_cost_no_pydantic():
    script = "import sys; from honeyhive.models import EventType; print('pydantic' in sys.modules)"

    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "False"


def test_every_public_name_is_there_and_documented():
    for name in honeyhive.models.__all__:
        assert getattr(honeyhive.models, name).__doc__

    assert honeyhive.models.__all__ == sorted(honeyhive.models.__all__)


def test_a_model_cannot_be_changed():
    event = Event(event_id="e1")

    with pytest.raises(ValidationError):
        event.event_id = "e2"


def test_an_event_can_be_read_like_a_dict():
    event = Event.model_validate({"event_id": "e1", "brand_new": 1})

    assert (event["event_id"], event["brand_new"], event.get("error", "none")) == ("e1", 1, "none")
    with pytest.raises(KeyError):
        event["absent"]


def test_what_was_left_out_does_not_travel_but_nothing_else_is_dropped():
    event = CreateEventRequest(event_type=EventType.tool, metadata={"nothing": None}, brand_new=3)

    assert json.loads(event.to_json()) == {
        "event_type": "tool",
        "inputs": {},
        "metadata": {"nothing": None},
        "brand_new": 3,
    }


def test_numbers_that_json_lacks_travel_as_null():
    event = CreateEventRequest(event_type="tool", metrics={"loss": float("nan")})

    assert json.loads(event.to_json())["metrics"] == {"loss": None}


def test_a_value_that_json_lacks_is_an_error():
    with pytest.raises(ValueError, match="serialize"):
        CreateEventRequest(event_type="tool", inputs={"x": object()}).to_json()


@pytest.mark.parametrize("name", ["totalEvents", "total_events", "count"])
def test_the_number_of_events_has_several_names(name):
    assert EventExportResponse.model_validate({"events": [], name: 7}).total_events == 7


def test_there_are_at_least_as_many_events_as_came():
    assert EventExportResponse.model_validate({"events": [{}, {}]}).total_events == 2


def test_a_filter_has_the_documented_form():
    condition = EventFilter(field="event_type", operator="is not", value="model")

    assert condition.operator is FilterOperator.IS_NOT
    assert condition.to_dict() == {"field": "event_type", "operator": "is not", "value": "model", "type": "string"}


@pytest.mark.parametrize("answer", [{"session_id": "s1"}, {"event_id": "s1"}])
def test_a_session_is_its_own_event(answer):
    session = PostSessionStartResponse.model_validate(answer)

    assert (session.session_id, session.event_id) == ("s1", "s1")


def test_a_session_request_takes_the_envelope():
    assert SessionStartRequest.model_validate({"session": {"session_name": "s"}}).session_name == "s"


def test_tracing_parameters_are_those_that_were_given():
    params = TracingParams(event_type="tool", config={"a": 1})

    assert params.to_arguments() == {"event_type": "tool", "config": {"a": 1}}
    with pytest.raises(ValidationError):
        TracingParams(bogus=1)
