"""Token counts: the same tokens are reported by several keys, and cached ones inside or beside the input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from honeyhive.models.conventions.event import Tokens
from honeyhive.models.conventions.flat import parsed
from honeyhive.models.conventions.tables import TOKEN_KEYS

__all__ = ["count_tokens", "is_token_key"]

_LARGEST: Final = 1 << 53
_LANGFUSE: Final = {
    "input": ("input", "prompt_tokens", "input_tokens", "promptTokens", "inputTokens"),
    "output": ("output", "completion_tokens", "output_tokens", "completionTokens", "outputTokens"),
    "total": ("total", "total_tokens", "totalTokens"),
    "cache_read": ("cache_read_input_tokens", "input_cached_tokens", "input_cache_read", "cached_tokens"),
    "cache_write": ("cache_creation_input_tokens", "input_cache_creation"),
    "reasoning": ("output_reasoning_tokens", "reasoning_tokens", "output_reasoning"),
}
_USAGE_KEY: Final = "langfuse.observation.usage_details"


def is_token_key(key: str) -> bool:
    """Whether `count_tokens` reads this attribute."""
    return key in TOKEN_KEYS or key == _USAGE_KEY


def count_tokens(attributes: Mapping[str, object]) -> Tokens:
    """Count the tokens of one span, each once.

    Where a span speaks two vocabularies the stronger one counts; the weaker fills only
    what the stronger left open, and nothing is ever added up between them.
    """
    by_vocabulary = _reported(attributes)
    tokens = Tokens()
    for vocabulary, counts in by_vocabulary.items():
        if tokens.source is None and ("input" in counts or "output" in counts):
            tokens.source = vocabulary
        for count, number in counts.items():
            if getattr(tokens, count) is None:
                setattr(tokens, count, number)
    _add_missing_cache(tokens)
    if tokens.total is None and (tokens.input is not None or tokens.output is not None):
        tokens.total = (tokens.input or 0) + (tokens.output or 0)
    return tokens


def _reported(attributes: Mapping[str, object]) -> dict[str, dict[str, int]]:
    """The counts of each vocabulary, in the order of the table."""
    found: dict[str, dict[str, int]] = {}
    for key, (vocabulary, count) in TOKEN_KEYS.items():
        number = _number(attributes.get(key))
        if number is not None:
            found.setdefault(vocabulary, {}).setdefault(count, number)
    usage = parsed(attributes.get(_USAGE_KEY))
    if isinstance(usage, Mapping):
        found["langfuse"] = _langfuse(usage)
    return found


def _langfuse(usage: Mapping[str, object]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for count, names in _LANGFUSE.items():
        number = next((n for n in (_number(usage.get(name)) for name in names) if n is not None), None)
        if number is not None:
            counts[count] = number
    return counts


def _add_missing_cache(tokens: Tokens) -> None:
    """Make the input the whole input, where the vendor reported only what was not cached.

    It is told by the reported total, or by a cache larger than the input it should be
    part of. Langfuse's usage details are exclusive by definition.
    """
    cached = (tokens.cache_read or 0) + (tokens.cache_write or 0)
    if not cached or tokens.input is None:
        return
    whole = tokens.input + (tokens.output or 0)
    exclusive = tokens.source == "langfuse" or tokens.input < cached or tokens.total == whole + cached
    if exclusive and not (tokens.total == whole and tokens.input >= cached):
        tokens.input += cached
        tokens.cache_was_added = True
        if tokens.total is not None:
            tokens.total = max(tokens.total, whole + cached)


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isdecimal() and len(value) <= len(str(_LARGEST)):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and 0 <= value <= _LARGEST else None
