"""Forgetting what was accepted before a moment, in the log and in the read model alike.

::

    1  records in the log say what is forgotten, step by step; the projector removes the rows when it comes to them
    2  what the segments that go say of sessions and events that stay is carried over: written to the log again
    3  the segments in which everything is older are unlinked

It may end after any step, a crash included: what is forgotten is forgotten for the read model once the record is in the
log, also for one that is made anew, and the next time goes on with the segments that are still there.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import Final, NamedTuple, Protocol, TypeAlias, TypeVar

from honeyhive.events.log import DatedSegments
from honeyhive.journal import Journal, Position
from honeyhive.server import jsontext
from honeyhive.server.index.removal import Step, forgotten_before, needed, next_step, sayings_in
from honeyhive.server.records.marks import LogKind, Saying, carried, forgotten
from honeyhive.server.stores import Connection, Database, IndexMissingError

__all__ = ["Append", "Forgetter", "JournalForgetter", "LogForgetter", "Settle", "Size", "settled"]

_ROWS: Final = 2_000
"""How many rows go in one transaction, about: readers and what comes in wait no longer for it than for any other."""
_CARRIED_BYTES: Final = 256 * 1024
_READING_S: Final = 60.0
_FEWEST_SEGMENTS: Final = 4
_STEP_S: Final = 0.25
"""How long one step waits: a process that ends waits for the step in hand."""

T = TypeVar("T")

Settle: TypeAlias = Callable[[Position], Iterable[None]]
"""Waits, step by step, until the read model shows everything up to a position, or raises an error."""


def settled(readable: Future[None], longest_s: float) -> Iterator[None]:
    """Wait for *readable*, step by step; it is cancelled when that ends before.

    Raises:
        TimeoutError: It takes longer than *longest_s* seconds.
    """
    try:
        for _ in range(math.ceil(longest_s / _STEP_S)):
            wait([readable], _STEP_S)
            if readable.done():
                return readable.result()
            yield
        raise TimeoutError("the read model is too far behind the log")
    finally:
        readable.cancel()


class Append(Protocol):
    """Appends to the log, durably and dated."""

    def __call__(self, kind: LogKind, payload: bytes, items: int = 1, /) -> Position: ...


class Size(NamedTuple):
    """What is kept, in bytes."""

    log_bytes: int
    index_bytes: int

    @property
    def total_bytes(self) -> int:
        """Both together."""
        return self.log_bytes + self.index_bytes


class Forgetter(ABC):
    """Forgets what a backend keeps, oldest first. For one thread at a time.

    Every method raises `JournalError` when the log, and `StoreUnavailableError` when the read model cannot be read.
    """

    @property
    @abstractmethod
    def least_bytes(self) -> int:
        """The smallest bound on `size` that can be held."""

    @abstractmethod
    def size(self) -> Size:
        """Return what is kept."""

    @abstractmethod
    def moment_for(self, share: float) -> int | None:
        """Return the moment before which at least that *share* of the log was accepted; ``None`` when that is all of it."""

    @abstractmethod
    def seal(self, before_ns: int) -> None:
        """See to it that what was accepted before *before_ns* is not kept for the sake of what comes now."""

    @abstractmethod
    def forget_before(self, before_ns: int) -> Iterator[None]:
        """Forget what was accepted before *before_ns*, step by step; what is left when the iterator is closed stays.

        Args:
            before_ns: A moment that has passed.

        Raises:
            Refusal: The log takes nothing just now.
            TimeoutError: The read model is too far behind the log.
            ProjectionStoppedError: Nobody brings it up to date any more.
        """


class LogForgetter(Forgetter):
    """What is the same for every log: which records say that something is forgotten, and what is carried over.

    Args:
        append: Appends to the log.
        database: Where the read model is.
        settle: Waits until the read model shows what it must.
        rows: How many rows of the read model go in one transaction, about.
    """

    def __init__(self, append: Append, database: Database, *, settle: Settle, rows: int = _ROWS) -> None:
        self._append = append
        self._database = database
        self._settle = settle
        self._rows = rows

    def forget_before(self, before_ns: int) -> Iterator[None]:
        self.seal(before_ns)  # before the records that say so, which would keep the segment
        last = self.newest()
        if last is not None:
            yield from self._settle(last)
        while (step := self._asked(lambda index: next_step(index, before_ns, self._rows), None)) is not None:
            yield from self._mark(step)
            yield
        yield from self.drop(before_ns)

    @abstractmethod
    def newest(self) -> Position | None:
        """Return the position of the newest record in the log."""

    @abstractmethod
    def drop(self, before_ns: int) -> Iterator[None]:
        """Drop records that were accepted before *before_ns* from the log, step by step, after those of `leave`."""

    def leave(self, before_ns: int, sayings: Callable[[Connection], Iterable[Saying]]) -> Iterator[None]:
        """Say in the log that what was accepted before *before_ns* is forgotten, and carry *sayings* over, step by step."""
        if self._asked(forgotten_before, 0) < before_ns:
            yield from self._mark(Step(before_ns))
        last = self._asked(lambda index: self._carry_over(sayings(index)), None)
        if last is not None:
            yield from self._settle(last)

    def _mark(self, step: Step) -> Iterator[None]:
        """Say in the log that *step* is forgotten; what has got something of it meanwhile keeps what was said of it."""
        # As many items as there are rows to remove, so that the projector takes no more together than it can do at once.
        mark = self._append(LogKind.FORGOTTEN, forgotten(step.before_ns, step.sayings), max(1, step.rows))
        yield from self._settle(mark)
        last = self._carry_over(self._asked(lambda index: needed(index, step.sayings), []))
        if last is not None:
            yield from self._settle(last)

    def _carry_over(self, sayings: Iterable[Saying]) -> Position | None:
        last = None
        for part in _parts(sayings):
            last = self._append(LogKind.CARRIED, carried(part), len(part))
        return last

    def _asked(self, question: Callable[[Connection], T], otherwise: T) -> T:
        """Put *question* to the read model; *otherwise* is the answer when there is none yet."""
        try:
            with self._database.reading(longest_s=_READING_S) as connection:
                return question(connection)
        except IndexMissingError:
            return otherwise


class JournalForgetter(LogForgetter):
    """Forgets in a journal, segment by segment, and in the read model made from it.

    Args:
        journal: The log, open for writing.
        append: Appends to it.
        database: Where the read model is.
        settle: Waits until the read model shows what it must.
        rows: How many rows of the read model go in one transaction, about.
    """

    def __init__(
        self,
        journal: Journal,
        append: Append,
        database: Database,
        *,
        settle: Settle,
        rows: int = _ROWS,
    ) -> None:
        super().__init__(append, database, settle=settle, rows=rows)
        self._journal = journal
        self._segments = DatedSegments(journal)

    @property
    def least_bytes(self) -> int:
        return _FEWEST_SEGMENTS * self._journal.segment_bytes + self._database.least_bytes

    def size(self) -> Size:
        return Size(self._journal.size_bytes, self._database.size_bytes())

    def moment_for(self, share: float) -> int | None:
        segments = sorted(self._segments.read(), key=lambda segment: segment.newest_ns)
        wanted = share * sum(segment.bytes for segment in segments)
        for segment in segments[:-1]:
            wanted -= segment.bytes
            if wanted <= 0 and segment.newest_ns:
                return segment.newest_ns + 1
        return None

    def seal(self, before_ns: int) -> None:
        segments = self._segments.read()
        if any(segment.bytes and not segment.sealed and segment.oldest_ns < before_ns for segment in segments):
            self._journal.begin_afresh()

    def newest(self) -> Position | None:
        return self._journal.last

    def drop(self, before_ns: int) -> Iterator[None]:
        doomed = [each.name for each in self._segments.read() if each.sealed and each.newest_ns < before_ns]
        if doomed:
            yield from self.leave(before_ns, lambda index: sayings_in(index, doomed))
            self._journal.forget(doomed)
            yield


def _parts(sayings: Iterable[Saying]) -> Iterator[Sequence[Saying]]:
    """Put *sayings* together into parts that a record can hold."""
    part: list[Saying] = []
    size = 0
    for saying in sayings:
        part.append(saying)
        size += len(jsontext.dumps(saying.body))
        if size >= _CARRIED_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
