"""Text that others wrote, made safe to look at: nothing in it moves the cursor, rings the bell or turns the line around."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["visible"]

_UNSEEN: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_LINE_BREAKS: Final = re.compile(r"[\t\n]+")


def visible(text: str, *, one_line: bool = False) -> str:
    """Return *text* with every control character and direction mark written out.

    Args:
        text: Anything.
        one_line: Whether tabs and line feeds become blanks too.
    """
    shown = _UNSEEN.sub(_written_out, text)
    return _LINE_BREAKS.sub(" ", shown) if one_line else shown


def _written_out(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)  # the picture of the control character
    return f"\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}U+{code:04X}\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}"
