"""Read models: what they are made of, and an event store as their source.

::

    InMemoryProjection      a model in plain Python objects
    SQLiteProjection        a model in a SQLite file                  (honeyhive.events.sqlite_projection)
    SQLProjection           a model in any database, asynchronous     (honeyhive.events.sql.projection)
    StoreSource             an event store as a source of the engine
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence

from honeyhive.events.following import BuriedRecord, Sink
from honeyhive.events.reactions import reactions
from honeyhive.events.steps import Steps, run
from honeyhive.events.store import AsyncEventLog, EventLog, RecordedEvent

__all__ = ["InMemoryProjection", "Projection", "StoreSource"]


class StoreSource:
    """An event store, blocking or asynchronous, as a source of the engine.

    Args:
        store: Where the events are.
        batch: How many are read, and applied in one transaction, at a time.
    """

    def __init__(self, store: EventLog | AsyncEventLog, *, batch: int = 1_000) -> None:
        if batch < 1:
            raise ValueError(f"a batch has at least one event, not {batch}")
        self._store = store
        self._batch = batch

    def read(self, after: int | None) -> Sequence[RecordedEvent] | Awaitable[Sequence[RecordedEvent]]:
        """Return the next batch behind position *after*."""
        return self._store.read_all(after or 0, self._batch)


class Projection(Sink[RecordedEvent, int], ABC):
    """A read model made from events by methods marked with `honeyhive.events.on`.

    A method is given the event; `record` tells its position, aggregate and time. Whatever a method raises, save an
    outage, puts the event aside, see `buried`, and leaves nothing of it behind.
    """

    outages: tuple[type[Exception], ...] = ()
    _record: RecordedEvent | None = None

    @property
    def name(self) -> str:
        """What it is called in reports and in the database; the name of the class unless it says otherwise."""
        return type(self).__name__

    @property
    def record(self) -> RecordedEvent:
        """What the store knows of the event in hand.

        Raises:
            LookupError: No event is being handled.
        """
        if self._record is None:
            raise LookupError(f"{self.name} is handling no event at this moment")
        return self._record

    def handling(self, record: RecordedEvent) -> Steps[None]:
        """Call the methods that are meant for the events of *record*."""
        self._record = record
        try:
            for event in record.events:
                for method in reactions(type(self), type(event)):
                    yield getattr(self, method)(event)
        finally:
            self._record = None

    def open(self) -> object:
        return None

    def close(self) -> object:
        return None


class InMemoryProjection(Projection):
    """A read model in plain Python objects, gone with the process.

    Its position moves with each event. A method that fails half-way leaves what it has changed until then.
    """

    def __init__(self) -> None:
        self._position: int | None = None
        self._buried: list[BuriedRecord] = []
        self.clear()

    @abstractmethod
    def clear(self) -> None:
        """Make the model empty; called when it is made and before it is made anew."""

    def position(self) -> int | None:
        return self._position

    def apply(self, records: Sequence[RecordedEvent]) -> object:
        for record in records:
            if self._position is None or record.position > self._position:
                run(self.handling(record))
                self._position = record.position
        return None

    def bury(self, record: RecordedEvent, error: Exception) -> object:
        self._buried.append(BuriedRecord(self.name, record.position, f"{type(error).__name__}: {error}"))
        self._position = record.position
        return None

    def buried(self) -> list[BuriedRecord]:
        """Return the events that could not be applied, oldest first."""
        return list(self._buried)

    def reset(self) -> object:
        self.clear()
        self._buried.clear()
        self._position = None
        return None
