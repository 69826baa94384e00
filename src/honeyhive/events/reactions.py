"""Which method of a class is meant for which event: shared by aggregates, projections and process managers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from honeyhive.events.messages import Message

__all__ = ["on", "reactions"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__honeyhive_reacts_to__"


def on(*message_types: type[Message]) -> Callable[[F], F]:
    """Let a method be called with each event of these types, and of types derived from them.

    ::

        class Order(Aggregate):
            @on(OrderPlaced)
            def _placed(self, event: OrderPlaced) -> None:
                self.status = "pending"

    Raises:
        TypeError: There is no type, or one is not a message class.
    """
    for each in message_types or (None,):
        if not isinstance(each, type) or not issubclass(each, Message):
            raise TypeError(f"@on takes event classes, as in @on(OrderPlaced), not {each!r}")

    def mark(method: F) -> F:
        setattr(method, _MARK, (*message_types, *getattr(method, _MARK, ())))
        return method

    return mark


def reactions(owner: type, message_type: type[Message]) -> Sequence[str]:
    """Return the names of the methods of *owner* that are meant for *message_type*, in the order of their definition."""
    known = _known.setdefault(owner, {})
    if message_type not in known:
        known[message_type] = _found(owner, message_type)
    return known[message_type]


_known: WeakKeyDictionary[type, dict[type[Message], Sequence[str]]] = WeakKeyDictionary()


def _found(owner: type, message_type: type[Message]) -> Sequence[str]:
    names = {name: None for kind in reversed(owner.__mro__) for name in vars(kind)}
    return tuple(name for name in names if issubclass(message_type, getattr(getattr(owner, name, None), _MARK, ())))
