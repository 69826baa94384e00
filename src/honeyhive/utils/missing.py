"""The absence of a value, told apart from ``None``, which is a value like any other.

::

    def rename(name: str | None | Missing = MISSING) -> None:
        if is_missing(name):
            ...  # nothing was said; None would mean "take the name away"
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, TypeVar

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = ["MISSING", "Missing", "is_missing", "not_missing", "unless_missing"]

T = TypeVar("T")


class Missing(Enum):
    """The type of `MISSING`, for annotations. It has one member, is false, and survives copies and pickles."""

    MISSING = "missing"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
"""Says that there is no value, not even ``None``."""


def is_missing(value: object) -> TypeIs[Missing]:
    """Tell whether *value* is `MISSING`; ``None`` is not."""
    return value is MISSING


def not_missing(value: T | Missing) -> TypeIs[T]:
    """Tell whether there is a value; ``None`` is one."""
    return value is not MISSING


def unless_missing(value: T | Missing, default: T) -> T:
    """Return *value*, or *default* if there is none; ``None`` is returned as it is."""
    return default if value is MISSING else value
