"""What waits to be sent for one destination: the journal on disk, one in memory for want of it, and those of the dead.

Records are appended by the spooler thread, synced by the fsync thread, and read and acknowledged by a sender; each of
these three works on a spool alone, all three at the same time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol

from honeyhive.exceptions import JournalError, JournalFullError
from honeyhive.journal import JournalInterface, Position, Record
from honeyhive.models.wire import RecordKind
from honeyhive.tracer.export.reporting import Reporter
from honeyhive.tracer.export.statistics import DropReason, Ledger, Place
from honeyhive.utils.clock import Clock

__all__ = ["Batch", "DeadJournal", "ReadableJournal", "Shelf", "Spool", "Storage"]

_DISK_RETRY_S = 5.0
_AGE_STEP_S = 60.0


class ReadableJournal(Protocol):
    """What a shelf needs to send what a journal holds."""

    @property
    def pending_items(self) -> int: ...
    def read(self, *, max_bytes: int, max_items: int) -> list[Record]: ...
    def acknowledge(self, position: Position, /) -> int: ...
    def close(self) -> None: ...


class DeadJournal(ReadableJournal, Protocol):
    """What a process left that died before it had sent it."""

    @property
    def written_at_s(self) -> float: ...


class NoDiskWantedError(JournalError):
    """The user asked for no spool, and need not be told that there is none."""


class Storage(Protocol):
    """Opens the journals of one destination, and finds those of dead processes."""

    def open_disk(self) -> JournalInterface:
        """Open a journal on disk; raises `JournalError` where there is none to be had."""

    def open_memory(self) -> JournalInterface:
        """Open a journal in memory, without a bound of its own."""

    def left_by_the_dead(self) -> Iterator[DeadJournal]:
        """Yield the journals of dead processes one by one; each is closed when the next is asked for."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Neighbouring records of one kind, to be sent together."""

    kind: RecordKind
    payload: bytes
    spans: int
    records: int
    last: Position
    shelf: Shelf
    age_s: float
    """Seconds since the youngest of them was written, to the minute."""


class Shelf:
    """One journal, and how far its records are on their way. Counts records, not spans.

    Args:
        journal: Closed by whoever opened it.
        place: Where its spans count as being.
        clock: Tells how old records are.
        born: When the records that are already there were written, on the monotonic clock.
    """

    def __init__(self, journal: ReadableJournal, place: Place, clock: Clock, *, born: float | None = None) -> None:
        self.place = place
        self.appended = 0
        self.settled = 0
        self.clock = clock
        self.births: deque[tuple[int, float]] = deque([] if born is None else [(0, born)])
        self._journal = journal

    @property
    def waiting(self) -> int:
        """Records appended and not settled yet."""
        return self.appended - self.settled

    def read(self, max_bytes: int, max_spans: int) -> Batch | None:
        """Return the oldest records that fit one request; the first comes in any case. ``None`` without any."""
        records = self._journal.read(max_bytes=max_bytes, max_items=max_spans)
        if not records:
            return None
        kind = records[0].kind
        alike = records[:1] if kind == RecordKind.REST else list(takewhile(lambda record: record.kind == kind, records))
        return self._batch(RecordKind(kind), alike)

    def settle(self, batch: Batch) -> None:
        """Forget the records of *batch*: they were delivered or dropped; raises as the journal does."""
        try:
            # First: whoever sees a record settled may end the process, and the next one must not send it again.
            self._journal.acknowledge(batch.last)
        finally:
            self.settled += batch.records
            while len(self.births) > 1 and self.births[1][0] <= self.settled:
                self.births.popleft()

    def _batch(self, kind: RecordKind, records: Sequence[Record]) -> Batch:
        now = self.clock.monotonic()
        return Batch(
            kind,
            b"".join([record.payload for record in records]),
            sum(record.items for record in records),
            len(records),
            records[-1].position,
            self,
            now - self._born(self.settled + len(records) - 1, now),
        )

    def _born(self, record: int, default: float) -> float:
        """When the record with this number was written."""
        return next((born for first, born in reversed(self.births) if first <= record), default)


class OwnShelf(Shelf):
    """A shelf that this process fills."""

    def __init__(self, journal: JournalInterface, place: Place, clock: Clock) -> None:
        super().__init__(journal, place, clock)
        self.journal = journal
        self.synced = 0

    def append(self, kind: RecordKind, payload: bytes, spans: int) -> None:
        """Append one record; raises as the journal does."""
        self.journal.append(kind, payload, spans)
        now = self.clock.monotonic()
        if not self.births or now - self.births[-1][1] >= _AGE_STEP_S:
            self.births.append((self.appended, now))
        self.appended += 1

    def sync(self) -> None:
        """Return when all records appended before the call survive a loss of power; raises as the journal does."""
        appended = self.appended
        if self.synced < appended:
            self.journal.sync()
            self.synced = appended


class InheritedShelf(Shelf):
    """A shelf that a dead process left.

    Attributes:
        spans: How many of its spans are not settled yet.
    """

    def __init__(self, journal: DeadJournal, clock: Clock) -> None:
        born = clock.monotonic() - max(0.0, clock.time_ns() / 1e9 - journal.written_at_s)
        super().__init__(journal, Place.SPOOL, clock, born=born)
        self.spans = journal.pending_items

    def settle(self, batch: Batch) -> None:
        """Forget the records of *batch*."""
        self.spans -= batch.spans
        super().settle(batch)


class Spool:
    """Every shelf of one destination, behind one entrance and one exit.

    Args:
        storage: Opens journals and finds those of dead processes.
        ledger: Learns where spans are.
        reporter: Learns when the disk fails and when it is back.
        charge: Told of bytes that the memory journal takes (positive) and gives back (negative).
        clock: Paces attempts to get the disk back.
        always_sync: Make each record safe against loss of power before the next one.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        ledger: Ledger,
        reporter: Reporter,
        charge: Callable[[int], None],
        clock: Clock,
        always_sync: bool = False,
    ) -> None:
        self._storage = storage
        self._ledger = ledger
        self._reporter = reporter
        self._charge = charge
        self._clock = clock
        self._always_sync = always_sync
        self._disk: OwnShelf | None = None
        self._memory: OwnShelf | None = None
        self._inherited: InheritedShelf | None = None
        self._dead: Iterator[DeadJournal] | None = None
        self._disk_again_at = float("-inf")
        self._trouble: DropReason | None = None
        # Keeps "a shelf appears once" between the spooler thread and whoever asks for figures.
        self._lock = threading.RLock()

    @property
    def trouble(self) -> DropReason | None:
        """Why the disk takes nothing now; ``None`` if it does."""
        return self._trouble

    @property
    def own(self) -> tuple[OwnShelf, ...]:
        """The shelves of this process, the durable one first."""
        return tuple(shelf for shelf in (self._disk, self._memory) if shelf is not None)

    @property
    def waiting(self) -> int:
        """Records of this process that are not settled yet."""
        return sum(shelf.waiting for shelf in self.own)

    @property
    def settled(self) -> int:
        """Records of this process that were delivered or dropped."""
        return sum(shelf.settled for shelf in self.own)

    @property
    def memory_bytes(self) -> int:
        """Bytes of records that are in memory only."""
        return 0 if self._memory is None else self._memory.journal.size_bytes

    @property
    def has_inherited(self) -> bool:
        """Whether records of a dead process are at hand."""
        return self._inherited is not None

    # -- the spooler thread -----------------------------------------------------------------

    def append(self, kind: RecordKind, payload: bytes, spans: int) -> None:
        """Keep one record, on disk if it takes it, otherwise in memory."""
        shelf = self._usable_disk()
        if shelf is not None and self._append_to_disk(shelf, kind, payload, spans):
            self._ledger.move(spans, Place.MEMORY, Place.SPOOL)
            return
        memory = self._memory or self._open_memory()
        memory.append(kind, payload, spans)
        self._charge(len(payload))

    def _append_to_disk(self, shelf: OwnShelf, kind: RecordKind, payload: bytes, spans: int) -> bool:
        try:
            shelf.append(kind, payload, spans)
        except JournalError as error:
            self._lose_disk(error)
            return False
        if self._trouble is not None:
            self._trouble = None
            self._reporter.disk_back()
        if self._always_sync:
            self.sync()
        return True

    def _usable_disk(self) -> OwnShelf | None:
        """The disk shelf; ``None`` while it has failed so recently that another try would be in vain."""
        if self._trouble is not None and self._clock.monotonic() < self._disk_again_at:
            return None
        if self._disk is None:
            self._open_disk()
        return self._disk

    def _open_disk(self) -> None:
        try:
            journal = self._storage.open_disk()
        except JournalError as error:
            self._lose_disk(error)
            return
        with self._lock:
            self._disk = OwnShelf(journal, Place.SPOOL, self._clock)

    def _open_memory(self) -> OwnShelf:
        with self._lock:
            self._memory = OwnShelf(self._storage.open_memory(), Place.MEMORY, self._clock)
            return self._memory

    def _lose_disk(self, error: JournalError) -> None:
        full = isinstance(error, JournalFullError)
        self._trouble = DropReason.SPOOL_FULL if full else DropReason.SPOOL_UNAVAILABLE
        self._disk_again_at = self._clock.monotonic() + _DISK_RETRY_S
        if not isinstance(error, NoDiskWantedError):
            self._reporter.diskless(str(error))

    # -- the fsync thread ---------------------------------------------------------------------

    @property
    def unsynced(self) -> bool:
        """Whether records on disk could be lost with the power."""
        return self._disk is not None and self._disk.synced < self._disk.appended

    def sync(self) -> None:
        """Make the records on disk safe against loss of power, as far as the disk obeys."""
        if self._disk is None:
            return
        try:
            self._disk.sync()
        except JournalError as error:
            self._reporter.unsynced(str(error))

    # -- a sender -----------------------------------------------------------------------------

    def next_batch(self, max_bytes: int, max_spans: int) -> Batch | None:
        """Return what is to be sent next: this process's own records, then what it inherited.

        Memory comes before disk: it has more to lose.
        """
        shelves = (self._memory, self._disk, self._inherited)
        batches = (self._read(shelf, max_bytes, max_spans) for shelf in shelves if shelf is not None)
        return next((batch for batch in batches if batch is not None), None)

    def settle(self, batch: Batch) -> None:
        """Forget the records of *batch*: they were delivered or dropped."""
        if batch.shelf.place is Place.MEMORY:
            self._charge(-len(batch.payload))
        try:
            batch.shelf.settle(batch)
        except JournalError as error:
            # They will be read again at worst, and delivered twice.
            self._reporter.diskless(str(error))

    def adopt(self) -> bool:
        """Take over the next journal that a dead process left, once the last one is dealt with; false without any."""
        self._bury()
        try:
            self._dead = self._dead or self._storage.left_by_the_dead()
            journal = next(self._dead, None)
        except JournalError:
            # Nothing of ours is lost: what cannot be looked at now stays where it is.
            journal = None
        if journal is None:
            self._dead = None
            return False
        self._inherited = InheritedShelf(journal, self._clock)
        self._ledger.adopt(self._inherited.spans)
        return True

    def _bury(self) -> None:
        """Close the account of the inherited journal: spans that never came out of it were damaged."""
        shelf, self._inherited = self._inherited, None
        if shelf is not None and shelf.spans > 0:
            self._ledger.drop(shelf.spans, Place.SPOOL, DropReason.CORRUPT)

    def _read(self, shelf: Shelf, max_bytes: int, max_spans: int) -> Batch | None:
        try:
            return shelf.read(max_bytes, max_spans)
        except JournalError as error:
            self._reporter.diskless(str(error))
            if isinstance(shelf, InheritedShelf):
                # They stay where they are, for whoever can read them.
                self._ledger.forsake(shelf.spans)
                shelf.spans = 0
            return None

    # -- the end --------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Leave no file behind in which everything is settled; records that come later are kept as before."""
        for shelf in self.own:
            if not shelf.waiting:
                with suppress(JournalError):  # what is settled in it is found so by the next process
                    shelf.journal.begin_afresh()

    def close(self) -> None:
        """Give up every journal; what is not settled stays on disk for the next process."""
        for shelf in self.own:
            shelf.journal.close()

    def abandon_after_fork(self) -> None:
        """In a forked child: forget everything, and leave the parent's files as they are."""
        for shelf in self.own:
            shelf.journal.abandon_after_fork()
