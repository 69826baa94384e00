"""Methods that are no functions: how a class tells them from its data."""

from __future__ import annotations

__all__ = ["MethodLike"]


class MethodLike:
    """A callable attribute of a class that binds to instances as a function does. Models take it for a method."""

    __slots__ = ()
