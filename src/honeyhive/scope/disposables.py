"""Resources of a scope: opened in order before its work, closed in reverse after it, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias, cast

import anyio

from honeyhive.models.state import State
from honeyhive.scope.outcome import Outcome, details
from honeyhive.scope.states import States

__all__ = ["Disposable", "Resources", "checked_disposables"]

Disposable: TypeAlias = AbstractAsyncContextManager[Any] | Callable[[], AbstractAsyncContextManager[Any]]
"""An async context manager, or a function that makes one. It yields a state, several states, or ``None``."""


class Resources:
    """The open resources of one scope.

    Closing is shielded from cancellation by anyio and trio: a connection that is being closed must not be cancelled once
    more by the very deadline that ended the work. The cancel scope for that is entered before the first resource is
    opened and shields only later, because resources may hold cancel scopes of their own, and those have to nest.
    """

    __slots__ = ("_open", "_shield")

    def __init__(self) -> None:
        self._open: list[AbstractAsyncContextManager[Any]] = []
        self._shield = anyio.CancelScope()
        self._shield.__enter__()

    async def open(self, disposables: Iterable[Disposable], states: States) -> None:
        """Open *disposables* and add what they yield to *states*, where the next ones find it."""
        for disposable in disposables:
            manager = _manager(disposable)
            provided = await manager.__aenter__()
            self._open.append(manager)
            states.add(_states_of(provided, disposable))

    async def close(self, outcome: Outcome) -> None:
        """Close all, the last one first, even if some fail; each is told how the work ended.

        What fails now is added to *outcome*; a resource that deals with the error, as context managers may, takes it
        away. `leave` comes after it.
        """
        self._shield.shield = True
        while self._open:
            manager = self._open.pop()
            with outcome:
                if await manager.__aexit__(*details(outcome.error)):
                    outcome.forgive()

    def leave(self) -> None:
        """Leave the cancel scope; those inside it have been left by then."""
        self._shield.__exit__(None, None, None)


def checked_disposables(disposables: object) -> tuple[Disposable, ...]:
    """Return *disposables* as a tuple.

    Raises:
        TypeError: They are no collection, or one of them is nothing that can be opened.
    """
    if isinstance(disposables, AbstractAsyncContextManager) or not isinstance(disposables, Iterable):
        raise TypeError("disposables is a collection: write `disposables=(database(),)`, with the comma")
    found = tuple(disposables)
    for disposable in found:
        if not isinstance(disposable, AbstractAsyncContextManager) and not callable(disposable):
            raise TypeError(f"{_name(disposable)} is no disposable: {_HELP}")
    return found


_HELP = "give an async context manager, such as a function decorated with @asynccontextmanager that yields a State"


def _manager(disposable: Disposable) -> AbstractAsyncContextManager[Any]:
    if isinstance(disposable, AbstractAsyncContextManager):
        return disposable
    made: object = disposable()
    if not isinstance(made, AbstractAsyncContextManager):
        raise TypeError(f"{_name(disposable)} makes no async context manager, but {_name(made)}: {_HELP}")
    return made


def _states_of(provided: object, disposable: Disposable) -> tuple[State, ...]:
    if provided is None:
        return ()
    if isinstance(provided, State):
        return (provided,)
    states = tuple(provided) if isinstance(provided, Iterable) and not isinstance(provided, str | bytes) else ()
    if not states or not all(isinstance(state, State) for state in states):
        raise TypeError(f"{_name(disposable)} yields {_name(provided)}; let it yield a State, several, or None")
    return cast("tuple[State, ...]", states)


def _name(thing: object) -> str:
    return getattr(thing, "__qualname__", None) or type(thing).__qualname__
