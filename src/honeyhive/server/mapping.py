"""What a span's attributes mean: the seven canonical buckets, and the facts that lists show.

Attributes keep the words of whoever wrote them; readers want one vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from honeyhive.server import jsontext

__all__ = ["BUCKETS", "Meaning", "meaning_of", "without_buckets"]

BUCKETS: Final = ("inputs", "outputs", "config", "metadata", "metrics", "feedback", "user_properties")

Attributes = Mapping[str, object]

_BUCKET_KEY = re.compile(rf"honeyhive_({'|'.join(BUCKETS)})(?:\.(.+))?", re.DOTALL)
_OPERATION_TYPES: Final = {
    "chat": "model",
    "text_completion": "model",
    "generate_content": "model",
    "embeddings": "model",
    "invoke_agent": "chain",
    "create_agent": "chain",
    "invoke_workflow": "chain",
    "execute_tool": "tool",
    "retrieval": "tool",
}
_SPAN_KIND_TYPES: Final = {
    "LLM": "model",
    "CHAIN": "chain",
    "AGENT": "chain",
    "WORKFLOW": "chain",
    "TASK": "chain",
    "TOOL": "tool",
    "RETRIEVER": "tool",
    "EMBEDDING": "tool",
    "RERANKER": "tool",
    "GUARDRAIL": "tool",
}
EVENT_TYPES: Final = frozenset({"model", "tool", "chain", "session"})


@dataclass(slots=True)
class Meaning:
    """What the attributes of one span say, in canonical words."""

    buckets: dict[str, dict[str, object]] = field(default_factory=lambda: {name: {} for name in BUCKETS})
    event_type: str = "tool"
    event_id: str | None = None
    parent_event_id: str | None = None
    session_id: str | None = None
    session_name: str | None = None
    project: str | None = None
    source: str | None = None
    error: str | None = None
    model: str | None = None
    provider: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None


def meaning_of(attributes: Attributes) -> Meaning:
    """Read *attributes*, whichever vocabulary they are written in."""
    meaning = Meaning()
    _fill_buckets(meaning, attributes)
    meaning.event_type = _event_type(attributes)
    meaning.event_id = _first_text(attributes, ("honeyhive_event_id", "honeyhive.event_id"))
    meaning.parent_event_id = _first_text(attributes, ("honeyhive_parent_id", "honeyhive.parent_id"))
    meaning.session_id = _first_text(
        attributes,
        (
            "honeyhive.session_id",
            "honeyhive_session_id",
            "traceloop.association.properties.session_id",
            "session.id",
            "gen_ai.conversation.id",
        ),
    )
    meaning.session_name = _first_text(attributes, ("honeyhive.session_name", "honeyhive_session_name"))
    meaning.project = _first_text(attributes, ("honeyhive.project", "honeyhive_project"))
    meaning.source = _first_text(attributes, ("honeyhive.source", "honeyhive_source"))
    meaning.error = _first_text(attributes, ("honeyhive_error", "error.message"))
    config, metadata = meaning.buckets["config"], meaning.buckets["metadata"]
    model_keys = ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "embedding.model_name")
    meaning.model = _first_text(attributes, model_keys) or _text(config.get("model"))
    meaning.provider = _first_text(attributes, ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"))
    meaning.tokens_in = _count(
        attributes.get("gen_ai.usage.input_tokens"),
        attributes.get("gen_ai.usage.prompt_tokens"),
        attributes.get("llm.token_count.prompt"),
        metadata.get("prompt_tokens"),
        metadata.get("input_tokens"),
    )
    meaning.tokens_out = _count(
        attributes.get("gen_ai.usage.output_tokens"),
        attributes.get("gen_ai.usage.completion_tokens"),
        attributes.get("llm.token_count.completion"),
        metadata.get("completion_tokens"),
        metadata.get("output_tokens"),
    )
    meaning.cost = _amount(attributes.get("gen_ai.usage.cost"), attributes.get("llm.cost.total"), metadata.get("cost"))
    return meaning


def without_buckets(attributes: Attributes) -> dict[str, object]:
    """Return the attributes that no bucket holds entirely."""
    return {key: value for key, value in attributes.items() if not _BUCKET_KEY.fullmatch(key)}


def unflattened(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Turn dotted keys back into nested objects and lists: ``a.0.b`` becomes ``{"a": [{"b": ...}]}``.

    Where a key is both a value and a parent of others, the others keep their dotted name.
    """
    root: dict[str, object] = {}
    for path, value in sorted(pairs, key=lambda pair: pair[0].count(".")):
        _place(root, path.split("."), value)
    return {key: _as_lists(value) for key, value in root.items()}


_DEEPEST = 32


def _place(root: dict[str, object], parts: list[str], value: object) -> None:
    node = root
    head = parts[: _DEEPEST - 1]
    for index, part in enumerate(head[:-1] if len(head) == len(parts) else head):
        child = node.setdefault(part, _Branch())
        if not isinstance(child, _Branch):
            node[".".join(parts[index:])] = value
            return
        node = child
    rest = parts[-1] if len(head) == len(parts) else ".".join(parts[_DEEPEST - 1 :])
    if isinstance(node.get(rest), _Branch):
        return
    node[rest] = value


class _Branch(dict[str, object]):
    """An object that dotted keys made, unlike one that was a value."""


def _as_lists(value: object) -> object:
    """Turn branches whose keys are 0..n-1 into lists; depth is bounded by `_place`."""
    if not isinstance(value, _Branch):
        return value
    children = {key: _as_lists(child) for key, child in value.items()}
    if children and all(key.isdecimal() for key in children):
        ordered = sorted(children, key=int)
        if ordered == [str(index) for index in range(len(ordered))]:
            return [children[key] for key in ordered]
    return children


def _fill_buckets(meaning: Meaning, attributes: Attributes) -> None:
    dotted: dict[str, list[tuple[str, object]]] = {name: [] for name in BUCKETS}
    for key, value in attributes.items():
        match = _BUCKET_KEY.fullmatch(key)
        if match is None:
            continue
        name, path = match.groups()
        opened = _opened(value)
        if path is not None:
            dotted[name].append((path, opened))
        elif isinstance(opened, dict):
            meaning.buckets[name].update(opened)
        else:
            meaning.buckets[name]["value"] = opened
    for name, pairs in dotted.items():
        meaning.buckets[name].update(unflattened(pairs))
    _fill_from_conventions(meaning, attributes)


def _fill_from_conventions(meaning: Meaning, attributes: Attributes) -> None:
    inputs, outputs = meaning.buckets["inputs"], meaning.buckets["outputs"]
    history = _messages(attributes, "llm.input_messages.") or _opened(attributes.get("gen_ai.input.messages"))
    if isinstance(history, list) and history:
        inputs.setdefault("chat_history", history)
    answers = _messages(attributes, "llm.output_messages.") or _opened(attributes.get("gen_ai.output.messages"))
    if isinstance(answers, list) and answers:
        outputs.setdefault("chat_history", answers)
    if not inputs and "input.value" in attributes:
        inputs["value"] = _opened(attributes["input.value"])
    if not outputs and "output.value" in attributes:
        outputs["value"] = _opened(attributes["output.value"])
    parameters = _opened(attributes.get("llm.invocation_parameters"))
    if isinstance(parameters, dict):
        meaning.buckets["config"] = {**parameters, **meaning.buckets["config"]}


def _messages(attributes: Attributes, prefix: str) -> list[object]:
    """Read OpenInference messages, ``llm.input_messages.0.message.content`` and so on."""
    pairs = [(key.removeprefix(prefix), value) for key, value in attributes.items() if key.startswith(prefix)]
    if not pairs:
        return []
    wrapped = unflattened([(f"messages.{path}", value) for path, value in pairs])["messages"]
    if not isinstance(wrapped, list):
        return []
    return [item["message"] if isinstance(item, dict) and "message" in item else item for item in wrapped]


def _event_type(attributes: Attributes) -> str:
    named = _first_text(attributes, ("honeyhive_event_type", "honeyhive_event_type_raw"))
    if named in EVENT_TYPES:
        return str(named)
    operation = _first_text(attributes, ("gen_ai.operation.name",))
    if operation in _OPERATION_TYPES:
        return _OPERATION_TYPES[str(operation)]
    kind = _first_text(attributes, ("openinference.span.kind", "traceloop.span.kind"))
    if kind is not None and kind.upper() in _SPAN_KIND_TYPES:
        return _SPAN_KIND_TYPES[kind.upper()]
    has_model = any(key.startswith(("gen_ai.request.", "llm.model_name")) for key in attributes)
    return "model" if has_model else "tool"


def _opened(value: object) -> object:
    """Parse text that is a JSON object or list; leave all else as it is."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            parsed = jsontext.loads(value)
        except ValueError:
            return value
        return value if jsontext.is_deeper_than(parsed, 64) else parsed
    return value


def _first_text(attributes: Attributes, keys: Iterable[str]) -> str | None:
    return next((text for key in keys if (text := _text(attributes.get(key)))), None)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(*candidates: object) -> int | None:
    for value in candidates:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53:
            return int(value)
    return None


def _amount(*candidates: object) -> float | None:
    for value in candidates:
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53:
            return float(value)
    return None
