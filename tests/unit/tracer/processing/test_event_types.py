"""Spans are told their event type when they leave; what somebody said stands."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.sdk.trace import TracerProvider as SdkProvider

from honeyhive.exceptions import ConfigurationError
from honeyhive.tracer.export.encode import SpanEncoder
from honeyhive.tracer.processing.event_types import EventTypes, usual_event_types
from honeyhive.tracer.provider import TracerProvider

RANKER = {"name": "ranker", "when": {"name": {"prefix": "ranker."}}, "then": {"event_type": "model", "set": {"a": 1}}}


def alone(*patterns: dict[str, object]) -> EventTypes:
    return EventTypes(patterns, discover_more=False)


def test_what_the_vocabularies_say_is_the_type() -> None:
    assert "chain" == alone().of("run", {"openinference.span.kind": "AGENT"})


def test_without_a_word_it_is_a_tool() -> None:
    assert "tool" == alone().of("google-search", {})


def test_a_user_s_rule_is_stronger_than_the_vocabularies() -> None:
    assert "model" == alone(RANKER).of("ranker.score", {"openinference.span.kind": "TOOL"})


def test_what_was_said_explicitly_is_stronger_than_a_rule() -> None:
    added = alone(RANKER).additions("ranker.score", {"honeyhive_event_type": "chain"})

    assert {"a": 1} == added


@pytest.mark.acceptance("S18")
def test_the_smallest_priority_comes_first_and_the_first_match_wins() -> None:
    late = {"when": {"name": {"prefix": "rank"}}, "then": {"event_type": "tool"}, "priority": 2}
    early = {"when": {"name": {"prefix": "rank"}}, "then": {"event_type": "chain"}, "priority": 1}

    assert "chain" == alone(late, early).of("ranker.score", {})


@pytest.mark.acceptance("S18")
def test_rules_come_from_the_environment_too() -> None:
    event_types = EventTypes(environment={"HH_PATTERNS": json.dumps([RANKER])})

    assert "model" == event_types.of("ranker.score", {})


@pytest.mark.parametrize("then", [{"evnt_type": "model"}, {"set": ["a"]}])
def test_a_rule_whose_consequence_would_be_ignored_is_refused(then: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        alone({"name": "typo", "when": {}, "then": then})


@pytest.mark.parametrize("provider", [SdkProvider(shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)])
@pytest.mark.parametrize(
    "said, patterns, expected",
    [
        ({"gen_ai.operation.name": "chat"}, [], {"honeyhive_event_type": "model"}),
        ({"honeyhive_event_type": "chain"}, [], {"honeyhive_event_type": "chain"}),
        ({}, [RANKER], {"honeyhive_event_type": "model", "a": 1}),
        ({"honeyhive_event_type": "chain"}, [RANKER], {"honeyhive_event_type": "chain", "a": 1}),
    ],
)
def test_the_type_is_on_the_span_that_leaves(
    provider: SdkProvider, said: dict[str, str], patterns: list[dict[str, object]], expected: dict[str, object]
) -> None:
    span = provider.get_tracer("test").start_span("ranker.score")
    span.set_attributes(said)
    span.end()

    encoded = SpanEncoder(event_types=alone(*patterns)).span(span)  # type: ignore[arg-type]

    pairs = [
        (pair.key, pair.value.string_value or pair.value.int_value)
        for pair in SpanMessage.FromString(encoded).attributes
    ]
    assert sorted({**said, **expected}.items()) == sorted(pairs)


def test_rules_that_cannot_be_understood_are_named_and_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usual_event_types.cache_clear()
    monkeypatch.setenv("HH_PATTERNS", "[7]")

    event_types = usual_event_types()

    assert "tool" == event_types.of("x", {})
    assert "honeyhive" == caplog.records[0].name
    usual_event_types.cache_clear()
