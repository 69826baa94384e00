"""Aggregates: state that is made of its events, and the rules that decide which events there are.

::

    @dataclass
    class Order(Aggregate):
        status: str = "new"

        def cancel(self) -> None:
            if self.status != "pending":
                raise ValueError("only a pending order can be cancelled")
            self.record(OrderCancelled())

        @on(OrderCancelled)
        def _cancelled(self, event: OrderCancelled) -> None:
            self.status = "cancelled"


    orders = Repository(store, Order)
    orders.update("order-1", Order.cancel)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any, Generic, Self, TypeVar, overload

from honeyhive.events.bus import MessageBus
from honeyhive.events.messages import Event
from honeyhive.events.reactions import reactions
from honeyhive.events.snapshots import AsyncSnapshotStore, Snapshot, SnapshotStore
from honeyhive.events.steps import Steps, run, run_async
from honeyhive.events.store import AsOf, AsyncEventStore, EventStore
from honeyhive.exceptions import AggregateNotFoundError, ConcurrencyError
from honeyhive.utils.guard import guard

__all__ = ["Aggregate", "AsyncRepository", "Repository", "fold"]

S = TypeVar("S")
E = TypeVar("E", bound=Event)


@overload
def fold(apply: Callable[[S | None, E], S], events: Iterable[E]) -> S | None: ...
@overload
def fold(apply: Callable[[S, E], S], events: Iterable[E], initial: S) -> S: ...
def fold(apply: Callable[[Any, Any], Any], events: Iterable[Any], initial: Any = None) -> Any:
    """Return the state that *events* lead to: ``apply`` is given a state and an event and returns the next state.

    Args:
        apply: A function without effects.
        events: In their order.
        initial: The state before the first event.
    """
    return reduce(apply, events, initial)


class Aggregate:
    """State made of events, changed by nothing else. Derive data classes from it; every field has a default.

    Methods marked with `honeyhive.events.on` say what an event changes. Methods that decide check the rules and then
    `record` events. Events without a method change nothing.

    Attributes:
        version: How many saved events it is made of.
    """

    version: int
    _events: list[Event]

    def __new__(cls, *_: object, **__: object) -> Self:
        aggregate = super().__new__(cls)
        # Not fields: a data class neither compares them nor asks for them.
        object.__setattr__(aggregate, "version", 0)
        object.__setattr__(aggregate, "_events", [])
        return aggregate

    @classmethod
    def from_events(cls, events: Iterable[Event]) -> Self:
        """Return the state that *events* lead to.

        Raises:
            TypeError: It cannot be made without arguments.
        """
        aggregate = cls()
        applied = 0
        for event in events:
            aggregate.apply(event)
            applied += 1
        object.__setattr__(aggregate, "version", getattr(events, "version", applied))
        return aggregate

    def apply(self, event: Event) -> None:
        """Change the state as *event* says, which has happened already."""
        for name in reactions(type(self), type(event)):
            getattr(self, name)(event)

    def record(self, event: Event) -> None:
        """Let *event* happen: change the state, and keep the event to be saved."""
        self.apply(event)
        self._events.append(event)

    @property
    def changes(self) -> tuple[Event, ...]:
        """The events that were recorded and not saved yet."""
        return tuple(self._events)

    def settle(self, version: int) -> None:
        """Note that all changes are saved, which has led to *version*."""
        self._events.clear()
        object.__setattr__(self, "version", version)


A = TypeVar("A", bound=Aggregate)


class _Loading(Generic[A]):
    """What blocking and asynchronous repositories have in common: all but the waiting."""

    def __init__(
        self,
        store: EventStore | AsyncEventStore,
        aggregate_type: type[A],
        snapshots: SnapshotStore | AsyncSnapshotStore | None,
        snapshot_every: int,
        bus: MessageBus | None,
    ) -> None:
        if snapshot_every < 1:
            raise ValueError(
                f"a snapshot is made every so many events, at least every single one, not {snapshot_every}"
            )
        self._store = store
        self._type = aggregate_type
        self._snapshots = snapshots
        self._snapshot_every = snapshot_every
        self._bus = bus

    def find(self, aggregate_id: str, as_of: AsOf | None) -> Steps[A | None]:
        aggregate = yield from self._start(aggregate_id, as_of)
        version = 0 if aggregate is None else aggregate.version
        # Stores of users' own need not be able to look back.
        as_of_then = {} if as_of is None else {"as_of": as_of}
        events: Sequence[Event] = yield self._store.load(aggregate_id, version, **as_of_then)
        if aggregate is None:
            aggregate = self._type.from_events(events)
        else:
            for event in events:
                aggregate.apply(event)
            aggregate.settle(getattr(events, "version", version + len(events)))
        return aggregate if aggregate.version else None

    def load(self, aggregate_id: str, as_of: AsOf | None) -> Steps[A]:
        aggregate = yield from self.find(aggregate_id, as_of)
        if aggregate is None:
            raise AggregateNotFoundError(aggregate_id)
        return aggregate

    def save(self, aggregate_id: str, aggregate: A) -> Steps[tuple[Event, ...]]:
        changes, before = aggregate.changes, aggregate.version
        if not changes:
            return changes
        yield self._store.save(aggregate_id, changes, before)
        aggregate.settle(before + len(changes))
        if self._snapshots is not None and aggregate.version // self._snapshot_every > before // self._snapshot_every:
            with guard("save a snapshot"):  # a short cut that is missing costs time, never events
                yield self._snapshots.save(Snapshot(aggregate_id, aggregate.version, aggregate))
        if self._bus is not None:
            for event in changes:
                yield self._bus.publish(event)
        return changes

    def update(self, aggregate_id: str, decide: Callable[[A], object], attempts: int, create: bool) -> Steps[A]:
        conflicts = 0
        while True:
            try:
                return (yield from self._change(aggregate_id, decide, create))
            except ConcurrencyError:
                conflicts += 1
                if conflicts >= attempts:
                    raise

    def _change(self, aggregate_id: str, decide: Callable[[A], object], create: bool) -> Steps[A]:
        aggregate = yield from self.find(aggregate_id, None)
        if aggregate is None:
            if not create:
                raise AggregateNotFoundError(aggregate_id)
            aggregate = self._type()
        yield decide(aggregate)
        yield from self.save(aggregate_id, aggregate)
        return aggregate

    def _start(self, aggregate_id: str, as_of: AsOf | None) -> Steps[A | None]:
        """Return the aggregate as its snapshot has it, if that is of any use."""
        if self._snapshots is None or not (as_of is None or isinstance(as_of, int)):
            return None
        snapshot: Snapshot[A] | None = yield self._snapshots.load(aggregate_id)
        if snapshot is None or not isinstance(snapshot.aggregate, self._type):
            return None
        if as_of is not None and snapshot.version > as_of:
            return None
        snapshot.aggregate.settle(snapshot.version)
        return snapshot.aggregate


class Repository(Generic[A]):
    """Loads and saves aggregates of one type. Thread-safe, as far as the aggregates are not shared.

    Args:
        store: Where the events are.
        aggregate_type: What they lead to.
        snapshots: Where to look for a snapshot first, and to leave one now and then.
        snapshot_every: After how many events a snapshot is left.
        bus: Where saved events are published, in this process and after they are saved; a crash in between leaves them
            unpublished, which `honeyhive.events.Relay` does not.
    """

    def __init__(
        self,
        store: EventStore,
        aggregate_type: type[A],
        *,
        snapshots: SnapshotStore | None = None,
        snapshot_every: int = 1_000,
        bus: MessageBus | None = None,
    ) -> None:
        self._steps = _Loading(store, aggregate_type, snapshots, snapshot_every, bus)

    def load(self, aggregate_id: str, *, as_of: AsOf | None = None) -> A:
        """Return an aggregate, as it is or as it was.

        Raises:
            AggregateNotFoundError: It has no events.
        """
        return run(self._steps.load(aggregate_id, as_of))

    def find(self, aggregate_id: str, *, as_of: AsOf | None = None) -> A | None:
        """Return an aggregate, as it is or as it was; ``None`` when it has no events."""
        return run(self._steps.find(aggregate_id, as_of))

    def save(self, aggregate_id: str, aggregate: A) -> tuple[Event, ...]:
        """Save what *aggregate* has recorded, and return it.

        Raises:
            ConcurrencyError: It was changed since it was loaded; nothing was saved.
        """
        return run(self._steps.save(aggregate_id, aggregate))

    def update(self, aggregate_id: str, decide: Callable[[A], object], *, attempts: int = 3, create: bool = False) -> A:
        """Load an aggregate, let *decide* change it and save it; begin anew when it was changed meanwhile.

        Args:
            aggregate_id: Whose state.
            decide: Given the aggregate; may be called several times.
            attempts: How often to try.
            create: Begin with an empty one when there is none.

        Raises:
            AggregateNotFoundError: It has no events.
            ConcurrencyError: It was changed by others each time.
        """
        return run(self._steps.update(aggregate_id, decide, attempts, create))


class AsyncRepository(Generic[A]):
    """`Repository` for asynchronous stores; snapshots and bus may be of either kind.

    Args:
        store: Where the events are.
        aggregate_type: What they lead to.
        snapshots: Where to look for a snapshot first, and to leave one now and then.
        snapshot_every: After how many events a snapshot is left.
        bus: Where saved events are published.
    """

    def __init__(
        self,
        store: AsyncEventStore | EventStore,
        aggregate_type: type[A],
        *,
        snapshots: AsyncSnapshotStore | SnapshotStore | None = None,
        snapshot_every: int = 1_000,
        bus: MessageBus | None = None,
    ) -> None:
        self._steps = _Loading(store, aggregate_type, snapshots, snapshot_every, bus)

    async def load(self, aggregate_id: str, *, as_of: AsOf | None = None) -> A:
        """Return an aggregate, as it is or as it was.

        Raises:
            AggregateNotFoundError: It has no events.
        """
        return await run_async(self._steps.load(aggregate_id, as_of))

    async def find(self, aggregate_id: str, *, as_of: AsOf | None = None) -> A | None:
        """Return an aggregate, as it is or as it was; ``None`` when it has no events."""
        return await run_async(self._steps.find(aggregate_id, as_of))

    async def save(self, aggregate_id: str, aggregate: A) -> tuple[Event, ...]:
        """Save what *aggregate* has recorded, and return it.

        Raises:
            ConcurrencyError: It was changed since it was loaded; nothing was saved.
        """
        return await run_async(self._steps.save(aggregate_id, aggregate))

    async def update(
        self, aggregate_id: str, decide: Callable[[A], object], *, attempts: int = 3, create: bool = False
    ) -> A:
        """Load an aggregate, let *decide* change it and save it, as `Repository.update`; *decide* may be asynchronous."""
        return await run_async(self._steps.update(aggregate_id, decide, attempts, create))
