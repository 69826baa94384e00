"""Collections that cannot change, and the way there from those that can.

`freeze` replaces the collections in a value; `immutable` does so too, and refuses whatever else could still change.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import operator
import pathlib
import re
import types
import uuid
from abc import ABC
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NoReturn, Self, TypeVar, cast

__all__ = ["ATOMS", "FrozenDict", "Immutable", "freeze", "immutable"]

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


class Immutable(ABC):  # noqa: B024 - has nothing to implement, it is a statement
    """A class whose instances never change; `immutable` leaves them as they are.

    Inherit from it, or say it of a class of somebody else's: ``Immutable.register(Money)``.
    """

    __slots__ = ()


ATOMS = frozenset(
    {
        bool,
        bytes,
        complex,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        dt.timezone,
        decimal.Decimal,
        float,
        fractions.Fraction,
        int,
        range,
        str,
        types.EllipsisType,
        types.NoneType,
        uuid.UUID,
    }
)
"""Plain types whose instances cannot change; looked up exactly, which is cheaper than `isinstance`."""

_IMMUTABLE = (
    *ATOMS,
    Immutable,
    enum.Enum,
    dt.tzinfo,
    pathlib.PurePath,
    re.Pattern,
    type,
    types.BuiltinFunctionType,
    types.FunctionType,
)


def immutable(value: object, name: str = "value") -> Any:
    """Return *value* such that nothing of it can change any more.

    A frozen data class whose fields can change is copied with its fields frozen.

    Args:
        value: Anything.
        name: What to call it in the error.

    Raises:
        TypeError: Some part can change and has no immutable form; says which, and what to do.
    """
    kind = type(value)
    if kind in ATOMS:
        return value
    known = _FREEZERS.get(kind)
    return _other(value, name) if known is None else known(value, name)


def _list(value: Collection[object], name: str) -> tuple[object, ...]:
    if _are_atoms(value):
        return tuple(value)
    return tuple([immutable(each, f"{name}[{index}]") for index, each in enumerate(value)])


def _tuple(value: tuple[object, ...], name: str) -> tuple[object, ...]:
    frozen = _list(value, name)
    return value if all(map(operator.is_, value, frozen)) else frozen


def _set(value: AbstractSet[object], name: str) -> frozenset[object]:
    if _are_atoms(value):
        return value if isinstance(value, frozenset) else frozenset(value)
    # What is in a set is hashable, and yet it may be an object that changes.
    now = list(value)
    frozen = [immutable(each, f"an element of {name}") for each in now]
    return value if isinstance(value, frozenset) and all(map(operator.is_, now, frozen)) else frozenset(frozen)


def _mapping(value: Mapping[object, object], name: str) -> FrozenDict[object, object]:
    if _are_atoms(value.values()) and _are_atoms(value):
        return value if type(value) is FrozenDict else FrozenDict(value)
    frozen = {immutable(key, f"a key of {name}"): immutable(each, f"{name}[{key!r}]") for key, each in value.items()}
    if type(value) is FrozenDict and all(map(operator.is_, value.values(), frozen.values())):
        return value
    return FrozenDict(frozen)


def _are_atoms(values: Iterable[object]) -> bool:
    """Whether there is nothing to freeze, which it takes no names of places to tell."""
    return ATOMS.issuperset(map(type, values))


_FREEZERS: dict[type, Callable[[Any, str], object]] = {
    bytearray: lambda value, _: bytes(value),
    dict: _mapping,
    FrozenDict: _mapping,
    frozenset: _set,
    list: _list,
    memoryview: lambda value, _: bytes(value),
    set: _set,
    tuple: _tuple,
}


def _other(value: object, name: str) -> object:
    """Freeze what is of no plain type: subclasses of them, enumerations, records."""
    if isinstance(value, _IMMUTABLE) or _is_frozen_model(value):
        return value
    if isinstance(value, tuple):  # a named tuple
        frozen = _list(value, name)
        return value if all(map(operator.is_, value, frozen)) else cast("Any", type(value))(*frozen)
    if isinstance(value, list):
        return _list(value, name)
    if isinstance(value, AbstractSet):
        return _set(value, name)
    if isinstance(value, Mapping):
        return _mapping(value, name)
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and _is_frozen_dataclass(type(value)):
        return _record(value, name)
    raise TypeError(_refusal(value, name))


def _record(value: object, name: str) -> object:
    fields = [each.name for each in dataclasses.fields(cast("Any", value))]
    now = {field: getattr(value, field) for field in fields}
    frozen = {field: immutable(each, f"{name}.{field}") for field, each in now.items()}
    if all(frozen[field] is now[field] for field in fields):
        return value
    duplicate = copy.copy(value)
    for field, each in frozen.items():
        object.__setattr__(duplicate, field, each)
    return duplicate


def _refusal(value: object, name: str) -> str:
    kind = type(value).__qualname__
    if dataclasses.is_dataclass(value):
        return f"{name} is of class {kind}, which can change; declare it with @dataclass(frozen=True)"
    return (
        f"{name} is of class {kind}, which can change; hand over plain values or a frozen data class, or say that it never "
        f"changes with honeyhive.utils.Immutable.register({kind})"
    )


def _is_frozen_dataclass(kind: type) -> bool:
    return bool(cast("Any", kind).__dataclass_params__.frozen)


def _is_frozen_model(value: object) -> bool:
    configuration = getattr(type(value), "model_config", None)
    return isinstance(configuration, Mapping) and bool(configuration.get("frozen"))
