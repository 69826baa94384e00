"""Conversations, whichever way they were written, as one plain chat list.

A message is ``{"role": .., "content": ..}`` and, where there are any, ``tool_calls``
(each ``{"id", "name", "arguments"}``, the arguments as values and not as JSON text),
``tool_call_id``, ``name``, ``reasoning`` and ``finish_reason``. Content is text where it
is nothing but text, otherwise the list of its parts. Every result of a tool is a message
of its own with role ``tool``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from honeyhive.models.conventions.flat import parsed, rows

__all__ = ["Message", "chat_list", "event_messages", "numbered_messages", "tool_calls"]

Message: TypeAlias = dict[str, object]

_EVENT_ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gen_ai.system.message": "system",
        "gen_ai.user.message": "user",
        "gen_ai.assistant.message": "assistant",
        "gen_ai.tool.message": "tool",
    }
)
_ROLES: Final[Mapping[str, str]] = MappingProxyType({"human": "user", "ai": "assistant", "model": "assistant"})
_TEXT_PARTS: Final = frozenset({"text", "input_text", "output_text"})
_THOUGHT_PARTS: Final = frozenset({"reasoning", "thinking"})
_CALL_PARTS: Final = frozenset({"tool_call", "tool-call", "tool_use", "function_call"})
_RESULT_PARTS: Final = frozenset({"tool_call_response", "tool-result", "tool_result", "function_call_output"})
_CARRIED: Final = ("tool_call_id", "name", "finish_reason")


def chat_list(value: object, *, role: str = "user") -> list[Message]:
    """Read messages from JSON text or values.

    Args:
        value: A message, a list of messages or of parts of one, ``{"system", "messages"}``, ``{"prompt"}``, or bare text.
        role: Whose message it is where none is told.
    """
    value = parsed(value)
    if not isinstance(value, Mapping) or "role" in value or not {"messages", "prompt"} & value.keys():
        return _listed(value, role)
    inner = parsed(value.get("messages", value.get("prompt")))
    return [*_listed(parsed(value.get("system")), "system"), *_listed(inner, role)]


def numbered_messages(pairs: Iterable[tuple[str, object]], *, role: str) -> list[Message]:
    """Read messages from keys such as ``N.role``, ``N.message.content`` and ``N.tool_calls.0.name``."""
    return [message for row in rows(pairs) for message in _messages(_inner(row, "message"), role)]


def event_messages(events: Iterable[tuple[str, Mapping[str, object]]]) -> tuple[list[Message], list[Message]]:
    """Read what was said to the model and what it answered from the events of a span."""
    told: list[Message] = []
    answered: list[Message] = []
    for name, attributes in events:
        if name in _EVENT_ROLES:
            told += _messages(_event_fields(attributes), _EVENT_ROLES[name])
        elif name == "gen_ai.choice":
            answered += _messages(_event_fields(attributes), "assistant")
        elif name == "gen_ai.client.inference.operation.details":
            told += chat_list(attributes.get("gen_ai.system_instructions"), role="system")
            told += chat_list(attributes.get("gen_ai.input.messages"))
            answered += chat_list(attributes.get("gen_ai.output.messages"), role="assistant")
    return told, answered


def tool_calls(value: object) -> list[dict[str, object]]:
    """Read tool calls, from JSON text or values, in any of their shapes."""
    value = parsed(value)
    if isinstance(value, Mapping):
        value = [value]
    return [_call(item) for item in value if isinstance(item, Mapping)] if isinstance(value, (list, tuple)) else []


@dataclass(slots=True)
class _Parts:
    """The parts of one message, by what they are."""

    content: list[object] = field(default_factory=list)
    calls: list[dict[str, object]] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    results: list[Message] = field(default_factory=list)

    def add(self, part: object) -> None:
        if isinstance(part, Mapping):
            self._sort(_inner(part, "message_content"))
        elif part is not None and part != "":
            self.content.append(part)

    def _sort(self, part: Mapping[str, object]) -> None:
        kind = _text(part.get("type"))
        text = part.get("text", part.get("content"))
        if kind in _RESULT_PARTS:
            self.results.append(_result(part))
        elif kind in _CALL_PARTS:
            self.calls.append(_call(part))
        elif kind in _THOUGHT_PARTS:
            self.thoughts.append(_text(part.get("thinking", text)))
        elif isinstance(text, str) and (kind in _TEXT_PARTS or set(part) <= {"text", "content", "type"}):
            self.content.append(text)
        else:
            self.content.append(dict(part))

    def whole(self) -> object:
        """The content: text where all of it is text."""
        if not self.content:
            return None
        texts = [part for part in self.content if isinstance(part, str)]
        if len(texts) == len(self.content):
            return "\n".join(texts)
        return [{"type": "text", "text": part} if isinstance(part, str) else part for part in self.content]


def _listed(value: object, role: str) -> list[Message]:
    if isinstance(value, Mapping):
        return _messages(value, role)
    if value is None or value == "":
        return []
    if not isinstance(value, (list, tuple)):
        return [_bare(value, role)]
    if _are_parts(value):
        return _messages({"parts": value}, role)
    items = [_messages(item, role) if isinstance(item, Mapping) else [_bare(item, role)] for item in value]
    return [message for item in items for message in item]


def _bare(value: object, role: str) -> Message:
    return {"role": role, "content": value}


def _messages(fields: Mapping[str, object], role: str) -> list[Message]:
    """One message, and the tool results that came inside it."""
    parts = _Parts()
    for source in ("content", "parts", "contents"):
        found = parsed(fields.get(source)) if source != "content" else _content(fields.get(source))
        for part in found if isinstance(found, (list, tuple)) else [found]:
            parts.add(part)
    parts.calls += tool_calls(fields.get("tool_calls"))
    if fields.get("function_call_name"):
        arguments = parsed(fields.get("function_call_arguments_json"))
        parts.calls.append({"id": None, "name": fields["function_call_name"], "arguments": arguments})

    message: Message = {"role": _role(fields, role), "content": parts.whole()}
    if parts.calls:
        message["tool_calls"] = parts.calls
    if parts.thoughts or fields.get("reasoning"):
        message["reasoning"] = "\n".join(parts.thoughts) or fields["reasoning"]
    message.update({name: fields[name] for name in _CARRIED if fields.get(name)})
    if parts.results and message["content"] is None and not parts.calls:
        return parts.results
    return [*parts.results, message]


def _content(value: object) -> object:
    """The parts that content is; text that merely looks like JSON stays text."""
    found = parsed(value)
    return found if isinstance(found, (list, tuple)) and _are_parts(found) else value


def _are_parts(values: Iterable[object]) -> bool:
    items = list(values)
    return bool(items) and all(
        isinstance(item, Mapping) and "role" not in item and ("type" in item or "message_content" in item)
        for item in items
    )


def _result(part: Mapping[str, object]) -> Message:
    number = part.get("tool_use_id") or part.get("toolCallId") or part.get("call_id") or part.get("id")
    for name in ("response", "result", "output", "content"):
        if name in part:
            return {"role": "tool", "content": _flat_text(part[name]), "tool_call_id": number}
    return {"role": "tool", "content": None, "tool_call_id": number}


def _flat_text(value: object) -> object:
    """What a list of text parts says; other values as they are."""
    if isinstance(value, (list, tuple)) and value:
        texts = [part.get("text") for part in value if isinstance(part, Mapping)]
        if len(texts) == len(value) and all(isinstance(text, str) for text in texts):
            return "\n".join(map(str, texts))
    return value


def _call(item: Mapping[str, object]) -> dict[str, object]:
    """``{"id", "name", "arguments"}`` of a tool call; the shapes of six vendors differ in names only."""
    call = _inner(item, "tool_call")
    function = _inner(call, "function")
    arguments = next((function[name] for name in ("arguments", "args", "input") if name in function), None)
    return {
        "id": call.get("id") or call.get("toolCallId") or call.get("call_id"),
        "name": function.get("name") or call.get("toolName"),
        "arguments": parsed(arguments),
    }


def _event_fields(attributes: Mapping[str, object]) -> Mapping[str, object]:
    fields = {key: parsed(value) for key, value in attributes.items()}
    return {**fields, **_inner(fields, "message")}


def _role(fields: Mapping[str, object], default: str) -> str:
    told = _text(fields.get("role"))
    return _ROLES.get(told, told) or _ROLES.get(_text(fields.get("type")), default)


def _inner(fields: Mapping[str, object], name: str) -> Mapping[str, object]:
    """The mapping wrapped as *name*, or *fields* themselves where there is no wrapping."""
    inner = fields.get(name)
    return inner if isinstance(inner, Mapping) else fields


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
