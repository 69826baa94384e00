"""Bringing what a source records into a read model, batch by batch: what the projection engine does, without a driver.

::

    Source      read(after)        records with positions, oldest first
    Following   advance()          reads a batch, applies it, isolates a record that cannot be applied
    Sink        apply(records)     rows and position in one transaction

`Following` is steps (see `honeyhive.events.steps`): `honeyhive.events.projector` takes them in a thread,
`honeyhive.events.async_projector` in a task. `Tally` is what both know about how far they are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from honeyhive.events.steps import Steps
from honeyhive.utils.clock import Clock

__all__ = ["BuriedRecord", "Following", "Overtaken", "Positioned", "Progress", "Sink", "Source", "Tally"]

_logger = logging.getLogger("honeyhive.events")


class Positioned(Protocol):
    """A record that says where it is; positions of one source order as its records do."""

    @property
    def position(self) -> Any:
        """Where it is."""


R = TypeVar("R", bound=Positioned)
R_co = TypeVar("R_co", bound=Positioned, covariant=True)
R_contra = TypeVar("R_contra", bound=Positioned, contravariant=True)
P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)
P_contra = TypeVar("P_contra", contravariant=True)


class Source(Protocol[R_co, P_contra]):
    """Where records come from; the answer may be an awaitable where the driver is a task."""

    def read(self, after: P_contra | None) -> Sequence[R_co] | Awaitable[Sequence[R_co]]:
        """Return the oldest records behind *after*, or from the very first: a batch, empty at the end.

        A record must not turn up later at a position that was passed.
        """


class Sink(Protocol[R_contra, P_co]):
    """A read model and its position. All calls come from one thread or task; answers may be awaitables in a task.

    Attributes:
        name: What it is called in reports.
        outages: Errors that say nothing about the records: the database is away. The batch is tried again as it is.
    """

    @property
    def name(self) -> str: ...

    @property
    def outages(self) -> tuple[type[Exception], ...]: ...

    def open(self) -> object:
        """Get ready; called in the thread or task of the driver, and again if it has failed."""

    def position(self) -> P_co | Awaitable[P_co | None] | None:
        """Return the position of the last record that has been applied or buried, ``None`` before the first."""

    def apply(self, records: Sequence[R_contra]) -> object:
        """Apply *records* in order and move the position to the last one: all of it, or nothing.

        A sink that cannot undo part of a batch may keep it, if it passes over what it has applied when that comes again.

        Raises:
            Overtaken: Another process has moved the position meanwhile; nothing was applied.
            Exception: One of *outages*; anything else is taken to be the fault of a record.
        """

    def bury(self, record: R_contra, error: Exception) -> object:
        """Keep *record* aside and move the position past it, in one transaction."""

    def reset(self) -> object:
        """Forget everything, the position too."""

    def close(self) -> object:
        """Give up what `open` has taken; twice is once."""


class Overtaken(Exception):  # noqa: N818 -- no fault: somebody else has done the work
    """The position of a sink was moved by another process."""


@dataclass(frozen=True, slots=True)
class BuriedRecord:
    """A record that could not be applied."""

    projection: str
    """The name of the sink."""
    position: object
    """Where the record is in its source, which still has it."""
    reason: str


class Following(Generic[R, P]):
    """The way of one sink through a source.

    A batch that fails is halved until the record at fault is alone; that one is buried, all others are applied. So a
    poisoned record costs some transactions more, and nobody else anything.

    Args:
        source: Where records come from.
        sink: Where they go.
        on_buried: Told of each record that was buried, after it is.
    """

    def __init__(
        self, source: Source[R, P], sink: Sink[R, P], *, on_buried: Callable[[BuriedRecord], None] | None = None
    ) -> None:
        self.position: P | None = None
        self.sink = sink
        self._source = source
        self._on_buried = on_buried

    def begin(self, *, rebuild: bool = False) -> Steps[None]:
        """Open the sink and resume where it stands; with *rebuild*, from the beginning."""
        yield self.sink.open()
        if rebuild:
            yield self.sink.reset()
        self.position = yield self.sink.position()

    def advance(self) -> Steps[int]:
        """Read one batch and apply it; return how many records it had."""
        records: Sequence[R] = yield self._source.read(self.position)
        if records:
            try:
                yield from self._apply(records)
            except Overtaken:
                self.position = yield self.sink.position()
        return len(records)

    def end(self) -> Steps[None]:
        """Close the sink."""
        yield self.sink.close()

    def _apply(self, records: Sequence[R]) -> Steps[None]:
        waiting = [records]
        while waiting:
            part = waiting.pop()
            try:
                yield self.sink.apply(part)
            except Overtaken:
                raise
            except self.sink.outages:
                raise
            except Exception as error:  # noqa: BLE001 -- whatever a projection raises, the others go on
                if len(part) > 1:
                    waiting += [part[len(part) // 2 :], part[: len(part) // 2]]
                    continue
                yield from self._bury(part[0], error)
            self.position = part[-1].position

    def _bury(self, record: R, error: Exception) -> Steps[None]:
        buried = BuriedRecord(self.sink.name, record.position, f"{type(error).__name__}: {error}")
        yield self.sink.bury(record, error)
        _logger.error(
            "%s cannot apply the record at %s; it goes on.", buried.projection, buried.position, exc_info=error
        )
        if self._on_buried is not None:
            self._on_buried(buried)


@dataclass(frozen=True, slots=True)
class Progress(Generic[P]):
    """How far a projection is."""

    position: P | None
    """Of the last record that readers can see."""
    backlog: int
    """Records that have been announced and not been projected."""
    behind_s: float
    """Seconds since it was at the end of its source; 0 while it is there."""
    outage: str | None
    """Why it is waiting instead of working."""


class Tally(Generic[P]):
    """What is known of how far a projection is, and who waits for it. Thread-safe.

    Args:
        clock: Measures how long it has been behind.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # announced >= done; a waiter is told, or sees the position that would tell it
        self._position: P | None = None
        self._announced = 0
        self._done = 0
        self._at_end_s = clock.monotonic()
        self._outage: str | None = None
        self._waiters: list[tuple[P, Callable[[], None]]] = []

    def announce(self, records: int) -> None:
        """Note that the source has grown."""
        with self._lock:
            if self._announced == self._done:
                self._at_end_s = self._clock.monotonic()
            self._announced += records

    @property
    def announced(self) -> int:
        """How many records have been announced."""
        return self._announced

    @property
    def backlog(self) -> int:
        """How many records have been announced and not been projected."""
        return self._announced - self._done

    def count(self, records: int) -> None:
        """Note that so many more records are projected."""
        with self._lock:
            self._outage = None
            self._done = min(self._done + records, self._announced)  # those of an earlier life were not announced

    def at_end(self, announced: int) -> None:
        """Note that the source had no more when *announced* records had been announced."""
        with self._lock:
            self._outage = None
            self._done = max(self._done, announced)
            self._at_end_s = self._clock.monotonic()

    def fail(self, error: Exception) -> None:
        """Note why nothing moves."""
        with self._lock:
            self._outage = f"{type(error).__name__}: {error}"

    def move(self, position: P | None) -> None:
        """Note how far readers can see, and tell those who have waited for it."""
        with self._lock:
            self._position = position
            told = [tell for wanted, tell in self._waiters if _reaches(position, wanted)]
            self._waiters = [waiter for waiter in self._waiters if not _reaches(position, waiter[0])]
        for tell in told:
            tell()

    def when(self, position: P | None, tell: Callable[[], None]) -> None:
        """Call *tell* once everything up to *position* can be read; at once if it can be now."""
        with self._lock:
            if position is not None and not self.reaches(position):
                self._waiters.append((position, tell))
                return
        tell()

    def reaches(self, position: P | None) -> bool:
        """Tell whether everything up to *position* can be read."""
        return position is None or _reaches(self._position, position)

    @property
    def position(self) -> P | None:
        """How far readers can see."""
        return self._position

    def progress(self) -> Progress[P]:
        """Return the figures of this moment."""
        with self._lock:
            backlog = self._announced - self._done
            behind_s = self._clock.monotonic() - self._at_end_s if backlog or self._outage else 0.0
            return Progress(self._position, backlog, behind_s, self._outage)


def _reaches(position: Any, wanted: Any) -> bool:
    return position is not None and bool(wanted <= position)
