"""Which type of event a span is: ``model``, ``tool``, ``chain``, ``session`` or ``generic``.

What a user says explicitly decides. Otherwise the sources are asked in the order of
`RULES`, and the first that knows the span's value decides; then the presence of a model's
name; then `MODEL_SPAN_NAMES`, exact names that instrumentors are known to use. There is
no guessing by words inside a name: that takes ``google-search`` for a model call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from honeyhive.models.conventions.tables import MODEL_KEYS

__all__ = [
    "DEFAULT_EVENT_TYPE",
    "EVENT_TYPES",
    "EVENT_TYPE_KEYS",
    "RULES",
    "TELLING_KEYS",
    "EventTypeRule",
    "detect_event_type",
]

EVENT_TYPES: Final = ("model", "tool", "chain", "session", "generic")
DEFAULT_EVENT_TYPE: Final = "tool"

EVENT_TYPE_KEYS: Final = ("honeyhive_event_type", "honeyhive.event_type", "honeyhive_event_type_raw")


@dataclass(frozen=True, slots=True)
class EventTypeRule:
    """The event type for each value, in lower case, that one attribute may have."""

    attribute: str
    types: Mapping[str, str]


def _rule(attribute: str, **values: str) -> EventTypeRule:
    """Make a rule from ``type="value value .."`` pairs."""
    types = {value: kind for kind, listed in values.items() for value in listed.split()}
    return EventTypeRule(attribute, MappingProxyType(types))


RULES: Final = (
    _rule(
        "gen_ai.operation.name",
        model="chat text_completion generate_content embeddings fine_tuning",
        chain="invoke_agent create_agent invoke_workflow plan",
        tool="execute_tool retrieval",
    ),
    _rule(
        "openinference.span.kind",
        model="llm",
        chain="chain agent prompt",
        tool="tool retriever embedding reranker guardrail evaluator",
    ),
    _rule("traceloop.span.kind", chain="workflow task agent", tool="tool"),
    _rule("llm.request.type", model="chat completion embedding", tool="rerank"),
    _rule(
        "ai.operationId",
        model="ai.generatetext.dogenerate ai.streamtext.dostream ai.generateobject.dogenerate "
        "ai.streamobject.dostream ai.embed.doembed ai.embedmany.doembed",
        chain="ai.generatetext ai.streamtext ai.generateobject ai.streamobject ai.embed ai.embedmany",
        tool="ai.toolcall",
    ),
    _rule(
        "langfuse.observation.type",
        model="generation embedding",
        chain="chain agent span",
        tool="tool retriever evaluator guardrail event",
    ),
    _rule("messaging.operation.type", chain="create send receive process settle"),
)
"""The sources, the strongest first. ``task`` and ``span`` are steps that contain others: chains. So is what is done with a
message: its handling, and all that follows, stands below its publishing."""

TELLING_KEYS: Final = frozenset({*EVENT_TYPE_KEYS, *(rule.attribute for rule in RULES), *MODEL_KEYS})
"""The attributes that may have a say; without any of them, only the name has one."""

MODEL_SPAN_NAMES: Final = frozenset(
    f"{vendor}.{operation}"
    for vendor in (
        "openai",
        "anthropic",
        "cohere",
        "mistral",
        "ollama",
        "groq",
        "bedrock",
        "gemini",
        "vertexai",
        "together",
    )
    for operation in ("chat", "completion", "embeddings", "response", "generate_content")
) | {"ChatCompletion", "Completion", "CreateEmbeddings"}
"""Names of model calls whose instrumentors may put nothing else on a span, such as one that failed at once."""


def detect_event_type(
    attributes: Mapping[str, object], *, name: str = "", rules: Iterable[EventTypeRule] = RULES
) -> str | None:
    """Tell the event type of a span, or ``None`` where nothing says it.

    An explicit type may be any text, as users of the SDK are free to invent their own.
    """
    for key in EVENT_TYPE_KEYS:
        told = attributes.get(key)
        if isinstance(told, str) and told:
            return told
    for rule in rules:
        value = attributes.get(rule.attribute)
        kind = rule.types.get(value.lower()) if isinstance(value, str) else None
        if kind is not None:
            return kind
    if any(key in attributes for key in MODEL_KEYS) or name in MODEL_SPAN_NAMES:
        return "model"
    return None
