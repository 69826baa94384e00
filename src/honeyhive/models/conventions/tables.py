"""What the attribute vocabularies mean, as data.

Six families are read: HoneyHive's own, the GenAI semantic conventions (the current ones
and those of 2024), OpenInference, Traceloop, Vercel's AI SDK and Langfuse. To teach the
house a further key, add a line here.

A target is ``bucket.name``. Where several keys aim at one target, the one that stands
first in its table wins; tables are in the order of `SCALARS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = [
    "BUCKETS",
    "IDENTITY",
    "JSON_PARTS",
    "MODEL_KEYS",
    "PREFIXES",
    "SCALARS",
    "TOKENS",
    "TOKEN_KEYS",
]

BUCKETS: Final = ("inputs", "outputs", "config", "metadata", "metrics", "feedback", "user_properties")
"""The seven places where the content of an event can be."""

IDENTITY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "session_id": (
            "honeyhive.session_id",
            "honeyhive_session_id",
            "traceloop.association.properties.session_id",
            "session.id",
            "langfuse.session.id",
            "gen_ai.conversation.id",
            "ai.telemetry.metadata.sessionId",
        ),
        "project": ("honeyhive.project", "honeyhive_project", "traceloop.association.properties.project"),
        "source": (
            "honeyhive.source",
            "honeyhive_source",
            "traceloop.association.properties.source",
            "langfuse.environment",
        ),
        "session_name": ("honeyhive_session_name", "honeyhive.session_name", "langfuse.trace.name"),
        "user_id": (
            "honeyhive_user_id",
            "honeyhive.user_id",
            "user.id",
            "langfuse.user.id",
            "traceloop.association.properties.user_id",
            "ai.telemetry.metadata.userId",
            "enduser.id",
        ),
        "event_id": ("honeyhive_event_id", "honeyhive.event_id"),
        "event_name": ("honeyhive_event_name", "honeyhive.event_name"),
        "parent_id": ("honeyhive.parent_id", "honeyhive_parent_id", "traceloop.association.properties.parent_id"),
    }
)
"""Who and where: for each field the keys that may say it, the strongest first."""

MODEL_KEYS: Final = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.model_name",
    "llm.response.model",
    "llm.request.model",
    "embedding.model_name",
    "ai.response.model",
    "ai.model.id",
    "langfuse.observation.model.name",
)
"""Keys whose presence means that a model was called."""

_HONEYHIVE: Final = {
    "honeyhive_error": "error.message",
    "honeyhive_error_type": "error.type",
    "honeyhive_duration_ms": "metadata.reported_duration_ms",
}

_GEN_AI: Final = {
    "gen_ai.response.model": "metadata.model_name",
    "gen_ai.request.model": "config.model",
    "gen_ai.provider.name": "config.provider",
    "gen_ai.system": "config.provider",
    "gen_ai.operation.name": "metadata.operation_name",
    "gen_ai.conversation.id": "metadata.conversation_id",
    "gen_ai.response.id": "metadata.response_id",
    "gen_ai.response.finish_reasons": "metadata.finish_reasons",
    "gen_ai.response.time_to_first_chunk": "metadata.time_to_first_chunk_s",
    "gen_ai.agent.name": "metadata.agent_name",
    "gen_ai.agent.id": "metadata.agent_id",
    "gen_ai.agent.description": "metadata.agent_description",
    "gen_ai.tool.name": "metadata.tool_name",
    "gen_ai.tool.type": "metadata.tool_type",
    "gen_ai.tool.description": "metadata.tool_description",
    "gen_ai.tool.call.id": "metadata.tool_call_id",
    "gen_ai.data_source.id": "metadata.data_source_id",
    "gen_ai.output.type": "config.output_type",
    "gen_ai.evaluation.name": "metadata.evaluation_name",
    "gen_ai.usage.cost": "metadata.cost",
    "error.type": "error.type",
}

_OPENINFERENCE: Final = {
    "llm.model_name": "config.model",
    "llm.provider": "config.provider",
    "llm.system": "config.provider",
    "llm.finish_reason": "metadata.finish_reason",
    "embedding.model_name": "config.model",
    "openinference.span.kind": "metadata.span_kind",
    "agent.name": "metadata.agent_name",
    "tool.name": "metadata.tool_name",
    "tool.description": "metadata.tool_description",
    "tool.id": "metadata.tool_call_id",
    "tool_call.id": "metadata.tool_call_id",
    "tool_call.function.name": "metadata.tool_name",
    "session.id": "metadata.session_id",
    "user.id": "metadata.user_id",
    "tag.tags": "metadata.tags",
    "llm.cost.total": "metadata.cost",
    "llm.cost.prompt": "metadata.input_cost",
    "llm.cost.completion": "metadata.output_cost",
    "llm.prompt_template.template": "config.template",
    "llm.prompt_template.version": "config.template_version",
}

_TRACELOOP: Final = {
    "llm.request.model": "config.model",
    "llm.response.model": "metadata.model_name",
    "llm.request.type": "metadata.operation_name",
    "llm.vendor": "config.provider",
    "llm.is_streaming": "config.stream",
    "gen_ai.is_streaming": "config.stream",
    "llm.temperature": "config.temperature",
    "llm.request.temperature": "config.temperature",
    "llm.request.max_tokens": "config.max_tokens",
    "llm.top_p": "config.top_p",
    "llm.frequency_penalty": "config.frequency_penalty",
    "llm.presence_penalty": "config.presence_penalty",
    "llm.response.finish_reason": "metadata.finish_reason",
    "llm.response.id": "metadata.response_id",
    "traceloop.span.kind": "metadata.span_kind",
    "traceloop.workflow.name": "metadata.workflow_name",
    "traceloop.entity.name": "metadata.entity_name",
    "traceloop.entity.path": "metadata.entity_path",
    "traceloop.entity.version": "metadata.entity_version",
}

_VERCEL: Final = {
    "ai.response.model": "metadata.model_name",
    "ai.model.id": "config.model",
    "ai.model.provider": "config.provider",
    "ai.operationId": "metadata.operation_name",
    "ai.response.id": "metadata.response_id",
    "ai.response.finishReason": "metadata.finish_reason",
    "ai.finishReason": "metadata.finish_reason",
    "ai.response.msToFirstChunk": "metadata.time_to_first_token_ms",
    "ai.stream.msToFirstChunk": "metadata.time_to_first_token_ms",
    "ai.toolCall.name": "metadata.tool_name",
    "ai.toolCall.id": "metadata.tool_call_id",
    "ai.telemetry.functionId": "metadata.function_id",
}

_LANGFUSE: Final = {
    "langfuse.observation.model.name": "config.model",
    "langfuse.observation.prompt.name": "config.template_name",
    "langfuse.observation.prompt.version": "config.template_version",
    "langfuse.observation.type": "metadata.span_kind",
    "langfuse.observation.level": "metadata.level",
    "langfuse.observation.status_message": "metadata.status_message",
    "langfuse.observation.completion_start_time": "metadata.completion_start_time",
    "langfuse.trace.tags": "metadata.tags",
    "langfuse.release": "metadata.release",
    "langfuse.version": "metadata.version",
}


def _by_key(*tables: Mapping[str, str]) -> Mapping[str, tuple[str, str]]:
    """For each key its bucket and name, in order of precedence."""
    merged: dict[str, tuple[str, str]] = {}
    for table in tables:
        for key, target in table.items():
            bucket, _, name = target.partition(".")
            merged.setdefault(key, (bucket, name))
    return MappingProxyType(merged)


SCALARS: Final = _by_key(_HONEYHIVE, _GEN_AI, _OPENINFERENCE, _TRACELOOP, _VERCEL, _LANGFUSE)
"""Keys that name one thing: ``key -> (bucket, name)``; ``error`` is a bucket here too."""

JSON_PARTS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "honeyhive_inputs": ("inputs", ""),
        "honeyhive_outputs": ("outputs", ""),
        "honeyhive_config": ("config", ""),
        "honeyhive_metadata": ("metadata", ""),
        "honeyhive_metrics": ("metrics", ""),
        "honeyhive_feedback": ("feedback", ""),
        "honeyhive_user_properties": ("user_properties", ""),
        "gen_ai.tool.call.arguments": ("inputs", ""),
        "gen_ai.tool.call.result": ("outputs", "result"),
        "gen_ai.tool.definitions": ("config", "tools"),
        "llm.invocation_parameters": ("config", ""),
        "llm.prompt_template.variables": ("inputs", "template_variables"),
        "tool.parameters": ("config", "tool_parameters"),
        "tool_call.function.arguments": ("inputs", ""),
        "input.value": ("inputs", ""),
        "output.value": ("outputs", ""),
        "metadata": ("metadata", ""),
        "traceloop.entity.input": ("inputs", ""),
        "traceloop.entity.output": ("outputs", ""),
        "ai.toolCall.args": ("inputs", ""),
        "ai.toolCall.result": ("outputs", "result"),
        "ai.toolCall.input": ("inputs", ""),
        "ai.toolCall.output": ("outputs", "result"),
        "ai.value": ("inputs", "value"),
        "ai.values": ("inputs", "values"),
        "ai.prompt.tools": ("config", "tools"),
        "ai.response.object": ("outputs", "object"),
        "ai.response.providerMetadata": ("metadata", "provider_metadata"),
        "langfuse.observation.input": ("inputs", ""),
        "langfuse.observation.output": ("outputs", ""),
        "langfuse.observation.model.parameters": ("config", ""),
        "langfuse.observation.metadata": ("metadata", ""),
        "langfuse.observation.cost_details": ("metadata", "cost_details"),
        "langfuse.trace.metadata": ("metadata", ""),
        "langfuse.trace.input": ("inputs", "trace_input"),
        "langfuse.trace.output": ("outputs", "trace_output"),
    }
)
"""Keys that hold a whole structure as JSON text: ``key -> (bucket, name)``; without a name it is spread in the bucket."""

PREFIXES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        **{f"honeyhive_{bucket}.": (bucket, "") for bucket in BUCKETS},
        "honeyhive.experiment_metadata.": ("metadata", ""),
        "gen_ai.request.": ("config", ""),
        "gen_ai.response.": ("metadata", ""),
        "gen_ai.agent.": ("metadata", "agent."),
        "llm.invocation_parameters.": ("config", ""),
        "llm.request.functions.": ("config", "tools."),
        "llm.tools.": ("config", "tools."),
        "llm.prompts.": ("inputs", "prompts."),
        "llm.prompt_template.variables.": ("inputs", "template_variables."),
        "input.": ("metadata", "input."),
        "output.": ("metadata", "output."),
        "retrieval.documents.": ("outputs", "documents."),
        "reranker.input_documents.": ("inputs", "documents."),
        "reranker.output_documents.": ("outputs", "documents."),
        "reranker.": ("config", "reranker."),
        "embedding.embeddings.": ("outputs", "embeddings."),
        "metadata.": ("metadata", ""),
        "traceloop.association.properties.": ("metadata", ""),
        "traceloop.prompt.template_variables.": ("inputs", "template_variables."),
        "ai.settings.": ("config", ""),
        "ai.telemetry.metadata.": ("metadata", ""),
        "ai.request.headers.": ("metadata", "request_headers."),
        "langfuse.observation.metadata.": ("metadata", ""),
        "langfuse.trace.metadata.": ("metadata", ""),
    }
)
"""Families of keys: ``prefix -> (bucket, what replaces the prefix)``. The longest prefix that fits counts."""

TOKENS: Final = ("input", "output", "total", "cache_read", "cache_write", "reasoning")
"""The counts of a model call. Cached tokens are part of the input, reasoning is part of the output."""

TOKEN_KEYS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "honeyhive_metadata.input_tokens": ("honeyhive", "input"),
        "honeyhive_metadata.prompt_tokens": ("honeyhive", "input"),
        "honeyhive_metadata.output_tokens": ("honeyhive", "output"),
        "honeyhive_metadata.completion_tokens": ("honeyhive", "output"),
        "honeyhive_metadata.total_tokens": ("honeyhive", "total"),
        "honeyhive_metadata.cache_read_input_tokens": ("honeyhive", "cache_read"),
        "honeyhive_metadata.cache_write_input_tokens": ("honeyhive", "cache_write"),
        "honeyhive_metadata.reasoning_tokens": ("honeyhive", "reasoning"),
        "gen_ai.usage.input_tokens": ("gen_ai", "input"),
        "gen_ai.usage.output_tokens": ("gen_ai", "output"),
        "gen_ai.usage.total_tokens": ("gen_ai", "total"),
        "gen_ai.usage.cache_read.input_tokens": ("gen_ai", "cache_read"),
        "gen_ai.usage.cache_creation.input_tokens": ("gen_ai", "cache_write"),
        "gen_ai.usage.reasoning.output_tokens": ("gen_ai", "reasoning"),
        "llm.token_count.prompt": ("openinference", "input"),
        "llm.token_count.completion": ("openinference", "output"),
        "llm.token_count.total": ("openinference", "total"),
        "llm.token_count.prompt_details.cache_read": ("openinference", "cache_read"),
        "llm.token_count.prompt_details.cache_write": ("openinference", "cache_write"),
        "llm.token_count.completion_details.reasoning": ("openinference", "reasoning"),
        "gen_ai.usage.prompt_tokens": ("traceloop", "input"),
        "gen_ai.usage.completion_tokens": ("traceloop", "output"),
        "llm.usage.prompt_tokens": ("traceloop", "input"),
        "llm.usage.completion_tokens": ("traceloop", "output"),
        "llm.usage.total_tokens": ("traceloop", "total"),
        "gen_ai.usage.cache_read_input_tokens": ("traceloop", "cache_read"),
        "gen_ai.usage.cache_creation_input_tokens": ("traceloop", "cache_write"),
        "llm.usage.cache_read_input_tokens": ("traceloop", "cache_read"),
        "llm.usage.cache_creation_input_tokens": ("traceloop", "cache_write"),
        "gen_ai.usage.reasoning_tokens": ("traceloop", "reasoning"),
        "llm.usage.reasoning_tokens": ("traceloop", "reasoning"),
        "ai.usage.inputTokens": ("vercel", "input"),
        "ai.usage.promptTokens": ("vercel", "input"),
        "ai.usage.outputTokens": ("vercel", "output"),
        "ai.usage.completionTokens": ("vercel", "output"),
        "ai.usage.totalTokens": ("vercel", "total"),
        "ai.usage.tokens": ("vercel", "input"),
        "ai.usage.cachedInputTokens": ("vercel", "cache_read"),
        "ai.usage.inputTokenDetails.cacheReadTokens": ("vercel", "cache_read"),
        "ai.usage.inputTokenDetails.cacheWriteTokens": ("vercel", "cache_write"),
        "ai.usage.reasoningTokens": ("vercel", "reasoning"),
        "ai.usage.outputTokenDetails.reasoningTokens": ("vercel", "reasoning"),
    }
)
"""Keys of token counts: ``key -> (vocabulary, count)``. The vocabulary that stands first speaks for the span, others fill only what it left open."""
