"""Captured values on a page: conversations as conversations, text as text, everything else as indented JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from honeyhive.server.reading.pages.html import Child, Markup, div, fragment, li, pre, span, ul

__all__ = ["conversation", "is_conversation", "value"]

_LONGEST = 200_000
_DEEPEST = 100


def value(content: object) -> Markup:
    """Return *content*; a mapping as a list of its members, the rest as `_block`."""
    if isinstance(content, Mapping) and content:
        return div(
            [div(span(str(key), class_="key"), _member(member), class_="member") for key, member in content.items()],
            class_="members",
        )
    return _block(content)


def is_conversation(content: object) -> bool:
    """Tell whether *content* is a list of messages."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(item, Mapping) and "role" in item for item in content)
    )


def conversation(messages: Sequence[object]) -> Markup:
    """Return messages as people read them, with who said what, and which tools were called."""
    return ul([_message(item) for item in messages if isinstance(item, Mapping)], class_="chat")


def _message(message: Mapping[object, object]) -> Markup:
    role = str(message.get("role", "?"))
    known = role if role in {"system", "user", "assistant", "tool"} else "other"
    calls = message.get("tool_calls")
    return li(
        span(role, class_="role"),
        _said(message.get("reasoning"), "reasoning"),
        _said(message.get("content"), "said"),
        [_call(call) for call in calls] if isinstance(calls, list) else None,
        class_=f"message role-{known}",
    )


def _said(content: object, class_: str) -> Markup | None:
    if content is None or content == "":
        return None
    if isinstance(content, list):
        return fragment([_said(_part(part), class_) for part in content])
    text = content if isinstance(content, str) else _pretty(content)
    return div(_cut(text), class_=class_)


def _part(part: object) -> object:
    """Return the text of a part of a message if it is nothing but text."""
    if isinstance(part, Mapping) and part.get("type") in {"text", "input_text", "output_text"}:
        return part.get("text") or part.get("content") or ""
    return part


def _call(call: object) -> Markup:
    if not isinstance(call, Mapping):
        return _block(call)
    function = call.get("function")
    facts = function if isinstance(function, Mapping) else call
    arguments = facts.get("arguments")
    shown = arguments if isinstance(arguments, str) else _pretty(arguments)
    return div(span(f"→ {facts.get('name', 'tool')}", class_="call-name"), pre(_cut(shown)), class_="call")


def _member(member: object) -> Child:
    if is_conversation(member) and isinstance(member, list):
        return conversation(member)
    return _block(member)


def _block(content: object) -> Markup:
    if isinstance(content, str):
        return pre(_cut(content) or "“”", class_="text")
    if content is None or isinstance(content, bool | int | float):
        return span(json.dumps(content), class_="scalar")
    return pre(_cut(_pretty(content)), class_="json")


def _pretty(content: object) -> str:
    if _is_deep(content):
        return "(nests too deep to be shown)"
    return json.dumps(content, ensure_ascii=False, indent=2)


def _is_deep(content: object) -> bool:
    """Whether *content* nests deeper than a page can indent."""
    level = [content]
    for _ in range(_DEEPEST):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list | tuple):
                below.extend(item)
        if not below:
            return False
        level = below
    return True


def _cut(text: str) -> Child:
    if len(text) <= _LONGEST:
        return text
    return [text[:_LONGEST], span(f"… {len(text) - _LONGEST:,} more characters, see the export", class_="cut")]
