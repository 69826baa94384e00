"""Names and values in the one form that attributes and baggage have."""

from __future__ import annotations

__all__ = ["normalise_key"]

_TO_UNDERSCORE = str.maketrans("-. ", "___")


def normalise_key(key: str) -> str:
    """Return *key* in lower case with hyphens, dots and spaces as underscores: ``"My-Key"`` becomes ``"my_key"``."""
    return key.translate(_TO_UNDERSCORE).lower()
