"""From attributes to the canonical event.

Every attribute goes somewhere: to the place its vocabulary means, or, where nobody knows
it, to ``metadata`` under its own name. Stronger words replace weaker ones, from weak to
strong: unknown keys, families of keys, structures in JSON, single facts, conversations,
and last what a user said in HoneyHive's own namespaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from honeyhive.models.conventions.event import CanonicalEvent
from honeyhive.models.conventions.event_types import (
    DEFAULT_EVENT_TYPE,
    EVENT_TYPE_KEYS,
    RULES,
    EventTypeRule,
    detect_event_type,
)
from honeyhive.models.conventions.flat import nested, parsed, rows
from honeyhive.models.conventions.messages import Message, chat_list, event_messages, numbered_messages, tool_calls
from honeyhive.models.conventions.tables import IDENTITY, JSON_PARTS, MODEL_KEYS, PREFIXES, SCALARS
from honeyhive.models.conventions.tokens import count_tokens, is_token_key

__all__ = ["SpanEvent", "canonical"]

SpanEvent = tuple[str, Mapping[str, object]]
"""Name and attributes of an event on a span."""

_IDENTITY_KEYS: Final = frozenset(key for keys in IDENTITY.values() for key in keys)
_SCALAR_RANKS: Final = {key: rank for rank, key in enumerate(SCALARS)}
_MESSAGE_PREFIXES: Final = {
    "llm.input_messages.": ("user", "in"),
    "llm.output_messages.": ("assistant", "out"),
    "gen_ai.prompt.": ("user", "in"),
    "gen_ai.completion.": ("assistant", "out"),
    "llm.completions.": ("assistant", "out"),
}
_MESSAGE_KEYS: Final = frozenset(
    {
        "gen_ai.system_instructions",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.prompt",
        "gen_ai.completion",
        "ai.prompt",
        "ai.prompt.messages",
        "ai.response.text",
        "ai.response.toolCalls",
        "ai.response.reasoning",
        "ai.result.text",
        "ai.result.toolCalls",
    }
)
_MIME_TYPES: Final = frozenset({"input.mime_type", "output.mime_type"})
_WHOLE: Final[Mapping[str, str]] = {"inputs": "input", "outputs": "result", "config": "value", "metadata": "value"}
_REPEATS: Final = frozenset(
    {
        "input.value",
        "output.value",
        "traceloop.entity.input",
        "traceloop.entity.output",
        "langfuse.observation.input",
        "langfuse.observation.output",
    }
)
"""On a model call these repeat the conversation, as the raw request and response."""


class _Route(NamedTuple):
    """Where an attribute goes; ``way`` names what is done with it."""

    way: str
    bucket: str = ""
    name: str = ""


@lru_cache(maxsize=8192)
def _route(key: str) -> _Route:
    if key in SCALARS:
        return _Route("scalar", *SCALARS[key])
    if key in _IDENTITY_KEYS or key in EVENT_TYPE_KEYS or key in _MIME_TYPES:
        return _Route("elsewhere")
    if is_token_key(key) and not key.startswith("honeyhive_"):
        return _Route("elsewhere")
    if key in _MESSAGE_KEYS:
        return _Route("message")
    if key in JSON_PARTS:
        return _Route("own structure" if key.startswith("honeyhive_") else "structure", *JSON_PARTS[key])
    prefix = _longest_prefix(key)
    if prefix in _MESSAGE_PREFIXES:
        return _Route("numbered", prefix, key[len(prefix) :])
    if prefix:
        bucket, instead = PREFIXES[prefix]
        way = "own" if prefix.startswith("honeyhive_") else "family"
        return _Route(way, bucket, instead + key[len(prefix) :])
    return _Route("unknown")


def _longest_prefix(key: str) -> str:
    end = len(key)
    while (end := key.rfind(".", 0, end)) > 0:
        prefix = key[: end + 1]
        if prefix in PREFIXES or prefix in _MESSAGE_PREFIXES:
            return prefix
    return ""


class _Sorted:
    """The attributes of one span by the way they go."""

    __slots__ = ("families", "numbered", "own", "own_structures", "scalars", "structures", "unknown")

    def __init__(self, attributes: Mapping[str, object]) -> None:
        self.unknown: dict[str, object] = {}
        self.families: list[tuple[str, str, object]] = []
        self.structures: dict[str, object] = {}
        self.scalars: dict[tuple[str, str], tuple[int, object]] = {}
        self.numbered: dict[str, list[tuple[str, object]]] = {}
        self.own_structures: dict[str, object] = {}
        self.own: list[tuple[str, str, object]] = []
        for key, value in attributes.items():
            self._put(key, value, _route(key))

    def _put(self, key: str, value: object, route: _Route) -> None:
        way, bucket, name = route
        if way == "own":
            self.own.append((bucket, name, value))
        elif way == "unknown":
            self.unknown[key] = value
        elif way == "scalar":
            rank = _SCALAR_RANKS[key]
            known = self.scalars.get((bucket, name))
            if known is None or rank < known[0]:
                self.scalars[bucket, name] = (rank, value)
        elif way == "family":
            self.families.append((bucket, name, value))
        elif way == "numbered":
            self.numbered.setdefault(bucket, []).append((name, value))
        elif way == "structure":
            self.structures[key] = value
        elif way == "own structure":
            self.own_structures[key] = value


def canonical(
    attributes: Mapping[str, object],
    *,
    name: str,
    events: Sequence[SpanEvent] = (),
    failed: bool = False,
    status_message: str = "",
    rules: Iterable[EventTypeRule] = RULES,
) -> CanonicalEvent:
    """Say what a span means, in whichever vocabularies it was written.

    A pure function of its arguments; it raises nothing on account of their content.

    Args:
        attributes: The span's attributes, flat, as they came.
        name: The span's name; an event name among the attributes is stronger.
        events: The span's events: exceptions, and messages of the 2024 GenAI conventions.
        failed: Whether the span's status is an error.
        status_message: The description of its status.
        rules: How to tell the event type, the strongest first.
    """
    found = _Sorted(attributes)
    kind = detect_event_type(attributes, name=name, rules=rules) or DEFAULT_EVENT_TYPE
    event = CanonicalEvent(event_name=name, event_type=kind)
    _identify(event, attributes)
    event.metadata.update(found.unknown)
    _add_nested(event, found.families)
    said, answered = _conversation(attributes, found.numbered, events)
    _add_structures(event, found.structures, said, answered)
    _add_scalars(event, found.scalars)
    _add_conversation(event, said, answered)
    for key, value in found.own_structures.items():
        _spread(event, *JSON_PARTS[key], parsed(value))
    _add_nested(event, found.own)
    _add_tokens(event, attributes)
    _tell_error(event, found.scalars, events, status_message if failed else "", failed=failed)
    _tell_model(event, attributes)
    return event


def _identify(event: CanonicalEvent, attributes: Mapping[str, object]) -> None:
    for field, keys in IDENTITY.items():
        for key in keys:
            value = attributes.get(key)
            if value is not None and value != "":
                setattr(event, field, str(value))
                break


def _add_nested(event: CanonicalEvent, found: Iterable[tuple[str, str, object]]) -> None:
    pairs: dict[str, list[tuple[str, object]]] = {}
    for bucket, name, value in found:
        pairs.setdefault(bucket, []).append((name, parsed(value)))
    for bucket, members in pairs.items():
        _bucket(event, bucket).update(nested(members))


def _add_structures(
    event: CanonicalEvent, structures: Mapping[str, object], said: list[Message], answered: list[Message]
) -> None:
    """Spread structures in their buckets; on a model call they may be the conversation itself."""
    for key, text in structures.items():
        bucket, name = JSON_PARTS[key]
        value = parsed(text)
        if key in _REPEATS and event.event_type == "model":
            messages, role = (said, "user") if bucket == "inputs" else (answered, "assistant")
            if not messages and _is_conversation(value):
                messages += chat_list(value, role=role)
            if messages:
                continue
        _spread(event, bucket, name, value)


def _spread(event: CanonicalEvent, bucket: str, name: str, value: object) -> None:
    place = _bucket(event, bucket)
    if name:
        place[name] = value
    elif isinstance(value, dict):
        place.update(value)
    elif value is not None and value != "":
        place[_WHOLE.get(bucket, "value")] = value


def _add_scalars(event: CanonicalEvent, scalars: Mapping[tuple[str, str], tuple[int, object]]) -> None:
    for (bucket, name), (_, value) in scalars.items():
        if bucket != "error":
            _bucket(event, bucket)[name] = parsed(value) if name == "tags" else value
    seconds = event.metadata.pop("time_to_first_chunk_s", None)
    if isinstance(seconds, (int, float)):
        event.metadata["time_to_first_token_ms"] = seconds * 1000
    _unwrap_tools(event)


def _unwrap_tools(event: CanonicalEvent) -> None:
    """OpenInference wraps each tool's schema, as JSON text, two levels deep."""
    tools = event.config.get("tools")
    if isinstance(tools, list):
        event.config["tools"] = [
            parsed(tool["tool"].get("json_schema", tool["tool"]))
            if isinstance(tool, dict) and isinstance(tool.get("tool"), dict)
            else tool
            for tool in tools
        ]


def _conversation(
    attributes: Mapping[str, object], numbered: Mapping[str, list[tuple[str, object]]], events: Sequence[SpanEvent]
) -> tuple[list[Message], list[Message]]:
    """What was said to a model and what it answered: each from the strongest vocabulary that has it."""
    get = attributes.get
    told, replied = event_messages(events) if events else ([], [])
    said = _first(
        lambda: chat_list(get("gen_ai.input.messages")),
        lambda: numbered_messages(numbered.get("llm.input_messages.", ()), role="user"),
        lambda: numbered_messages(numbered.get("gen_ai.prompt.", ()), role="user"),
        lambda: chat_list(get("ai.prompt.messages")),
        lambda: chat_list(get("ai.prompt")),
        lambda: chat_list(get("gen_ai.prompt")),
        lambda: told,
    )
    instructions = chat_list(get("gen_ai.system_instructions"), role="system")
    if instructions and not any(message["role"] == "system" for message in said):
        said = [*instructions, *said]
    answered = _first(
        lambda: chat_list(get("gen_ai.output.messages"), role="assistant"),
        lambda: numbered_messages(numbered.get("llm.output_messages.", ()), role="assistant"),
        lambda: numbered_messages(numbered.get("gen_ai.completion.", ()), role="assistant"),
        lambda: _vercel_answer(attributes),
        lambda: _completions(numbered.get("llm.completions.", ())),
        lambda: chat_list(get("gen_ai.completion"), role="assistant"),
        lambda: replied,
    )
    return said, answered


def _first(*sources: Callable[[], list[Message]]) -> list[Message]:
    return next((messages for messages in (source() for source in sources) if messages), [])


def _vercel_answer(attributes: Mapping[str, object]) -> list[Message]:
    text = attributes.get("ai.response.text", attributes.get("ai.result.text"))
    calls = tool_calls(attributes.get("ai.response.toolCalls", attributes.get("ai.result.toolCalls")))
    if text is None and not calls:
        return []
    message: Message = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = calls
    if attributes.get("ai.response.reasoning"):
        message["reasoning"] = attributes["ai.response.reasoning"]
    return [message]


def _completions(pairs: Iterable[tuple[str, object]]) -> list[Message]:
    """Texts of the old completion API: ``N.content``, or ``N.completion.text``."""
    messages = []
    for row in rows(pairs):
        inner = row.get("completion")
        text = inner.get("text") if isinstance(inner, dict) else row.get("content")
        messages.append({"role": "assistant", "content": text})
    return messages


def _is_conversation(value: object) -> bool:
    if isinstance(value, dict):
        return "messages" in value or "role" in value
    return isinstance(value, list) and any(isinstance(item, dict) and "role" in item for item in value)


def _add_conversation(event: CanonicalEvent, said: list[Message], answered: list[Message]) -> None:
    if said:
        event.inputs["chat_history"] = said
    if not answered:
        return
    first = answered[0]
    event.outputs.update({"role": first["role"], "text": first["content"]})
    event.outputs.update({name: first[name] for name in ("tool_calls", "reasoning") if name in first})
    if len(answered) > 1:
        event.outputs["chat_history"] = answered
    if "finish_reason" in first:
        event.metadata.setdefault("finish_reason", first["finish_reason"])


def _add_tokens(event: CanonicalEvent, attributes: Mapping[str, object]) -> None:
    if not any(map(is_token_key, attributes)):
        return
    tokens = event.tokens = count_tokens(attributes)
    counts = {
        "input_tokens": tokens.input,
        "prompt_tokens": tokens.input,
        "output_tokens": tokens.output,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.total,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_write_input_tokens": tokens.cache_write,
        "reasoning_tokens": tokens.reasoning,
    }
    event.metadata.update({name: number for name, number in counts.items() if number is not None})


def _tell_error(
    event: CanonicalEvent,
    scalars: Mapping[tuple[str, str], tuple[int, object]],
    events: Sequence[SpanEvent],
    status_message: str,
    *,
    failed: bool,
) -> None:
    """The error: said explicitly, else the exception or the status of a failed span."""
    raised = next((details for name, details in reversed(events) if name == "exception"), {}) if failed else {}
    explicit = scalars.get(("error", "message"), (0, None))[1]
    kind = scalars.get(("error", "type"), (0, None))[1] or raised.get("exception.type")
    message = explicit or raised.get("exception.message") or status_message
    if not message and event.metadata.get("level") == "ERROR":
        message = event.metadata.get("status_message") or "error"
    if message or failed:
        event.error = str(message or kind or "error")
        event.error_type = str(kind) if kind else None


def _tell_model(event: CanonicalEvent, attributes: Mapping[str, object]) -> None:
    model = next((attributes[key] for key in MODEL_KEYS if attributes.get(key)), event.config.get("model"))
    event.model = str(model) if model else None
    provider = event.config.get("provider")
    event.provider = str(provider) if provider else None


def _bucket(event: CanonicalEvent, bucket: str) -> dict[str, object]:
    place: dict[str, object] = getattr(event, bucket)
    return place
