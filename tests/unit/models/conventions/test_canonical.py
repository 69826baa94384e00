"""Whatever vocabulary a span was written in, it means the same event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.models.conventions import BUCKETS, canonical

QUESTION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Rain in Oslo?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "name": "weather", "arguments": {"city": "Oslo"}}],
    },
    {"role": "tool", "content": "rain", "tool_call_id": "c1"},
]
ANSWER = {"role": "assistant", "text": "Yes."}

CALL = json.dumps({"city": "Oslo"})

CURRENT_GEN_AI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
    "gen_ai.input.messages": json.dumps(
        [
            {"role": "user", "parts": [{"type": "text", "content": "Rain in Oslo?"}]},
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Oslo"}}],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "rain"}]},
        ]
    ),
    "gen_ai.output.messages": json.dumps(
        [{"role": "assistant", "parts": [{"type": "text", "content": "Yes."}], "finish_reason": "stop"}]
    ),
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 60,
}
OLD_GEN_AI = {
    "llm.request.type": "chat",
    "gen_ai.system": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.prompt.0.role": "system",
    "gen_ai.prompt.0.content": "Be brief.",
    "gen_ai.prompt.1.role": "user",
    "gen_ai.prompt.1.content": "Rain in Oslo?",
    "gen_ai.prompt.2.role": "assistant",
    "gen_ai.prompt.2.tool_calls.0.id": "c1",
    "gen_ai.prompt.2.tool_calls.0.name": "weather",
    "gen_ai.prompt.2.tool_calls.0.arguments": CALL,
    "gen_ai.prompt.3.role": "tool",
    "gen_ai.prompt.3.content": "rain",
    "gen_ai.prompt.3.tool_call_id": "c1",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "Yes.",
    "gen_ai.completion.0.finish_reason": "stop",
    "gen_ai.usage.prompt_tokens": 100,
    "gen_ai.usage.completion_tokens": 20,
    "llm.usage.total_tokens": 120,
    "gen_ai.usage.cache_read_input_tokens": 60,
}
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.provider": "openai",
    "llm.model_name": "gpt-4o",
    "input.value": json.dumps({"messages": [], "model": "gpt-4o"}),
    "input.mime_type": "application/json",
    "output.value": json.dumps({"choices": []}),
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "Be brief.",
    "llm.input_messages.1.message.role": "user",
    "llm.input_messages.1.message.contents.0.message_content.type": "text",
    "llm.input_messages.1.message.contents.0.message_content.text": "Rain in Oslo?",
    "llm.input_messages.2.message.role": "assistant",
    "llm.input_messages.2.message.tool_calls.0.tool_call.id": "c1",
    "llm.input_messages.2.message.tool_calls.0.tool_call.function.name": "weather",
    "llm.input_messages.2.message.tool_calls.0.tool_call.function.arguments": CALL,
    "llm.input_messages.3.message.role": "tool",
    "llm.input_messages.3.message.content": "rain",
    "llm.input_messages.3.message.tool_call_id": "c1",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "Yes.",
    "llm.finish_reason": "stop",
    "llm.token_count.prompt": 100,
    "llm.token_count.completion": 20,
    "llm.token_count.total": 120,
    "llm.token_count.prompt_details.cache_read": 60,
}
VERCEL = {
    "ai.operationId": "ai.generateText.doGenerate",
    "ai.model.provider": "openai",
    "ai.model.id": "gpt-4o",
    "ai.prompt.messages": json.dumps(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Rain in Oslo?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool-call", "toolCallId": "c1", "toolName": "weather", "input": {"city": "Oslo"}}
                ],
            },
            {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "output": "rain"}]},
        ]
    ),
    "ai.response.text": "Yes.",
    "ai.response.finishReason": "stop",
    "ai.usage.inputTokens": 100,
    "ai.usage.outputTokens": 20,
    "ai.usage.cachedInputTokens": 60,
}
LANGFUSE = {
    "langfuse.observation.type": "generation",
    "langfuse.observation.model.name": "gpt-4o",
    "gen_ai.system": "openai",
    "langfuse.observation.input": json.dumps(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Rain in Oslo?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": CALL}}],
            },
            {"role": "tool", "content": "rain", "tool_call_id": "c1"},
        ]
    ),
    "langfuse.observation.output": json.dumps({"role": "assistant", "content": "Yes.", "finish_reason": "stop"}),
    "langfuse.observation.usage_details": json.dumps({"input": 40, "output": 20, "cache_read_input_tokens": 60}),
}
CALLS = {
    "current gen_ai": CURRENT_GEN_AI,
    "old gen_ai": OLD_GEN_AI,
    "openinference": OPENINFERENCE,
    "vercel": VERCEL,
    "langfuse": LANGFUSE,
}


@pytest.mark.parametrize("attributes", CALLS.values(), ids=CALLS)
def test_the_same_model_call_is_the_same_event_in_every_vocabulary(attributes: dict[str, object]) -> None:
    event = canonical(attributes, name="call")

    assert QUESTION == event.inputs.pop("chat_history")
    assert ANSWER == event.outputs
    assert {} == event.inputs
    assert ("model", "gpt-4o", "openai") == (event.event_type, event.model, event.provider)
    assert (100, 20, 120, 60) == (
        event.tokens.input,
        event.tokens.output,
        event.tokens.total,
        event.tokens.cache_read,
    )
    assert "stop" == event.metadata["finish_reason"]


def test_messages_in_span_events_are_the_conversation() -> None:
    events = [
        ("gen_ai.user.message", {"content": "Rain?"}),
        ("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": json.dumps({"content": "Yes."})}),
    ]

    event = canonical({"gen_ai.system": "openai", "gen_ai.request.model": "m"}, name="chat m", events=events)

    assert [{"role": "user", "content": "Rain?"}] == event.inputs["chat_history"]
    assert {"role": "assistant", "text": "Yes."} == event.outputs


def test_anthropic_content_blocks_are_read() -> None:
    blocks = [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "rain"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm."},
                {"type": "text", "text": "Wait."},
                {"type": "tool_use", "id": "c2", "name": "weather", "input": {"city": "Bergen"}},
            ],
        },
        {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image", "source": "data:"}]},
    ]

    event = canonical({"gen_ai.request.model": "m", "gen_ai.input.messages": json.dumps(blocks)}, name="x")

    assert [
        {"role": "tool", "content": "rain", "tool_call_id": "c1"},
        {
            "role": "assistant",
            "content": "Wait.",
            "tool_calls": [{"id": "c2", "name": "weather", "arguments": {"city": "Bergen"}}],
            "reasoning": "Hm.",
        },
        {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image", "source": "data:"}]},
    ] == event.inputs["chat_history"]


def test_honeyhive_namespaces_are_unflattened_into_their_buckets() -> None:
    event = canonical(
        {
            "honeyhive_event_type": "chain",
            "honeyhive_event_name": "answer",
            "honeyhive.session_id": "s1",
            "honeyhive.project": "shop",
            "honeyhive.source": "dev",
            "honeyhive_user_id": "u1",
            "honeyhive_inputs.question": "12",
            "honeyhive_inputs.filters": '{"city": "Oslo", "limit": 3}',
            "honeyhive_outputs.result.rows.0": "a",
            "honeyhive_outputs.result.rows.1": "b",
            "honeyhive_config.model": "gpt-4o",
            "honeyhive_metadata.run_id": "r1",
            "honeyhive_metrics.score": 0.5,
            "honeyhive_feedback.rating": 5,
            "honeyhive_user_properties.plan": "pro",
            "http.method": "GET",
        },
        name="module.answer",
    )

    assert ("answer", "chain", "s1", "shop", "dev", "u1") == (
        event.event_name,
        event.event_type,
        event.session_id,
        event.project,
        event.source,
        event.user_id,
    )
    assert {"question": "12", "filters": {"city": "Oslo", "limit": 3}} == event.inputs
    assert {"result": {"rows": ["a", "b"]}} == event.outputs
    assert ({"model": "gpt-4o"}, "gpt-4o") == (event.config, event.model)
    assert {"run_id": "r1", "http.method": "GET"} == event.metadata
    assert ({"score": 0.5}, {"rating": 5}, {"plan": "pro"}) == (event.metrics, event.feedback, event.user_properties)


def test_a_user_s_own_words_are_stronger_than_an_instrumentor_s() -> None:
    event = canonical(
        {"honeyhive_inputs.chat_history": "mine", "gen_ai.prompt.0.content": "theirs", "gen_ai.request.model": "m"},
        name="x",
    )

    assert {"chat_history": "mine"} == event.inputs


def test_a_tool_span_keeps_its_arguments_and_result() -> None:
    event = canonical(
        {
            "openinference.span.kind": "TOOL",
            "tool.name": "weather",
            "input.value": CALL,
            "input.mime_type": "application/json",
            "output.value": "rain",
        },
        name="weather",
    )

    assert ("tool", {"city": "Oslo"}, {"result": "rain"}) == (event.event_type, event.inputs, event.outputs)
    assert "weather" == event.metadata["tool_name"]


def test_traceloop_entities_and_associations_are_read() -> None:
    event = canonical(
        {
            "traceloop.span.kind": "workflow",
            "traceloop.entity.name": "joke",
            "traceloop.entity.input": json.dumps({"args": ["cats"], "kwargs": {}}),
            "traceloop.entity.output": json.dumps("A joke."),
            "traceloop.association.properties.session_id": "s1",
            "traceloop.association.properties.tenant": "t1",
        },
        name="joke.workflow",
    )

    assert ("chain", "s1") == (event.event_type, event.session_id)
    assert ({"args": ["cats"], "kwargs": {}}, {"result": "A joke."}) == (event.inputs, event.outputs)
    assert "t1" == event.metadata["tenant"]


def test_retrieved_documents_and_tool_schemas_are_unflattened() -> None:
    event = canonical(
        {
            "openinference.span.kind": "RETRIEVER",
            "retrieval.documents.0.document.content": "first",
            "retrieval.documents.1.document.content": "second",
            "llm.tools.0.tool.json_schema": json.dumps({"name": "weather"}),
        },
        name="search",
    )

    assert [{"document": {"content": "first"}}, {"document": {"content": "second"}}] == event.outputs["documents"]
    assert [{"name": "weather"}] == event.config["tools"]


@pytest.mark.parametrize(
    "attributes, events, expected",
    [
        ({"honeyhive_error": "explicit"}, [("exception", {"exception.message": "raised"})], "explicit"),
        ({}, [("exception", {"exception.type": "KeyError", "exception.message": "raised"})], "raised"),
        ({}, [], "the status"),
    ],
)
def test_a_failed_span_tells_its_error(attributes: dict[str, object], events: list[Any], expected: str) -> None:
    event = canonical(attributes, name="x", events=events, failed=True, status_message="the status")

    assert expected == event.error


def test_an_exception_that_was_handled_is_no_error() -> None:
    event = canonical({}, name="x", events=[("exception", {"exception.message": "handled"})])

    assert event.error is None


def test_a_failed_span_without_a_word_is_an_error_all_the_same() -> None:
    event = canonical({"error.type": "TimeoutError"}, name="x", failed=True)

    assert ("TimeoutError", "TimeoutError") == (event.error, event.error_type)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "parts", "type", "text", "messages", "tool_calls", "function", "id"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
keys = st.sampled_from([*CURRENT_GEN_AI, *OLD_GEN_AI, *OPENINFERENCE, *VERCEL, *LANGFUSE]) | st.text(max_size=12)
anything = (
    st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | json_values.map(json.dumps) | json_values
)


@given(st.dictionaries(keys, anything, max_size=12), st.booleans())
def test_no_content_makes_it_raise(attributes: dict[str, object], failed: bool) -> None:
    canonical(attributes, name="x", events=[("gen_ai.choice", attributes), ("exception", attributes)], failed=failed)


@given(st.dictionaries(st.text(min_size=1, max_size=12), st.integers(), max_size=8))
def test_unknown_attributes_are_kept_in_metadata(attributes: dict[str, int]) -> None:
    event = canonical({f"x-{key}": value for key, value in attributes.items()}, name="x")

    assert {f"x-{key}": value for key, value in attributes.items()} == event.metadata


def test_hostile_nesting_is_kept_as_it_is() -> None:
    deep = "[" * 5_000 + "]" * 5_000

    event = canonical({"honeyhive_inputs.x": deep, "honeyhive_outputs." + "a." * 5_000 + "b": 1}, name="x")

    assert deep == event.inputs["x"]
    assert set(BUCKETS) >= {"inputs", "outputs"}
