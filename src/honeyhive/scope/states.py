"""The states of a scope and of those around it, looked up by their class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from honeyhive.exceptions import StateError
from honeyhive.models.state import State

__all__ = ["States", "by_class"]

T = TypeVar("T")
S = TypeVar("S", bound=State)


def by_class(states: Iterable[State]) -> dict[type, Any]:
    """Return *states* by their class; of those of one class the last one."""
    return {type(state): state for state in states}


class States:
    """What one scope provides, on top of what those around it provide.

    Safe to use from threads: each single step is one operation on a dict. Of states of one class the one given last
    counts, and the innermost scope that has one hides those further out.

    Args:
        own: What the scope provides, by class.
        outer: What those around it provide.
    """

    __slots__ = ("outer", "own")

    def __init__(self, own: dict[type, Any], outer: States | None) -> None:
        self.own = own
        self.outer = outer

    def find(self, kind: type[T]) -> T | None:
        """Return what is provided innermost for exactly this class, or ``None``."""
        level: States | None = self
        while level is not None:
            found: T | None = level.own.get(kind)
            if found is not None:
                return found
            level = level.outer
        return None

    def make(self, kind: type[S]) -> S:
        """Make a state of its defaults alone and keep it with the outermost scope, so that all within share it.

        Raises:
            StateError: It has fields without defaults.
        """
        *_, outermost = self._levels()
        made: S = outermost.own.setdefault(kind, kind())
        return made

    def add(self, states: Iterable[State]) -> None:
        """Provide more."""
        self.own.update(by_class(states))

    def replace(self, state: State) -> None:
        """Put *state* where the one of its class is found, so that everybody who found that one finds this one.

        Raises:
            KeyError: There is none, and none can be made.
        """
        kind = type(state)
        for level in self._levels():
            if kind in level.own:
                level.own[kind] = state
                return
        try:
            self.make(kind)
        except StateError as error:
            raise KeyError(kind) from error
        self.replace(state)

    def kinds(self) -> Iterator[type]:
        """Yield the classes that are provided, the innermost first."""
        for level in self._levels():
            yield from tuple(level.own)

    def _levels(self) -> Iterator[States]:
        level: States | None = self
        while level is not None:
            yield level
            level = level.outer
