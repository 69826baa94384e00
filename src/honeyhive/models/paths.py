"""Ways into nested values: ``User._.address.city`` reads, and replaces without changing anything.

::

    city = User._.address.city
    city(user)  # reads: "Oslo"
    city(user, updated="Bergen")  # a new user; the old one is as it was
    User._.orders[0].lines["tea"]  # leads through sequences and mappings too

A name that does not exist is refused when the path is made, as far as the annotations tell. Type checkers know where such
a path begins but not where it ends; with `path` they know both: ``path(User, lambda user: user.address.city)``.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar, Union, cast, get_args, get_origin, overload

from pydantic import BaseModel

from honeyhive.utils.frozen import FrozenDict
from honeyhive.utils.missing import MISSING, Missing

__all__ = ["Path", "path"]

Root = TypeVar("Root")
Value = TypeVar("Value")

_UNKNOWN: Final = Any


class Path(Generic[Root, Value]):
    """Leads from a state of one type to a value inside it; made by ``SomeState._`` or `path`.

    Call it with a state to read, and with ``updated=`` to get a copy of the state that has another value there. The copy
    is validated at every state on the way.
    """

    __slots__ = ("_kind", "_root", "_steps")

    def __init__(self, root: type[Root], kind: object, steps: tuple[_Step, ...] = ()) -> None:
        self._root = root
        self._kind = kind
        self._steps = steps

    def __getattr__(self, name: str) -> Path[Root, Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        fields = _fields(self._kind)
        if fields is not None and name not in fields:
            kind = cast("type", _state_in(self._kind))
            raise AttributeError(f"{kind.__name__} has no field {name!r}; it has {', '.join(fields) or 'none'}")
        return Path(self._root, _UNKNOWN if fields is None else fields[name], (*self._steps, _Attribute(name)))

    def __getitem__(self, key: object) -> Path[Root, Any]:
        return Path(self._root, _item_kind(self._kind), (*self._steps, _Item(key)))

    @overload
    def __call__(self, root: Root, /) -> Value: ...
    @overload
    def __call__(self, root: Root, /, *, updated: Value) -> Root: ...
    def __call__(self, root: Root, /, *, updated: Value | Missing = MISSING) -> Value | Root:
        """Return the value in *root*; with *updated*, a copy of *root* that has this value there.

        Raises:
            TypeError: *root* is of another type, or a value on the way cannot be led through.
            LookupError: A sequence or mapping on the way has no such item.
            StateError: The new value does not fit.
        """
        if not isinstance(root, self._root):
            raise TypeError(f"{self!r} leads through {self._root.__name__}; this is {type(root).__name__}")
        if updated is MISSING:
            return cast("Value", self._values(root, len(self._steps))[-1])
        values = self._values(root, len(self._steps) - 1)[: len(self._steps)]
        new: object = updated
        for step, value in zip(reversed(self._steps), reversed(values), strict=True):
            new = step.replaced(value, new)
        return cast("Root", new)

    def _values(self, root: object, depth: int) -> list[object]:
        """Return *root* and what the first *depth* steps come by."""
        values = [root]
        for step in self._steps[:depth]:
            values.append(step.read(values[-1]))
        return values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Path) and (self._root, self._steps) == (other._root, other._steps)

    def __hash__(self) -> int:
        return hash((self._root, self._steps))

    def __repr__(self) -> str:
        return f"{self._root.__name__}._{''.join(map(str, self._steps))}"


def path(root: type[Root], select: Callable[[Root], Value]) -> Path[Root, Value]:
    """Return the path that *select* takes, typed: ``path(User, lambda user: user.address.city)``.

    Args:
        root: The state class it begins at.
        select: Reads attributes and items of what it is given and returns the last one.

    Raises:
        TypeError: *select* does something else.
    """
    selected: object = select(cast("Root", Path(root, root)))
    if not isinstance(selected, Path):
        raise TypeError(
            f"the function of a path returns what it reads, such as `lambda state: state.a.b`; got {selected!r}"
        )
    return selected


class _Step(Protocol):
    def read(self, value: Any) -> object: ...
    def replaced(self, value: Any, new: object) -> object: ...


@dataclass(frozen=True, slots=True)
class _Attribute:
    name: str

    def read(self, value: Any) -> object:
        return getattr(value, self.name)

    def replaced(self, value: Any, new: object) -> object:
        from honeyhive.models.state import State

        if isinstance(value, State):
            return value.updated(**{self.name: new})
        raise _impassable(value, self)

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True, slots=True)
class _Item:
    key: Any

    def read(self, value: Any) -> object:
        if isinstance(value, Sequence | Mapping):
            return value[self.key]
        raise _impassable(value, self)

    def replaced(self, value: Any, new: object) -> object:
        if isinstance(value, Mapping):
            return FrozenDict({**value, self.key: new})
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            items = list(value)
            items[self.key] = new
            return tuple(items)
        raise _impassable(value, self)

    def __str__(self) -> str:
        return f"[{self.key!r}]"


def _impassable(value: object, step: object) -> TypeError:
    return TypeError(
        f"a path cannot go through {type(value).__name__} with {step}: it takes states, sequences and mappings"
    )


def _state_in(kind: object) -> type[BaseModel] | None:
    """Return the one state class that *kind* allows, also in ``State | None``."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    if get_origin(kind) in {Union, types.UnionType}:
        states = [state for part in get_args(kind) if (state := _state_in(part))]
        others = [part for part in get_args(kind) if part is not type(None)]
        return states[0] if len(states) == len(others) == 1 else None
    return None


def _fields(kind: object) -> dict[str, object] | None:
    """Return the annotations of the state that *kind* allows; ``None`` where nobody knows."""
    state = _state_in(kind)
    return None if state is None else {name: field.annotation for name, field in state.model_fields.items()}


def _item_kind(kind: object) -> object:
    """Return what the items of *kind* are annotated as."""
    origin, arguments = get_origin(kind), get_args(kind)
    if not isinstance(origin, type) or not arguments:
        return _UNKNOWN
    if issubclass(origin, Mapping):
        return arguments[-1]
    return arguments[0] if issubclass(origin, Sequence) and (origin is not tuple or arguments[-1] is ...) else _UNKNOWN
