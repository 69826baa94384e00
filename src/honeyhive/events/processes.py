"""Process managers: what is to happen after an event, across aggregates, and what if nothing happens for too long.

::

    @dataclass
    class Dispatching(ProcessManager):
        @classmethod
        def key(cls, event: Event) -> str | None:
            return getattr(event, "order_id", None)

        @on(OrderPlaced)
        def _placed(self, event: OrderPlaced) -> None:
            self.send(RequestPayment(order_id=event.order_id))
            self.wake("payment", after_s=3_600)

        @on(PaymentReceived)
        def _paid(self, event: PaymentReceived) -> None:
            self.send(ShipOrder(order_id=event.order_id))
            self.finish()

        @on_wake("payment")
        def _unpaid(self) -> None:
            self.send(CancelOrder(order_id=self.process_id))
            self.finish()

Each reaction loads the history of its process, which is meant for some dozens of steps and not for thousands.
A process is state that is saved after each event it reacts to, together with the commands that follow from it; they are
published after that. An event that comes again changes nothing, and commands that a crash has kept from being published
are published by the next runner: each at least once, always with the same id.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, Self, TypeVar

from honeyhive.events.bus import MessageBus
from honeyhive.events.checkpoints import AsyncCheckpoints, Checkpoints
from honeyhive.events.codec import decode, encode
from honeyhive.events.following import Sink
from honeyhive.events.lineage import handling
from honeyhive.events.messages import Event, Message
from honeyhive.events.reactions import reactions
from honeyhive.events.snapshots import SnapshotCodec, WrittenSnapshot
from honeyhive.events.steps import Steps, run, run_async
from honeyhive.events.store import AsyncEventLog, EventLog, RecordedEvent
from honeyhive.exceptions import ConcurrencyError, EventStoreError, PublishError, StoreUnavailableError
from honeyhive.utils.clock import Clock, SystemClock
from honeyhive.utils.frozen import FrozenDict

__all__ = ["AsyncProcessRunner", "ProcessAdvanced", "ProcessManager", "ProcessRunner", "on_wake"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK: Final = "__honeyhive_wakes_for__"
_OUTAGES: Final = (PublishError, StoreUnavailableError, OSError)
_logger = logging.getLogger("honeyhive.events")
_IDS: Final = uuid.UUID("5f3c1d0a-6f0e-4a55-9c43-8d1f2b6a7e10")


class ProcessAdvanced(Event, type="honeyhive.process.advanced"):
    """A process has reacted: its new state, when it wants to be woken, and the commands that follow."""

    state: str
    wakes: Mapping[str, int]
    commands: tuple[str, ...]
    is_finished: bool


class ProcessTold(Event, type="honeyhive.process.told"):
    """The commands of the event before are published."""


def on_wake(name: str) -> Callable[[F], F]:
    """Let a method be called when the time that was set with ``wake(name, ...)`` has come."""

    def mark(method: F) -> F:
        setattr(method, _MARK, name)
        return method

    return mark


class Plan:
    """What a process wants next; kept beside its state, which is its user's.

    Attributes:
        wakes: When to wake it, in nanoseconds since 1970, by the names it has given.
        commands: What it sends.
        is_finished: Whether nothing more reaches it.
        now_ns: What time it is in the reaction at hand.
    """

    __slots__ = ("commands", "is_finished", "now_ns", "wakes")

    def __init__(self) -> None:
        self.wakes: dict[str, int] = {}
        self.commands: list[Message] = []
        self.is_finished = False
        self.now_ns = 0


class ProcessManager:
    """The state of one process and what it does next. Derive data classes from it; every field has a default.

    Attributes:
        process_id: Which process this is: what `key` has returned.
    """

    name: ClassVar[str]
    process_id: str
    _plan: Plan

    def __init_subclass__(cls, **others: Any) -> None:
        super().__init_subclass__(**others)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__

    def __new__(cls, *_: object, **__: object) -> Self:
        process = super().__new__(cls)
        # Not fields: a data class neither compares them nor asks for them.
        object.__setattr__(process, "process_id", "")
        object.__setattr__(process, "_plan", Plan())
        return process

    @classmethod
    def key(cls, event: Event) -> str | None:
        """Return which process *event* belongs to, or ``None`` when to none; the subject unless overridden."""
        return event.subject

    def send(self, command: Message) -> None:
        """Have *command* published once the reaction is saved."""
        self._plan.commands.append(command)

    def wake(self, name: str, *, after_s: float) -> None:
        """Have the methods marked ``on_wake(name)`` called in *after_s* seconds, unless it is set anew or cancelled."""
        self._plan.wakes[name] = self._plan.now_ns + round(after_s * 1e9)

    def cancel(self, name: str) -> None:
        """Do not wake for *name* any more."""
        self._plan.wakes.pop(name, None)

    def finish(self) -> None:
        """End the process: nothing more reaches it, and it is not woken."""
        self._plan.is_finished = True
        self._plan.wakes.clear()


def plan_of(process: ProcessManager) -> Plan:
    """Return what *process* wants next."""
    return process._plan  # noqa: SLF001 -- hidden from users' classes, not from what runs them


class _Stored:
    """One process as it is in the store."""

    def __init__(self, process: ProcessManager, stream: str) -> None:
        self.process = process
        self.stream = stream
        self.version = 0
        self.seen: set[str] = set()
        self.untold: tuple[Message, ...] = ()


class _Running:
    """What blocking and asynchronous runners have in common: all but the waiting."""

    def __init__(
        self,
        kind: type[ProcessManager],
        store: EventLog | AsyncEventLog,
        bus: MessageBus,
        checkpoints: Checkpoints | AsyncCheckpoints,
        clock: Clock,
    ) -> None:
        self.name = f"process {kind.name}"
        self._kind = kind
        self._store = store
        self._bus = bus
        self._checkpoints = checkpoints
        self._clock = clock
        self._codec = SnapshotCodec([kind])
        self._lock = threading.Lock()  # who wants to be woken: noted by the projector, asked for by the schedule
        self._due: dict[str, Mapping[str, int]] = {}
        self._handled: int | None = None

    def open(self) -> Steps[None]:
        """Find out who wants to be woken, and publish what a crash has left unpublished."""
        for facts in (yield self._store.streams(f"process:{self._kind.name}:")):
            stored = yield from self._load(facts.aggregate_id)
            self._note_due(stored)
            with suppress(ConcurrencyError):  # another runner tells it
                yield from self._tell(stored)

    def position(self) -> Steps[int | None]:
        self._handled = yield self._checkpoints.load(self.name)
        return self._handled

    def apply(self, records: Sequence[RecordedEvent]) -> Steps[None]:
        try:
            for record in records:
                if self._handled is None or record.position > self._handled:
                    for event in record.events:
                        yield from self._react(event)
                    self._handled = record.position
        except Exception:
            # What was handled before the failure is not handled again for that; the failure is for whoever drives us.
            yield self._checkpoints.save(self.name, self._handled)
            raise
        yield self._checkpoints.save(self.name, self._handled)

    def move(self, position: int | None) -> Steps[None]:
        self._handled = position
        yield self._checkpoints.save(self.name, position)

    def tick(self) -> Steps[int]:
        """Wake those whose time has come; return how many."""
        now_ns = self._clock.time_ns()
        with self._lock:
            wakes = [(at, stream, name) for stream, wakes in self._due.items() for name, at in wakes.items()]
        due = sorted(each for each in wakes if each[0] <= now_ns)
        for at, stream, name in due:
            yield from self._wake(stream, name, at)
        return len(due)

    def next_wake_ns(self) -> int | None:
        with self._lock:
            return min((at for wakes in self._due.values() for at in wakes.values()), default=None)

    def _react(self, event: Event) -> Steps[None]:
        methods = reactions(self._kind, type(event))
        key = self._kind.key(event) if methods else None
        if key is None:
            return
        stream = f"process:{self._kind.name}:{key}"
        calls = [(name, (event,)) for name in methods]
        yield from self._advance(stream, f"{stream}/{event.id}", event, calls)

    def _wake(self, stream: str, name: str, at: int) -> Steps[None]:
        calls = [(each, ()) for each in _wakers(self._kind, name)]
        yield from self._advance(stream, f"{stream}/wake/{name}/{at}", None, calls, woken=(name, at))

    def _advance(
        self,
        stream: str,
        cause: str,
        event: Event | None,
        calls: Sequence[tuple[str, tuple[Event, ...]]],
        *,
        woken: tuple[str, int] | None = None,
    ) -> Steps[None]:
        """Let a process react to *cause*, once; anew from what it is then, when somebody else has changed it meanwhile."""
        while True:
            try:
                return (yield from self._advance_once(stream, cause, event, calls, woken))
            except ConcurrencyError:
                continue

    def _advance_once(
        self,
        stream: str,
        cause: str,
        event: Event | None,
        calls: Sequence[tuple[str, tuple[Event, ...]]],
        woken: tuple[str, int] | None,
    ) -> Steps[None]:
        stored = yield from self._load(stream)
        yield from self._tell(stored)
        self._note_due(stored)
        process, own_id = stored.process, str(uuid.uuid5(_IDS, cause))
        plan = plan_of(process)
        is_stale = woken is not None and plan.wakes.get(woken[0]) != woken[1]
        if own_id in stored.seen or plan.is_finished or is_stale:
            return
        if woken is not None:
            process.cancel(woken[0])
        plan.now_ns = self._clock.time_ns()
        with handling(event):
            for name, arguments in calls:
                getattr(process, name)(*arguments)
            advanced = self._advanced(process, own_id)
        yield self._store.save(stream, [advanced], stored.version)
        stored.version += 1
        stored.untold = tuple(decode(each) for each in advanced.commands)
        self._note_due(stored)
        yield from self._tell(stored)

    def _advanced(self, process: ProcessManager, own_id: str) -> ProcessAdvanced:
        plan = plan_of(process)
        commands = tuple(
            _with_id(command, str(uuid.uuid5(_IDS, f"{own_id}/{number}")))
            for number, command in enumerate(plan.commands)
        )
        return ProcessAdvanced(
            id=own_id,
            state=self._codec.write(process).state,
            wakes=FrozenDict(plan.wakes),
            commands=commands,
            is_finished=plan.is_finished,
        )

    def _tell(self, stored: _Stored) -> Steps[None]:
        if not stored.untold:
            return
        for command in stored.untold:
            try:
                yield self._bus.publish(command)
            except _OUTAGES:
                raise
            except Exception:
                # The bus has taken it; what a handler makes of it is the bus's affair and no fault of the event.
                _logger.exception("%s has sent %s, and its handler failed.", stored.stream, command.type)
        yield self._store.save(stored.stream, [ProcessTold()], stored.version)
        stored.version += 1
        stored.untold = ()

    def _load(self, stream: str) -> Steps[_Stored]:
        events: Sequence[Event] = yield self._store.load(stream)
        stored = _Stored(self._kind(), stream)
        for event in events:
            stored.version += 1
            if isinstance(event, ProcessAdvanced):
                stored.seen.add(event.id)
                stored.process = self._restored(event)
                stored.untold += tuple(decode(each) for each in event.commands)
            elif isinstance(event, ProcessTold):
                stored.untold = ()
        object.__setattr__(stored.process, "process_id", stream.split(":", 2)[2])
        return stored

    def _restored(self, event: ProcessAdvanced) -> ProcessManager:
        blank = self._codec.write(self._kind())
        process = self._codec.read(WrittenSnapshot(blank.type, blank.schema_version, event.state))
        if not isinstance(process, self._kind):
            raise EventStoreError(
                f"the state of a {self._kind.name} as saved does not fit the class any more: {event.state:.200}"
            )
        plan_of(process).wakes.update(event.wakes)
        plan_of(process).is_finished = event.is_finished
        return process

    def _note_due(self, stored: _Stored) -> None:
        wakes = dict(plan_of(stored.process).wakes)
        with self._lock:
            if wakes:
                self._due[stored.stream] = wakes
            else:
                self._due.pop(stored.stream, None)


class ProcessRunner(Sink[RecordedEvent, int]):
    """Runs the processes of one kind, as a sink of the projection engine. `tick` may be called from another thread.

    ::

        projector = Projector(StoreSource(store), ProcessRunner(Dispatching, store, bus, checkpoints))

    Args:
        kind: The process manager.
        store: Where the events come from, and where the processes are kept.
        bus: Where commands are published.
        checkpoints: Where to keep how far it is.
        clock: Tells when to wake a process.
    """

    outages: tuple[type[Exception], ...] = _OUTAGES

    def __init__(
        self,
        kind: type[ProcessManager],
        store: EventLog,
        bus: MessageBus,
        checkpoints: Checkpoints,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._running = _Running(kind, store, bus, checkpoints, clock or SystemClock())

    @property
    def name(self) -> str:
        """What it is called in reports, and under which its position is kept."""
        return self._running.name

    def open(self) -> object:
        return run(self._running.open())

    def position(self) -> int | None:
        return run(self._running.position())

    def apply(self, records: Sequence[RecordedEvent]) -> object:
        return run(self._running.apply(records))

    def bury(self, record: RecordedEvent, error: Exception) -> object:  # noqa: ARG002 -- the engine has told it
        return run(self._running.move(record.position))

    def reset(self) -> object:
        return run(self._running.move(None))

    def close(self) -> object:
        return None

    def tick(self) -> int:
        """Wake the processes whose time has come and return how many; to be called from time to time, by a schedule."""
        return run(self._running.tick())

    @property
    def next_wake_ns(self) -> int | None:
        """When `tick` has something to do next, in nanoseconds since 1970; ``None`` when never, as things are."""
        return self._running.next_wake_ns()


class AsyncProcessRunner(Sink[RecordedEvent, int]):
    """`ProcessRunner` for an asynchronous store and bus, a sink of `honeyhive.events.AsyncProjector`.

    Args:
        kind: The process manager.
        store: Where the events come from, and where the processes are kept.
        bus: Where commands are published.
        checkpoints: Where to keep how far it is.
        clock: Tells when to wake a process.
    """

    outages: tuple[type[Exception], ...] = _OUTAGES

    def __init__(
        self,
        kind: type[ProcessManager],
        store: AsyncEventLog,
        bus: MessageBus,
        checkpoints: AsyncCheckpoints | Checkpoints,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._running = _Running(kind, store, bus, checkpoints, clock or SystemClock())

    @property
    def name(self) -> str:
        """What it is called in reports, and under which its position is kept."""
        return self._running.name

    async def open(self) -> Any:
        await run_async(self._running.open())

    async def position(self) -> int | None:
        return await run_async(self._running.position())

    async def apply(self, records: Sequence[RecordedEvent]) -> Any:
        await run_async(self._running.apply(records))

    async def bury(self, record: RecordedEvent, error: Exception) -> Any:  # noqa: ARG002 -- the engine has told it
        await run_async(self._running.move(record.position))

    async def reset(self) -> Any:
        await run_async(self._running.move(None))

    def close(self) -> object:
        return None

    async def tick(self) -> int:
        """Wake the processes whose time has come and return how many; to be called from time to time, by a schedule."""
        return await run_async(self._running.tick())

    @property
    def next_wake_ns(self) -> int | None:
        """When `tick` has something to do next, in nanoseconds since 1970; ``None`` when never, as things are."""
        return self._running.next_wake_ns()


def _wakers(kind: type, name: str) -> list[str]:
    return [each for each in dir(kind) if getattr(getattr(kind, each, None), _MARK, None) == name]


def _with_id(command: Message, command_id: str) -> str:
    """Return *command* as text, under an id that is the same whenever the same event is reacted to."""
    import dataclasses

    return encode(dataclasses.replace(command, id=command_id)).decode()
