"""How the fields of a state are validated so that nothing inside them changes afterwards.

An annotation is read once, when its class is made, and replaced by one that pydantic validates into frozen collections:

====================================  =======================================================
annotated as                          becomes
====================================  =======================================================
``Sequence[T]``                       ``tuple[T, ...]``
``Mapping[K, V]``                     ``FrozenDict[K, V]``
``Set[T]``, also ``typing.Set[T]``    ``frozenset[T]``
``Any``, ``object``                   what is given, with the lists, dicts and sets in it frozen
``list``, ``dict``, ``set``           a copy that may change: it was asked for by name
====================================  =======================================================

This holds at any depth: in unions, tuples, other collections and the arguments of generic states.
"""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError

from honeyhive.utils.frozen import FrozenDict, freeze

__all__ = ["IMMUTABLE", "immutable"]

_ANYTHING: Final = Annotated[Any, AfterValidator(freeze)]


class _Immutable:
    """Marks a field's annotation; pydantic asks it for the schema when the annotation is known in full."""

    __slots__ = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler(immutable(source))

    def __repr__(self) -> str:
        return "IMMUTABLE"


IMMUTABLE: Final = _Immutable()


def immutable(annotation: Any, within: tuple[Any, ...] = ()) -> Any:
    """Return an annotation that validates what *annotation* describes into frozen collections.

    Args:
        annotation: Any annotation, without forward references.
        within: The type aliases that are being read: inside itself, a recursive one is frozen by value.

    Raises:
        TypeError: It names a protocol that cannot be checked at run time.
    """
    if annotation is Any or annotation is object:
        return _ANYTHING
    if isinstance(annotation, TypeVar):  # one that nothing was given for: `Box(...)` instead of `Box[int](...)`
        return Annotated[annotation, AfterValidator(freeze)]
    origin = get_origin(annotation)
    kind = origin or annotation
    _require_checkable(kind)
    if build := _builder(annotation, kind):
        return build(*(immutable(argument, within) for argument in get_args(annotation)))
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        return Annotated[(immutable(inner, within), *metadata)]
    if origin in _TRANSPARENT:
        return _rebuilt(origin, [immutable(argument, within) for argument in get_args(annotation)])
    if hasattr(annotation, "__value__"):
        return _alias(annotation, within)
    return annotation


def _alias(annotation: Any, within: tuple[Any, ...]) -> Any:
    if annotation in within:
        return Annotated[annotation, AfterValidator(freeze)]
    return immutable(annotation.__value__, (*within, annotation))


_TRANSPARENT: Final = frozenset({Union, types.UnionType, tuple, frozenset, list, dict, set})
"""What keeps its own kind and has its arguments read."""


def _rebuilt(origin: Any, arguments: list[Any]) -> Any:
    if origin is Union or origin is types.UnionType:
        return Union[tuple(arguments)]  # noqa: UP007 -- the arguments are known at run time only
    return origin[tuple(arguments)]


def _builder(annotation: Any, kind: Any) -> Callable[..., Any] | None:
    # `set` is asked for by name; `typing.Set`, which has it as its origin, is how abstract sets are often spelt.
    if kind is set and annotation is not set and not isinstance(annotation, types.GenericAlias):
        return _set
    return _BUILDERS.get(kind) if isinstance(kind, type) else None


def _sequence(item: Any = _ANYTHING) -> Any:
    return Annotated[tuple[item, ...], BeforeValidator(_to_tuple)]


def _mapping(key: Any = _ANYTHING, value: Any = _ANYTHING) -> Any:
    return Annotated[dict[key, value], BeforeValidator(_to_dict), AfterValidator(FrozenDict)]


def _set(item: Any = _ANYTHING) -> Any:
    return Annotated[frozenset[item], BeforeValidator(_to_frozenset)]


_BUILDERS: Final[Mapping[type, Callable[..., Any]]] = {
    collections.abc.Sequence: _sequence,
    collections.abc.Mapping: _mapping,
    collections.abc.Set: _set,
}


def _to_tuple(value: object) -> tuple[object, ...]:
    if isinstance(value, tuple):
        return value
    if isinstance(value, collections.abc.Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return tuple(value)
    raise _wrong_kind("sequence", "a list or a tuple")


def _to_dict(value: object) -> dict[object, object]:
    if isinstance(value, dict):
        return value
    if isinstance(value, collections.abc.Mapping):
        return dict(value)
    raise _wrong_kind("mapping", "a dict")


def _to_frozenset(value: object) -> frozenset[object]:
    if isinstance(value, frozenset):
        return value
    if isinstance(value, collections.abc.Set):
        return frozenset(value)
    raise _wrong_kind("set", "a set")


def _wrong_kind(kind: str, example: str) -> PydanticCustomError:
    return PydanticCustomError(f"{kind}_type", f"Input should be a {kind}, such as {example}")


def _require_checkable(kind: Any) -> None:
    if getattr(kind, "_is_protocol", False) and not getattr(kind, "_is_runtime_protocol", False):
        raise TypeError(f"{kind.__name__} cannot be checked at run time: decorate it with @runtime_checkable")
