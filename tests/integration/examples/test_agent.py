"""The traced shopping assistant: the real client, the real instrumentor, one tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from local_backend import LocalBackend

    from conftest import Story

TREE = """\
assistant chain
  turn chain
    stream tokens chain
      ChatCompletion model
    Shop.get_weather tool
    Shop.search_catalogue tool
      CreateEmbeddings tool
    stream tokens chain
      ChatCompletion model
  turn chain
    stream tokens chain
      ChatCompletion model
    Shop.convert_currency tool !
    stream tokens chain
      ChatCompletion model
    Shop.convert_currency tool
    stream tokens chain
      ChatCompletion model
  ChatCompletion model"""


@pytest.fixture(scope="module")
def printed(run_once: Callable[[str], str]) -> str:
    return run_once("agent.py")


@pytest.fixture
def trace(printed: str, story: Callable[[str], Story]) -> Story:
    return story("outdoor-shop")


def test_the_agent_answers_its_customer(printed: str) -> None:
    """Being traced changes nothing of what it says."""
    assert "I would take the Fjord rain jacket, waterproof and light, for 129 EUR." in printed
    assert printed.endswith("That is 1509.30 NOK.\n")


def test_it_is_one_tree_of_agent_tools_and_model_calls(trace: Story) -> None:
    """The instrumentor's spans stand below the function that made the call, parallel and streamed ones too."""
    assert TREE.splitlines() == trace.lines


def test_nothing_is_there_twice(trace: Story, backend: LocalBackend) -> None:
    """One trace, one span for each piece of work, all in one session."""
    ids = Counter(span["span_id"] for span in trace.spans)
    sessions = {span["session_id"] for span in trace.spans}

    assert set(ids.values()) == {1}
    assert len(sessions) == 1
    assert len(backend.traces(project="outdoor-shop")) == 1
    assert [s["spans"] for s in backend.get("/v1/sessions", project="outdoor-shop")["sessions"]] == [len(trace.spans)]


def test_a_streamed_model_call_shows_messages_tools_and_tokens(trace: Story) -> None:
    """Put together again from its pieces, as one answer."""
    first = trace.named("ChatCompletion")[0]

    details = first["details"]
    assert [m["role"] for m in details["inputs"]["chat_history"]] == ["system", "user"]
    assert [(call["name"], call["arguments"]) for call in details["outputs"]["tool_calls"]] == [
        ("get_weather", {"city": "Bergen"}),
        ("search_catalogue", {"query": "rain jacket", "max_price_eur": 150}),
    ]
    assert first["model"] == "trail-mini"
    assert first["tokens_in"] == 40
    assert first["tokens_out"] == 32


def test_the_trace_adds_its_tokens_up(trace: Story) -> None:
    """Of all six chat calls, each once."""
    calls = trace.named("ChatCompletion")

    assert len(calls) == 6
    assert trace.trace["tokens_in"] == sum(call["tokens_in"] for call in calls)
    assert trace.trace["tokens_out"] == sum(call["tokens_out"] for call in calls)


def test_a_tool_shows_what_went_in_and_out(trace: Story) -> None:
    """Arguments by name, the result, and what the code said about it."""
    (search,) = trace.named("Shop.search_catalogue")

    details = search["details"]
    assert details["inputs"] == {"query": "rain jacket", "max_price_eur": 150}
    assert [item["name"] for item in details["outputs"]["result"]] == ["Fjord rain jacket"]
    assert details["metrics"] == {"found": 1}
    assert details["config"] == {"index": "spring catalogue"}


def test_the_failed_tool_says_why_and_the_turn_goes_on(trace: Story) -> None:
    """The error stays on the tool that failed."""
    failed, recovered = trace.named("Shop.convert_currency")

    assert failed["error"].endswith("no rate from EUR to 'kroner'; known codes: NOK, GBP, USD")
    assert recovered["details"]["outputs"]["result"] == {"amount": 1509.3, "currency": "NOK"}
    assert trace.trace["errors"] == 1


def test_streamed_tokens_are_joined_on_their_span(trace: Story) -> None:
    """A generator's output is what it yielded."""
    last = trace.named("stream tokens")[-1]

    assert last["details"]["outputs"]["result"] == "That is 1509.30 NOK."


def test_the_session_has_its_name_the_customer_and_the_rating(trace: Story, backend: LocalBackend) -> None:
    """What ``enrich_session`` said arrives after the spans, in the background."""
    session_id = trace.spans[0]["session_id"]

    session = wait_for(backend, lambda: feedback_of(backend, session_id))

    assert session["event_name"] == "A jacket for Bergen"
    assert session["feedback"]["rating"] == 5
    assert session["user_properties"] == {"user_id": "customer-17", "plan": "club member"}


def feedback_of(backend: LocalBackend, session_id: str) -> Any:
    """The session's event once it has been rated."""
    event = backend.get(f"/v1/events/{session_id}")
    return event if event.get("feedback") else None


def wait_for(backend: LocalBackend, look: Callable[[], Any], *, looks: int = 200) -> Any:
    """Look until something is there."""
    for _ in range(looks):
        if found := look():
            return found
        backend.pause()
    pytest.fail("it did not come")
