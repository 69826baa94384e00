"""Reading old events as new ones.

A class says which version of its content it is, and an upcaster how to come from one version to the next; what is
stored stays as it was::

    class OrderPlaced(Event):
        schema_version: ClassVar[int] = 2
        order_id: str
        currency: str


    upcasters = Upcasters()


    @upcasters.step("OrderPlaced", 1, 2)
    def _with_currency(content):
        return {**content, "currency": "EUR"}


    upcasters.rename("OrderMade", "OrderPlaced")
    store = SQLiteEventStore("shop.db", upcasters=upcasters)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from honeyhive.exceptions import UpcastError

__all__ = ["Stored", "Upcasters", "schema_version"]

_MOST_STEPS: Final = 1_000
_ANY: Final = 0


class Stored(NamedTuple):
    """What is stored of an event: its type, the version of its content, and the content in plain values."""

    type: str
    version: int
    content: Mapping[str, Any]


Change: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Splitting: TypeAlias = Callable[[Mapping[str, Any]], Iterable[Stored]]
C = TypeVar("C", bound=Change)
S = TypeVar("S", bound=Splitting)


class Upcasters:
    """A set of upcasters; they are applied one after the other until none fits any more.

    Fill it before it is used: it is not safe to change while a store reads.
    """

    def __init__(self) -> None:
        self._by_version: dict[tuple[str, int], Callable[[Stored], Iterable[Stored]]] = {}

    def step(self, type_: str, from_version: int, to_version: int) -> Callable[[C], C]:
        """Let a function make the content of *to_version* out of that of *from_version*.

        Raises:
            UpcastError: The versions do not rise, or there is an upcaster for *from_version*.
        """
        if not 1 <= from_version < to_version:
            raise UpcastError(
                f"an upcaster leads to a higher version; {from_version} to {to_version} of {type_} does not"
            )

        def register(change: C) -> C:
            self._add(type_, from_version, lambda old: (Stored(type_, to_version, change(old.content)),))
            return change

        return register

    def split(self, type_: str, version: int = 1) -> Callable[[S], S]:
        """Let a function make any number of `Stored` events out of the content of *version*.

        Raises:
            UpcastError: There is an upcaster for *version*.
        """

        def register(splitting: S) -> S:
            self._add(type_, version, lambda old: splitting(old.content))
            return splitting

        return register

    def rename(self, old_type: str, new_type: str) -> None:
        """Read all events of *old_type*, of whatever version, as ones of *new_type*.

        Raises:
            UpcastError: There is an upcaster for *old_type*.
        """
        self._add(old_type, _ANY, lambda old: (Stored(new_type, old.version, old.content),))

    def drop(self, type_: str) -> None:
        """Read events of *type_* as if they were not there.

        Raises:
            UpcastError: There is an upcaster for *type_*.
        """
        self._add(type_, _ANY, lambda _: ())

    def apply(self, stored: Stored) -> list[Stored]:
        """Return what *stored* is today.

        Raises:
            UpcastError: An upcaster fails, or they go round in circles.
        """
        found: list[Stored] = []
        waiting = [stored]
        for _ in range(_MOST_STEPS):
            if not waiting:
                return found
            old = waiting.pop()
            upcast = self._by_version.get((old.type, old.version)) or self._by_version.get((old.type, _ANY))
            if upcast is None:
                found.append(old)
            else:
                waiting += reversed(list(_told(upcast, old)))
        raise UpcastError(f"the upcasters of {stored.type} version {stored.version} go round in circles")

    def _add(self, type_: str, version: int, upcast: Callable[[Stored], Iterable[Stored]]) -> None:
        taken = (type_, version) in self._by_version or (type_, _ANY) in self._by_version
        if taken:
            raise UpcastError(f"there is an upcaster for {type_} version {version} already, and one event has one way")
        self._by_version[type_, version] = upcast


def schema_version(kind: type) -> int:
    """Return the version of the content of a class: its ``schema_version``, 1 without one."""
    version = getattr(kind, "schema_version", 1)
    return version if isinstance(version, int) else 1


def _told(upcast: Callable[[Stored], Iterable[Stored]], old: Stored) -> Iterator[Stored]:
    try:
        yield from upcast(old)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise UpcastError(f"the upcaster of {old.type} version {old.version} failed: {reason}") from error
