"""The figures that lists show, read from an event's canonical buckets, wherever the event came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Figures", "count_of", "figures_of"]

_LARGEST = 2**53
_MOST_TOKENS = 2**40
"""More than any call can use. With it the sum over millions of spans stays within 64 bits."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a model call used; ``None`` for what nobody said."""

    model: str | None
    provider: str | None
    tokens_in: int | None
    tokens_out: int | None
    cost: float | None


def figures_of(buckets: Mapping[str, object]) -> Figures:
    """Read the figures from ``config`` and ``metadata`` of *buckets*."""
    config, metadata = _object(buckets.get("config")), _object(buckets.get("metadata"))
    cost = _first_number(metadata, "cost", "total_cost")
    return Figures(
        model=_first_text(config.get("model"), metadata.get("response_model"), metadata.get("model_name")),
        provider=_first_text(config.get("provider"), metadata.get("provider")),
        tokens_in=count_of(_first_number(metadata, "prompt_tokens", "input_tokens")),
        tokens_out=count_of(_first_number(metadata, "completion_tokens", "output_tokens")),
        cost=None if cost is None else float(cost),
    )


def count_of(number: float | None) -> int | None:
    """Return *number* of tokens, or ``None`` when it cannot be one."""
    return None if number is None or not 0 <= number <= _MOST_TOKENS else int(number)


def _first_text(*candidates: object) -> str | None:
    return next((text for text in candidates if isinstance(text, str) and text), None)


def _first_number(fields: Mapping[str, object], *names: str) -> float | None:
    for name in names:
        value = fields.get(name)
        # The comparison also drops NaN and what a database cannot hold.
        if isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST:
            return value
    return None


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
