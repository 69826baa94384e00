"""Who wants to hear what: handlers by message class and by pattern."""

from __future__ import annotations

import fnmatch
import functools
import inspect
import itertools
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from honeyhive.events.messages import Message

if TYPE_CHECKING:
    from honeyhive.resilience import RetryPolicy

__all__ = ["Middleware", "Subscription", "Subscriptions", "callable_of", "is_async", "name_of"]

Call: TypeAlias = Callable[[Any], Any]
Middleware: TypeAlias = Callable[[Call], Call]
"""Wraps a handler in another: called with the handler, returns what is called instead."""


@dataclass(frozen=True, eq=False, slots=True)
class Subscription:
    """One handler and what it wants to hear.

    Attributes:
        wanted: A message class, or a pattern of type names.
        name: The handler's name, for people and in dead letters.
        call: What is called with the message.
        is_async: Whether calling it gives a coroutine.
        group: Handlers of one group take turns.
        retry: How often it is tried again; what the bus does by default.
        timeout_s: How long it may take, in seconds; what the bus allows by default.
    """

    wanted: type[Message] | str
    name: str
    call: Call
    is_async: bool
    group: str | None
    retry: RetryPolicy | None
    timeout_s: float | None
    _cancel: Callable[[Subscription], None] = field(repr=False)

    def cancel(self) -> None:
        """Let the handler hear nothing any more; what it is busy with it finishes."""
        self._cancel(self)


class Subscriptions:
    """All handlers of a bus. Adding one takes the same time however many there are, and so does finding them.

    Safe to use from any thread.

    Args:
        middleware: Wrapped around each handler, the first outermost.
    """

    def __init__(self, middleware: Sequence[Middleware] = ()) -> None:
        self._middleware = tuple(middleware)
        self._all: dict[Subscription, None] = {}
        self._plans: dict[tuple[type[Message], str], Plan] = {}
        # Keeps the plans in step with the subscriptions.
        self._changing = threading.Lock()

    def add(
        self,
        wanted: type[Message] | str,
        handler: object,
        *,
        group: str | None = None,
        retry: RetryPolicy | None = None,
        timeout_s: float | None = None,
    ) -> Subscription:
        """Add *handler*.

        Raises:
            TypeError: *handler* cannot be called with a message, or *wanted* is no message class and no pattern.
        """
        call = callable_of(handler)
        awaits = is_async(call)
        for wrap in reversed(self._middleware):
            call = wrap(call)
        subscription = Subscription(
            _checked(wanted), name_of(handler), call, awaits or is_async(call), group, retry, timeout_s, self._remove
        )
        with self._changing:
            self._all[subscription] = None
            self._plans = {}
        return subscription

    def of(self, message: Message) -> tuple[Subscription, ...]:
        """Return who hears *message*, in the order of subscription; of each group the one whose turn it is."""
        plan = self._plans.get((type(message), message.type))
        return (self._plan(message) if plan is None else plan).next()

    def named(self, name: str, message: Message) -> Subscription:
        """Return the handler called *name* that wants to hear *message*.

        Raises:
            LookupError: There is none here.
        """
        for each in list(self._all):
            if each.name == name and _wants(each.wanted, message):
                return each
        raise LookupError(f"no handler called {name!r} is subscribed to {message.type} on this bus")

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, subscription: object) -> bool:
        return subscription in self._all

    def _plan(self, message: Message) -> Plan:
        with self._changing:
            plan = Plan([each for each in self._all if _wants(each.wanted, message)])
            self._plans[type(message), message.type] = plan
        return plan

    def _remove(self, subscription: Subscription) -> None:
        with self._changing:
            self._all.pop(subscription, None)
            self._plans = {}


class Plan:
    """Who hears messages of one kind."""

    __slots__ = ("next",)

    def __init__(self, interested: Sequence[Subscription]) -> None:
        everybody = tuple(interested)
        if any(each.group for each in everybody):
            self.next: Callable[[], tuple[Subscription, ...]] = functools.partial(_in_turn, _seats(everybody))
        else:
            self.next = lambda: everybody


def _seats(interested: Iterable[Subscription]) -> tuple[Callable[[], Subscription], ...]:
    """Return for each handler, or group of handlers, what tells whose turn it is."""
    groups: dict[object, list[Subscription]] = {}
    for each in interested:
        groups.setdefault(each.group or each, []).append(each)
    return tuple(functools.partial(next, itertools.cycle(members)) for members in groups.values())


def _in_turn(seats: Iterable[Callable[[], Subscription]]) -> tuple[Subscription, ...]:
    return tuple(seat() for seat in seats)


def _wants(wanted: type[Message] | str, message: Message) -> bool:
    if isinstance(wanted, str):
        return _pattern(wanted)(message.type) is not None
    return isinstance(message, wanted)


@functools.lru_cache(maxsize=256)
def _pattern(text: str) -> Callable[[str], object]:
    return re.compile(fnmatch.translate(text)).match


def _checked(wanted: object) -> type[Message] | str:
    if isinstance(wanted, str) and wanted:
        return wanted
    if isinstance(wanted, type) and issubclass(wanted, Message):
        return wanted
    raise TypeError(
        f"subscribe() needs a message class, or a pattern of type names such as 'order.*', and not {wanted!r}"
    )


def callable_of(handler: object) -> Call:
    """Return what to call with a message.

    Raises:
        TypeError: There is nothing to call.
    """
    if isinstance(handler, type):
        raise TypeError(f"{handler.__qualname__} is a class; hand over an instance: {handler.__qualname__}(...)")
    method: Call | None = getattr(handler, "handle", None)
    if callable(method):
        return method
    if callable(handler):
        return handler
    raise TypeError(f"a handler is something to call, or has a method handle(message); {handler!r} is neither")


def is_async(call: Call) -> bool:
    """Tell whether calling *call* gives a coroutine."""
    while isinstance(call, functools.partial):
        call = call.func
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)


def name_of(handler: object) -> str:
    """Return module and qualified name of a handler, of an object those of its class."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    named = handler if hasattr(handler, "__qualname__") else type(handler)
    return ".".join(filter(None, (named.__module__, named.__qualname__)))
