"""Names and values in the one form that attributes and baggage have."""

from __future__ import annotations

from honeyhive.utils.capture import capture
from honeyhive.utils.render import render

__all__ = ["normalise_key", "normalise_value"]

_TO_UNDERSCORE = str.maketrans("-. ", "___")


def normalise_key(key: str) -> str:
    """Return *key* in lower case with hyphens, dots and spaces as underscores: ``"My-Key"`` becomes ``"my_key"``."""
    return key.translate(_TO_UNDERSCORE).lower()


def normalise_value(value: object) -> str | bool | int | float | None:
    """Return scalars as they are and anything else, a dictionary or a list above all, as JSON text.

    Never runs code of the value's class and never raises; see `capture` for what becomes of unusual objects.
    """
    return render(capture(value))
