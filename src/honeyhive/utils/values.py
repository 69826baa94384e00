"""Values that never change and are cheap to make: what a frozen data class is, for those made on every request."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TypeVar, cast, dataclass_transform

__all__ = ["value"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def value(declared: type[T]) -> type[T]:
    """Make *declared* a keyword-only data class whose fields can only be read.

    A frozen data class refuses to be assigned to, so its constructor has to go past that, with a call for each field.
    Here a field is a property without a setter, and the constructor stores plainly into the slot behind it, at a third of
    the cost. As with ``slots=True`` the class is made a second time, so its methods cannot say ``super()``.
    """
    made = dataclass(kw_only=True, unsafe_hash=True)(declared)
    slots = {each.name: f"_{each.name}" for each in fields(made)}  # type: ignore[arg-type]  # it has just become one
    own = [name for name in inspect.get_annotations(made) if name in slots]
    # What was generated says ``self.name = name``.
    code = made.__init__.__code__
    made.__init__.__code__ = code.replace(co_names=tuple(slots.get(name, name) for name in code.co_names))
    body = {name: part for name, part in vars(made).items() if name not in {"__dict__", "__weakref__", *own}}
    body |= {name: property(attrgetter(slots[name])) for name in own}
    body |= {"__slots__": tuple(slots[name] for name in own), "__qualname__": made.__qualname__}
    return cast("type[T]", type(made.__name__, made.__bases__, body))
