"""Where finished spans come in: the only part of the export that runs on the threads of the host program.

An intake is a queue bounded in bytes. `Intake.finished` appends to a deque and is done; everything else happens on
the threads of the process's one worker, to which every intake is an `Outlet`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol

from opentelemetry.sdk.trace import ReadableSpan

from honeyhive.tracer.export.statistics import DropReason, FlushResult, Ledger, Statistics
from honeyhive.utils.capture import capture
from honeyhive.utils.clock import Clock
from honeyhive.utils.render import render

if TYPE_CHECKING:
    from honeyhive.tracer.processing.tail import TailSampler, TailSampling

__all__ = ["Antechamber", "Bell", "Goal", "Intake", "Outlet", "Parcel", "Staff", "is_export_thread", "weigh"]

THREAD_PREFIX = "honeyhive-"

_BARE_SPAN_BYTES = 600
_BLOCKED_LOOK_S = 0.05
_PATIENCE_S = 0.1
_PATIENCE_S_PER_BYTE = 0.1 / (1024 * 1024)
"""How long the end of a span may wait for room in a full queue, where the span is dropped otherwise."""
_PATIENCE_WITHOUT_PROGRESS_S = 1.0
"""How long all spans together wait for a spooler that gets nothing done."""
_EASY = 0.25
"""The part of a queue that may be filled before the spooler is told not to gather any longer."""


class Goal(ABC):
    """What one outlet has to reach before a flush is done."""

    @abstractmethod
    def is_drained(self) -> bool:
        """Whether every span finished before the flush has left its queue."""

    @abstractmethod
    def set(self) -> None:
        """Note, once drained, what has to get where, and have it sent at once and with short pauses."""

    @abstractmethod
    def is_settled(self) -> bool:
        """Whether there is nothing left to wait for."""

    @abstractmethod
    def relax(self) -> None:
        """End the haste that `set` began; runs in any case."""

    @abstractmethod
    def result(self, elapsed: float) -> FlushResult:
        """Say what was achieved by now; *elapsed* is in seconds."""


class Antechamber(Protocol):
    """A stage before the queue that holds finished spans back for a while."""

    @property
    def waiting(self) -> int:
        """How many spans it holds."""

    @property
    def due(self) -> float | None:
        """When it should be asked to let go of what has waited too long, on the monotonic clock."""

    def release(self, *, everything: bool) -> None:
        """Let go of what has waited too long, or of everything."""

    def renew(self) -> None:
        """In a forked child: begin anew, empty."""


class Outlet(ABC):
    """What the worker serves: a queue to drain, perhaps something to sync, something to send."""

    @property
    @abstractmethod
    def has_queued(self) -> bool:
        """Whether something waits for `drain`."""

    @property
    @abstractmethod
    def has_spans_queued(self) -> bool:
        """Whether spans are among it."""

    @property
    @abstractmethod
    def release_due(self) -> float | None:
        """When `drain` should come for spans that are held back before the queue; ``None`` if there are none."""

    @abstractmethod
    def release(self) -> None:
        """Let go of every span that is held back before the queue."""

    @abstractmethod
    def drain(self, wait_s: float = -1) -> None:
        """Bring what is queued now a step further; on the spooler thread.

        Args:
            wait_s: Seconds to wait for another drain to end; for ever if negative.
        """

    def cut_short(self) -> None:  # noqa: B027 -- most outlets drain in one step
        """Let a drain that a thread of the export is at end with its next slice: the process ends."""

    def tidy(self) -> None:  # noqa: B027 -- only those on disk have something to clear away
        """Leave no file behind whose content is settled: the process ends."""

    @property
    @abstractmethod
    def unsynced(self) -> bool:
        """Whether records on disk could be lost with the power."""

    @abstractmethod
    def sync(self) -> None:
        """Make them safe; on the fsync thread."""

    @abstractmethod
    def due(self) -> float | None:
        """When a sender should come, on the monotonic clock; ``None`` if there is no need of one."""

    @abstractmethod
    def send(self) -> None:
        """Make one request; on a sender's thread, one at a time."""

    @property
    @abstractmethod
    def is_proven(self) -> bool:
        """Whether the last request was answered well."""

    @property
    @abstractmethod
    def keeps_in(self) -> str:
        """Where spans wait, for people."""

    @property
    @abstractmethod
    def leaves_by(self) -> str:
        """What has to happen for the spans that wait there to get on, for people."""

    @abstractmethod
    def goal(self, *, give_up: bool) -> Goal:
        """Begin a flush; with *give_up*, spans on disk are enough once a fresh attempt to send them has failed."""

    @abstractmethod
    def statistics(self) -> Statistics:
        """Return the counters of all spans finished here."""

    @abstractmethod
    def renew(self) -> None:
        """In a forked child: begin anew, empty."""


class Staff(Protocol):
    """What an outlet needs of the worker."""

    @property
    def asleep(self) -> bool:
        """Whether the spooler thread must be woken to look at its queues."""

    @property
    def progress(self) -> Bell:
        """Rung whenever spans have got further."""

    def wake(self) -> bool:
        """Have the queues drained, within 20 ms; tell whether there is a spooler to do it."""

    def hasten(self) -> None:
        """Have the queues drained without waiting for more to come."""

    def call_sender(self) -> None:
        """Have the senders look at what is due."""

    def flush(self, outlets: Sequence[Outlet], timeout_millis: float) -> FlushResult:
        """Drain, sync and send what *outlets* hold now."""


class Bell:
    """Wakes everybody who waits for something to have changed."""

    def __init__(self) -> None:
        self._events: list[threading.Event] = []

    def ring(self) -> None:
        """Wake them."""
        for event in tuple(self._events):
            event.set()

    @contextmanager
    def listening(self) -> Iterator[threading.Event]:
        """Lend an event that is set at each ring; clear it before looking at what may have changed."""
        event = threading.Event()
        self._events.append(event)
        try:
            yield event
        finally:
            self._events.remove(event)


class Parcel:
    """Something other than a span that takes the same way; made by ``make()`` when its turn comes."""

    __slots__ = ("kind", "make", "weight")

    def __init__(self, kind: int, make: Callable[[], bytes], weight: int) -> None:
        self.kind = kind
        self.make = make
        self.weight = weight


class Intake(Outlet):
    """A queue of finished spans, bounded in estimated bytes.

    Args:
        staff: The worker that serves it.
        capacity: Bytes that may be held.
        pressure: With a full queue: drop the newest span and count it, or make the caller wait.
        clock: Paces the waiting.
    """

    def __init__(self, staff: Staff, *, capacity: int, pressure: Literal["drop", "block"], clock: Clock) -> None:
        self.ledger = Ledger()
        self._staff = staff
        self._capacity = capacity
        self._easy = int(capacity * _EASY)
        self._blocks = pressure == "block"
        self._clock = clock
        self._queue: deque[ReadableSpan | Parcel] = deque()
        # The weight of each item, for weighing is dear. Appended first, so that whoever takes an item finds a weight;
        # threads that come between may change places, and the sum is the same.
        self._weights: deque[int] = deque()
        self._enqueue = self._queue.append
        self._note_weight = self._weights.append
        self._held = 0
        self._room_made = Bell()
        self._parcels = 0
        self._patience_s = _PATIENCE_WITHOUT_PROGRESS_S
        self._accounted = Statistics()
        self._antechambers: list[Antechamber] = []

    def renew(self) -> None:
        """Begin anew, empty, with fresh locks."""
        self._queue.clear()
        self._weights.clear()
        self._held = 0
        self._room_made = Bell()
        self._parcels = 0
        self._patience_s = _PATIENCE_WITHOUT_PROGRESS_S
        self._accounted = Statistics()
        self.ledger.renew()
        for antechamber in self._antechambers:
            antechamber.renew()

    # -- on the host's threads ----------------------------------------------------------------

    def finished(self, span: ReadableSpan) -> None:
        """Take a span that has ended. Never raises, and never blocks unless ``pressure`` says so."""
        try:
            weight: int = span.weight  # type: ignore[attr-defined]  # our own spans know theirs
        except AttributeError:
            weight = weigh(span)
        # No call comes between reading and writing the sum, so no thread can come between either.
        held = self._held + weight
        if held > self._easy:
            self._take_under_pressure(span, weight)
            return
        self._held = held
        # Both are looked up before they are called, which is quicker in 3.11.
        note_weight, enqueue = self._note_weight, self._enqueue
        note_weight(weight)
        enqueue(span)
        if self._staff.asleep:
            self._staff.wake()

    def refuse(self, count: int, reason: DropReason) -> None:
        """Count *count* finished spans that are not to be sent."""
        self.ledger.refuse(count, reason)

    def statistics(self) -> Statistics:
        """Return the counters of all spans finished here."""
        return self.ledger.snapshot(len(self._queue) - self._parcels + self._held_back)

    def tail_sampler(self, sampling: TailSampling) -> TailSampler:
        """Make a stage before this queue that lets through the traces that are to be kept; it is served as the queue is."""
        from honeyhive.tracer.processing.tail import TailSampler

        sampler = TailSampler(
            sampling,
            keep=self.finished,
            leave_out=lambda count: self.refuse(count, DropReason.SAMPLED),
            on_hold=self._expect,
            weigh=weigh,
            clock=self._clock,
        )
        self._antechambers.append(sampler)
        return sampler

    def dismiss(self, sampler: TailSampler) -> None:
        """Serve *sampler* no longer; it has let go of everything."""
        self._antechambers.remove(sampler)

    def _expect(self) -> None:
        """Have the spooler look when it should come."""
        if self._staff.asleep:
            self._staff.wake()

    @property
    def _held_back(self) -> int:
        return sum([antechamber.waiting for antechamber in tuple(self._antechambers)])

    @property
    def release_due(self) -> float | None:
        """When spans that are held back have waited too long."""
        dues = (antechamber.due for antechamber in tuple(self._antechambers))
        return min((due for due in dues if due is not None), default=None)

    def release(self) -> None:
        """Let go of every span that is held back."""
        for antechamber in tuple(self._antechambers):
            antechamber.release(everything=True)

    def _release_ripe(self) -> None:
        for antechamber in tuple(self._antechambers):
            antechamber.release(everything=False)

    def account(self) -> tuple[int, int]:
        """Return how many spans were delivered and lost since the last call."""
        now = self.ledger.snapshot()
        before, self._accounted = self._accounted, now
        return now.delivered - before.delivered, now.lost - before.lost

    @property
    def has_queued(self) -> bool:
        """Whether something waits to be drained."""
        return bool(self._queue)

    @property
    def has_spans_queued(self) -> bool:
        """Whether spans wait to be drained."""
        return len(self._queue) > self._parcels or self._held_back > 0

    @property
    def _full_for(self) -> DropReason:
        """What to count a span as that finds no room."""
        return DropReason.QUEUE_FULL

    def _post(self, parcel: Parcel) -> bool:
        """Queue *parcel*, if there is room."""
        if self._held + parcel.weight > self._capacity:
            return False
        self._held += parcel.weight
        self._parcels += 1
        self._note_weight(parcel.weight)
        self._enqueue(parcel)
        return True

    def _charge(self, size: int) -> None:
        """Count *size* bytes more as held, or fewer if it is negative."""
        held = self._held + size
        # No call comes between reading and writing, as in `finished`.
        self._held = held * (held > 0)
        if size < 0:
            self._room_made.ring()

    @property
    def _makes_room(self) -> bool:
        """Whether what is drained leaves memory, so that waiting for it is of use."""
        return False

    def _take_under_pressure(self, span: ReadableSpan, weight: int) -> None:
        """Take a span although the queue fills up; drop it if it is full and stays so."""
        self._staff.hasten()
        if weight > self._capacity:
            span = _shortened(span)
            weight = weigh(span)
        if self._fits(weight) or self._finds_room(weight):
            self._held += weight
            self._note_weight(weight)
            self._enqueue(span)
        else:
            self.ledger.refuse(1, self._full_for)
        if self._staff.asleep:
            self._staff.wake()

    def _fits(self, weight: int) -> bool:
        """Whether there is room for so many bytes; an empty queue takes anything."""
        return not self._held or self._held + weight <= self._capacity

    def _finds_room(self, weight: int) -> bool:
        """Wait for room as long as ``pressure`` allows it; tell whether there is any."""
        if is_export_thread():
            return False
        if self._blocks:
            self._wait_for_room(weight)
            return True
        return self._is_given_room(weight)

    def _is_given_room(self, weight: int) -> bool:
        """Give the spooler, which a burst keeps from running, a moment; but only while it does make room.

        A larger span may wait longer: more has to be written before it fits. What is waited in vain is taken from a sum
        that the next slice to leave the queue renews, so that a disk that hangs costs a few calls a moment, and not each.
        """
        started = self._clock.monotonic()
        patience_s = min(_PATIENCE_S + weight * _PATIENCE_S_PER_BYTE, self._patience_s)
        with self._room_made.listening() as event:
            while self._makes_room:
                is_served = self._is_served()
                event.clear()
                if self._fits(weight):
                    return True
                if not is_served:
                    return False
                waited_s = self._clock.monotonic() - started
                if waited_s >= patience_s:
                    self._patience_s = max(0.0, self._patience_s - waited_s)
                    return False
                self._clock.wait(event, patience_s - waited_s)
        return False

    def _is_served(self) -> bool:
        """Whether a spooler is at work, woken if need be: it lies down for a moment between any two drains."""
        return not self._staff.asleep or self._staff.wake()

    def _made_room(self, size: int) -> None:
        """Note that a slice of *size* bytes has left the queue."""
        self._patience_s = _PATIENCE_WITHOUT_PROGRESS_S
        self._charge(-size)

    def _wait_for_room(self, weight: int) -> None:
        """Return when there is room, or nothing left whose going could make any."""
        with self._room_made.listening() as event:
            while not self._fits(weight):
                if self._staff.asleep:
                    self._staff.wake()
                event.clear()
                self._clock.wait(event, _BLOCKED_LOOK_S)


def weigh(span: ReadableSpan) -> int:
    """Estimate the bytes that *span* keeps in memory: its own word for it, or the length of its texts."""
    weight = getattr(span, "weight", None)
    if isinstance(weight, int):
        return weight
    attributes = span.attributes
    if not attributes:
        return _BARE_SPAN_BYTES
    return _BARE_SPAN_BYTES + sum([len(value) if isinstance(value, str) else 32 for value in attributes.values()])


def _shortened(span: ReadableSpan) -> ReadableSpan:
    """Return a copy of *span* with its texts cut, as they would be before they are sent: whole it fits into no queue."""
    given = span.attributes or {}
    attributes = {key: render(capture(value)) if type(value) is str else value for key, value in given.items()}
    return ReadableSpan(
        span.name,
        span.context,
        span.parent,
        span.resource,
        attributes,
        span.events,
        span.links,
        span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def is_export_thread() -> bool:
    """Whether this is a thread of the export, which must never wait for itself."""
    return threading.current_thread().name.startswith(THREAD_PREFIX)
