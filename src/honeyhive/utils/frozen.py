"""Collections that cannot change, and the way there from those that can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, Self, TypeVar

__all__ = ["FrozenDict", "freeze"]

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """A dict that refuses to change; hashable where its values are.

    It is a ``dict`` to whoever reads it: ``json.dumps``, ``**``, pattern matching and ``isinstance`` take it as one.
    ``|`` makes a new one. Equal dicts and frozen dicts are equal; the order of keys plays no part in the hash.
    """

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __or__(self, other: object) -> FrozenDict[Any, Any]:
        return FrozenDict({**self, **other}) if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: object) -> FrozenDict[Any, Any]:
        return FrozenDict({**other, **self}) if isinstance(other, Mapping) else NotImplemented

    def copy(self) -> Self:
        """Return the same object: what cannot change needs no copy."""
        return self

    def __copy__(self) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[dict[K, V]]]:
        return type(self), (dict(self),)

    def _refuse(self, *_arguments: object, **_keywords: object) -> NoReturn:
        """Refuse to change; raises ``TypeError``."""
        raise TypeError("this mapping is frozen; make a new one, such as: mapping | {key: value}")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


def freeze(value: object) -> object:
    """Return *value* with every list, dict, set and bytearray in it replaced by one that cannot change.

    Lists become tuples, dicts `FrozenDict`, sets frozensets, however deep they lie in one another. Anything else,
    subclasses of these types included, is somebody's own object and stays the same one.

    Raises:
        TypeError: A set holds what cannot be hashed.
        RecursionError: A collection holds itself.
    """
    kind = type(value)
    if kind is list or kind is tuple:
        return tuple(freeze(item) for item in value)  # type: ignore[attr-defined]
    if kind is dict:
        return FrozenDict({key: freeze(item) for key, item in value.items()})  # type: ignore[attr-defined]
    if kind is set:
        return frozenset(value)  # type: ignore[call-overload]
    return bytes(value) if kind is bytearray else value  # type: ignore[call-overload]
