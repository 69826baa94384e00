"""The event type comes from what is said, in a fixed order, and never from words inside a name."""

from __future__ import annotations

import pytest

from honeyhive.models.conventions import canonical, detect_event_type
from honeyhive.models.conventions.event_types import EVENT_TYPES, RULES


@pytest.mark.parametrize(
    "attributes, expected",
    [
        ({"honeyhive_event_type": "chain", "gen_ai.operation.name": "chat"}, "chain"),
        ({"honeyhive_event_type": "tool", "gen_ai.operation.name": "chat"}, "tool"),
        ({"honeyhive_event_type": "demo"}, "demo"),
        ({"gen_ai.operation.name": "chat", "openinference.span.kind": "AGENT"}, "model"),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m"}, "chain"),
        ({"gen_ai.operation.name": "execute_tool"}, "tool"),
        ({"openinference.span.kind": "LLM"}, "model"),
        ({"openinference.span.kind": "RETRIEVER", "embedding.model_name": "m"}, "tool"),
        ({"traceloop.span.kind": "workflow"}, "chain"),
        ({"traceloop.span.kind": "tool"}, "tool"),
        ({"ai.operationId": "ai.generateText", "ai.model.id": "m"}, "chain"),
        ({"ai.operationId": "ai.generateText.doGenerate"}, "model"),
        ({"langfuse.observation.type": "generation"}, "model"),
        ({"messaging.operation.type": "send"}, "chain"),
        ({"gen_ai.request.model": "m"}, "model"),
        ({"gen_ai.operation.name": 7}, None),
        ({}, None),
    ],
)
def test_the_strongest_source_decides(attributes: dict[str, object], expected: str | None) -> None:
    assert expected == detect_event_type(attributes)


@pytest.mark.parametrize("name", ["google-search", "load_model", "chat_room.open", "complete_order"])
def test_words_inside_a_name_decide_nothing(name: str) -> None:
    assert "tool" == canonical({}, name=name).event_type


def test_exact_names_of_known_instrumentors_do() -> None:
    assert "model" == canonical({}, name="openai.chat").event_type


def test_rules_name_only_known_types() -> None:
    assert {kind for rule in RULES for kind in rule.types.values()} <= set(EVENT_TYPES)
