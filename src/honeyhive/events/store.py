"""What an event store is: the protocols, and what they give out.

::

    EventStore, AsyncEventStore   save and load the events of one aggregate: what a command handler needs
    EventLog, AsyncEventLog       the same, read across all aggregates too: what projections and audits need
    Stream                        the events of one aggregate, and the version they lead to
    RecordedEvent                 an event, and where, when and in which order it was saved
    Appended                      what saving has come to

A version counts the events of one aggregate, a position those of the whole store; both begin at 1, and 0 is "none yet".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import NamedTuple, Protocol, Self, TypeAlias, TypeVar, runtime_checkable

from honeyhive.events.messages import Event
from honeyhive.events.tail import AsyncTail, Tail
from honeyhive.exceptions import ConcurrencyError, DuplicateEventError

__all__ = [
    "Appended",
    "AsOf",
    "AsyncEventLog",
    "AsyncEventStore",
    "EventLog",
    "EventStore",
    "RecordedEvent",
    "Stream",
    "StreamFacts",
]

E = TypeVar("E")

AsOf: TypeAlias = int | datetime
"""Up to which version, or up to which moment, both included; a moment carries its time zone."""


class Stream(list[Event]):
    """Events of one aggregate in their order.

    Attributes:
        version: The version of the aggregate with the last of them.
    """

    def __init__(self, events: Iterable[Event] = (), *, version: int = 0) -> None:
        super().__init__(events)
        self.version = version


class RecordedEvent:
    """A saved event with all that the store knows of it.

    What was stored is made an event when it is first asked for, so one that cannot be read hinders nobody but those who
    need it.

    Attributes:
        position: In the store; later events have higher ones.
        aggregate_id: Whose event it is.
        version: Of the aggregate with this event.
        recorded_ns: When it was saved, in nanoseconds since 1970; never less than that of the event before.
        type: What the store has written down as its type, before upcasting.
    """

    __slots__ = ("_document", "_events", "_read", "aggregate_id", "position", "recorded_ns", "type", "version")

    def __init__(
        self,
        position: int,
        aggregate_id: str,
        version: int,
        recorded_ns: int,
        type: str,  # noqa: A002 -- reads as the attribute it becomes
        *,
        events: tuple[Event, ...] | None = None,
        document: bytes | str = b"",
        read: Callable[[bytes | str], tuple[Event, ...]] | None = None,
    ) -> None:
        self.position = position
        self.aggregate_id = aggregate_id
        self.version = version
        self.recorded_ns = recorded_ns
        self.type = type
        self._events = events
        self._document = document
        self._read = read

    @property
    def events(self) -> tuple[Event, ...]:
        """The event; after upcasting there may be several of it, or none.

        An event whose class is not loaded comes as `honeyhive.events.UnknownMessage`.

        Raises:
            MessageFormatError: What is stored does not fit the class.
            UpcastError: It is of an old version, and no upcaster leads to the present one.
        """
        if self._events is None:
            self._events = () if self._read is None else self._read(self._document)
        return self._events

    @property
    def event(self) -> Event:
        """The event; the first if upcasting has made several of it.

        Raises:
            LookupError: Upcasting has dropped it.
            MessageFormatError: As with `events`.
            UpcastError: As with `events`.
        """
        if not self.events:
            raise LookupError(f"the event at position {self.position} was dropped by an upcaster")
        return self.events[0]

    @property
    def recorded_at(self) -> datetime:
        """When it was saved, in UTC, to the microsecond."""
        return datetime.fromtimestamp(self.recorded_ns // 1_000 / 1e6, UTC)

    def __repr__(self) -> str:
        place = f"{self.position}: {self.aggregate_id!r} v{self.version}"
        return f"<RecordedEvent {place} {self.type} {self.recorded_at.isoformat()}>"


class Appended(NamedTuple):
    """What saving has come to."""

    version: int
    """Of the aggregate with the last of the events."""
    position: int
    """Of the last of the events; a projection that has reached it shows them all."""
    added: int
    """How many were new; the others had been saved before."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What a store knows of one aggregate without loading it."""

    aggregate_id: str
    version: int
    last_type: str
    """The type of its last event, as it is stored."""


class EventStore(Protocol):
    """Saves and loads the events of aggregates. Everything that stands on a store of your own needs only these.

    `load_after_version` comes with inheriting; a class that does not inherit writes it itself.
    """

    def save(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> object:
        """Append *events*, all or none, so that they survive whatever the store promises to survive.

        Events that were saved before, recognised by their ids, are passed over: saving again after a lost answer is safe.

        Args:
            aggregate_id: Whose events.
            events: In their order.
            expected_version: The version for which the events were made, 0 for a new aggregate; ``None`` appends behind
                whatever is there.

        Raises:
            ConcurrencyError: The aggregate is at another version; nothing was saved.
        """

    def load(self, aggregate_id: str, from_version: int = 0) -> list[Event]:
        """Return the events that came after version *from_version*, oldest first; empty when there are none."""
        ...

    def load_after_version(self, aggregate_id: str, version: int) -> list[Event]:
        """Return the events that came after *version*, oldest first."""
        return self.load(aggregate_id, version)


class AsyncEventStore(Protocol):
    """`EventStore` to be awaited."""

    async def save(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> object:
        """Append *events*, as `EventStore.save`."""

    async def load(self, aggregate_id: str, from_version: int = 0) -> list[Event]:
        """Return the events that came after version *from_version*, oldest first."""
        ...

    async def load_after_version(self, aggregate_id: str, version: int) -> list[Event]:
        """Return the events that came after *version*, oldest first."""
        return await self.load(aggregate_id, version)


@runtime_checkable
class EventLog(Protocol):
    """An event store that can be read across all aggregates. Thread-safe; all stores of this room are one."""

    @property
    def poll_s(self) -> float | None:
        """How often to look for events that other processes save, in seconds; ``None`` when there are no others."""
        ...

    def save(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> Appended:
        """Append *events*, as `EventStore.save`.

        Raises:
            ConcurrencyError: The aggregate is at another version; nothing was saved.
            DuplicateEventError: An event of another aggregate has one of the ids; nothing was saved.
            StoreClosedError: The store is closed.
        """
        ...

    def load(self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None) -> Stream:
        """Return the events that came after version *from_version*, oldest first, with the version they lead to.

        Args:
            aggregate_id: Whose events.
            from_version: Leave out as many.
            as_of: Leave out what came after this version or moment.
        """
        ...

    def load_after_version(self, aggregate_id: str, version: int) -> Stream:
        """Return the events that came after *version*, oldest first."""
        ...

    def history(self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None) -> list[RecordedEvent]:
        """Return what `load` returns, each with its position, version and time: the audit of one aggregate."""
        ...

    def read_all(self, after: int = 0, limit: int = 1_000) -> list[RecordedEvent]:
        """Return the oldest events of all aggregates behind position *after*.

        Whoever goes on from the last position misses none: an event never turns up behind one that was read.
        """
        ...

    def head(self) -> int:
        """Return the position of the newest event, 0 when there is none."""
        ...

    def streams(self, prefix: str = "") -> list[StreamFacts]:
        """Return what is known of each aggregate whose id begins with *prefix*, in the order of the ids."""
        ...

    def subscribe(self, after: int = 0) -> Tail:
        """Return an iterator over the events behind position *after*, which then waits for each new one."""
        return Tail(self, after)

    def watch(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Call *listener* with the number of new events after each `save` through this object; return what ends it.

        It is called with 0 when the store is closed.
        """
        ...

    def close(self) -> None:
        """Give up files and connections; twice is once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@runtime_checkable
class AsyncEventLog(Protocol):
    """`EventLog` to be awaited; for one event loop."""

    @property
    def poll_s(self) -> float | None:
        """How often to look for events that others save, in seconds; ``None`` when there are no others."""
        ...

    async def save(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> Appended:
        """Append *events*, as `EventLog.save`."""
        ...

    async def load(self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None) -> Stream:
        """Return the events that came after version *from_version*, as `EventLog.load`."""
        ...

    async def load_after_version(self, aggregate_id: str, version: int) -> Stream:
        """Return the events that came after *version*, oldest first."""
        ...

    async def history(
        self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None
    ) -> list[RecordedEvent]:
        """Return the audit of one aggregate, as `EventLog.history`."""
        ...

    async def read_all(self, after: int = 0, limit: int = 1_000) -> list[RecordedEvent]:
        """Return the oldest events of all aggregates behind position *after*, as `EventLog.read_all`."""
        ...

    async def head(self) -> int:
        """Return the position of the newest event, 0 when there is none."""
        ...

    async def streams(self, prefix: str = "") -> list[StreamFacts]:
        """Return what is known of each aggregate whose id begins with *prefix*, in the order of the ids."""
        ...

    def subscribe(self, after: int = 0) -> AsyncTail:
        """Return an iterator over the events behind position *after*, which then waits for each new one."""
        return AsyncTail(self, after)

    def watch(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Call *listener* in the event loop after each `save` through this object; return what ends it."""
        ...

    async def close(self) -> None:
        """Give up files and connections; twice is once."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def check_arguments(aggregate_id: object, events: object, expected_version: object) -> None:
    """Refuse what cannot be saved before anything is touched.

    Raises:
        TypeError: Something is of the wrong kind.
        ValueError: The id is empty, or the version is below 0.
    """
    if not isinstance(aggregate_id, str) or not isinstance(events, list | tuple | Sequence) or isinstance(events, str):
        raise TypeError(
            "save takes the id of an aggregate, a string, and a sequence of events; "
            f"not {type(aggregate_id).__name__} and {type(events).__name__}"
        )
    if not aggregate_id:
        raise ValueError("the id of an aggregate is not empty")
    for event in events:
        if not isinstance(event, Event):
            raise TypeError(f"only events are saved, and {type(event).__name__} is none: derive it from Event")
    if expected_version is None:
        return
    if not isinstance(expected_version, int) or isinstance(expected_version, bool):
        raise TypeError(f"expected_version is a number of events or None, not {expected_version!r}")
    if expected_version < 0:
        raise ValueError(f"expected_version is 0 for a new aggregate and never below, so not {expected_version}")


def unsaved(aggregate_id: str, events: Sequence[Event], homes: Mapping[str, str]) -> list[Event]:
    """Return those of *events* that are new, each once.

    Args:
        aggregate_id: Where they are to be saved.
        events: What is to be saved.
        homes: For the id of each event that was saved before, the aggregate it was saved for.

    Raises:
        DuplicateEventError: One was saved for another aggregate.
    """
    new: dict[str, Event] = {}
    for event in events:
        home = homes.get(event.id)
        if home is None:
            new.setdefault(event.id, event)
        elif home != aggregate_id:
            raise DuplicateEventError(
                f"event {event.id!r} was saved for {home!r} and cannot be saved for {aggregate_id!r}"
            )
    return list(new.values())


def check_version(aggregate_id: str, expected: int | None, actual: int) -> None:
    """Raise `ConcurrencyError` unless *actual* is what was expected, or nothing was."""
    if expected is not None and expected != actual:
        raise ConcurrencyError(aggregate_id, expected, actual)


def nanoseconds(moment: datetime) -> int:
    """Return *moment* in nanoseconds since 1970, rounded up to the end of its microsecond.

    Raises:
        ValueError: It carries no time zone, so nobody knows which moment it is.
    """
    if moment.tzinfo is None:
        raise ValueError(f"as_of needs a time zone: {moment.isoformat()} says nothing without one, add tzinfo=UTC")
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000 + 999


def bounds(as_of: AsOf | None) -> tuple[int | None, int | None]:
    """Return the highest version and the latest time in nanoseconds that *as_of* lets through.

    Raises:
        TypeError: It is neither a version nor a moment.
        ValueError: It is a moment without a time zone.
    """
    if as_of is None:
        return None, None
    if isinstance(as_of, datetime):
        return None, nanoseconds(as_of)
    if type(as_of) is int:
        return as_of, None
    raise TypeError(f"as_of is a version or a datetime, not {as_of!r}")


def stream_of(recorded: Sequence[RecordedEvent], from_version: int) -> Stream:
    """Return the events in *recorded* as a stream."""
    version = recorded[-1].version if recorded else from_version
    return Stream((event for record in recorded for event in record.events), version=version)
