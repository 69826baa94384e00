"""Arguments that cannot be: said precisely, before anything has begun."""

from __future__ import annotations

import math

__all__ = ["require_at_least", "require_error_classes", "require_seconds"]


def require_seconds(name: str, value: object, *, instead: str) -> float:
    """Return *value* if it is a positive, finite number of seconds.

    Args:
        name: The argument's name.
        value: What was given.
        instead: What to do about a zero, for the message.

    Raises:
        TypeError: It is no number.
        ValueError: It is not positive, or has no end.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is {value!r}; it must be a number of seconds")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}; it must be more than 0 and finite: {instead}")
    return float(value)


def require_at_least(name: str, value: object, least: int) -> int:
    """Return *value* if it is a whole number and at least *least*.

    Raises:
        TypeError: It is no whole number.
        ValueError: It is less.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}; it must be a whole number")
    if value < least:
        raise ValueError(f"{name} is {value}; it must be at least {least}")
    return value


def require_error_classes(name: str, value: object) -> None:
    """Raise if *value* is no tuple of ``Exception`` classes.

    Raises:
        TypeError: It is not.
    """
    if not isinstance(value, tuple) or not all(isinstance(one, type) and issubclass(one, Exception) for one in value):
        raise TypeError(f"{name} is {value!r}; write a tuple of Exception classes, as (OSError,)")
