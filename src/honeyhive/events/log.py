"""A journal as a log: appended blind, durable in groups, dated, read from any position.

It lies under the event store in files and under the backend's ingest; both are sources of the one projection engine.
A record of either carries the moment it was taken in, so that "as it was then" has an answer::

    kind      the caller's, with the top bit set: dated
    payload   8 bytes, nanoseconds since 1970, big-endian; then the caller's

Records of the same kind without the bit come from before there were dates.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from honeyhive.journal import Extent, JournalInterface, Position, Record
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["DatedRecord", "DatedSegment", "DatedSegments", "DurableLog", "LogSource", "Readable", "Segmented"]

_DATED: Final = 0x8000
_DATE: Final = struct.Struct(">Q")


class DatedRecord(NamedTuple):
    """A record of a log."""

    kind: int
    """The caller's."""
    items: int
    payload: bytes
    position: Position
    recorded_ns: int | None
    """When it was taken in, in nanoseconds since 1970; ``None`` in logs from before there were dates."""


class Readable(Protocol):
    """What can be read like a journal: `honeyhive.journal.Journal` and `honeyhive.journal.JournalReader`."""

    def read(self, after: Position | None = None, *, max_bytes: int = ..., max_items: int = ...) -> Sequence[Record]:
        """Read the oldest records behind *after*."""
        ...


class Segmented(Protocol):
    """What lies in segments: `honeyhive.journal.Journal` and `honeyhive.journal.JournalReader`."""

    def extents(self) -> Sequence[Extent]:
        """Return how much each segment holds, oldest first."""
        ...

    def ends(self, segment: str) -> tuple[Record, Record] | None:
        """Return the first and the last whole record of *segment*."""
        ...


class DatedSegment(NamedTuple):
    """A segment of a log, and when what is in it was taken in."""

    name: str
    bytes: int
    sealed: bool
    """Whether nothing is added to it any more."""
    oldest_ns: int
    """Of its first whole record; 0 where there is none, or it is from before there were dates."""
    newest_ns: int
    """Of its last whole record, likewise."""


class DatedSegments:
    """The segments of a log with their dates; what is sealed is looked at once. For one thread at a time.

    Args:
        journal: Where they are.
    """

    def __init__(self, journal: Segmented) -> None:
        self._journal = journal
        self._known: Mapping[str, DatedSegment] = {}

    def read(self) -> list[DatedSegment]:
        """Return them, oldest first.

        Raises:
            JournalError: The journal cannot be read.
        """
        segments = [self._known.get(extent.segment) or self._dated(extent) for extent in self._journal.extents()]
        self._known = {segment.name: segment for segment in segments if segment.sealed}
        return segments

    def _dated(self, extent: Extent) -> DatedSegment:
        ends = self._journal.ends(extent.segment)
        oldest_ns, newest_ns = (opened(record).recorded_ns or 0 for record in ends) if ends else (0, 0)
        return DatedSegment(extent.segment, extent.bytes, extent.sealed, oldest_ns, newest_ns)


class LogSource:
    """The records of a log as a source of the projection engine.

    Args:
        journal: Where they are.
        max_bytes: Bound on the payloads of a batch together.
        max_items: Bound on the items of a batch together.
    """

    def __init__(self, journal: Readable, *, max_bytes: int = 8 * 1024 * 1024, max_items: int = 4_096) -> None:
        self._journal = journal
        self._max_bytes = max_bytes
        self._max_items = max_items

    def read(self, after: Position | None) -> list[DatedRecord]:
        """Return the next batch behind *after*.

        Raises:
            JournalError: The journal cannot be read.
        """
        return [
            opened(record) for record in self._journal.read(after, max_bytes=self._max_bytes, max_items=self._max_items)
        ]


class DurableLog:
    """Appends records so that they survive a loss of power, from any number of threads.

    Those that wait for the disk at the same time share one sync.

    Args:
        journal: A kept journal.
        on_append: Called after each durable append.
        clock: Dates the records.
    """

    def __init__(
        self, journal: JournalInterface, *, on_append: Callable[[], None] | None = None, clock: Clock | None = None
    ) -> None:
        self._journal = journal
        self._on_append = on_append
        self._clock = clock or SystemClock()
        self._date_lock = threading.Lock()  # dates rise as positions do
        self._last_ns = 0

    def append(self, kind: int, payload: bytes, items: int = 1) -> Position:
        """Append one record and return its position once it is durable.

        Raises:
            JournalError: It cannot be written, or it is not known whether the disk has it.
            ValueError: *kind* is not between 0 and 32,767.
        """
        position = self.write(kind, payload, items)
        self.sync()
        if self._on_append is not None:
            self._on_append()
        return position

    def write(self, kind: int, payload: bytes, items: int = 1, *, recorded_ns: int | None = None) -> Position:
        """Append one record; it is durable after the next `sync`. Errors as with `append`."""
        if not 0 <= kind < _DATED:
            raise ValueError(f"the kind of a record is between 0 and {_DATED - 1}, not {kind}")
        with self._date_lock:
            self._last_ns = max(self._last_ns, self._clock.time_ns() if recorded_ns is None else recorded_ns)
            return self._journal.append(kind | _DATED, _DATE.pack(self._last_ns) + payload, items)

    def sync(self) -> None:
        """Return when all records written before the call are durable.

        Raises:
            JournalError: They are not, or it is not known.
        """
        self._journal.sync()

    def record(self, position: Position, kind: int) -> DatedRecord:
        """Return the record at *position*, which is of *kind* and dated.

        Raises:
            JournalError: There is no whole record.
        """
        payload = self._journal.payload(position)
        return DatedRecord(kind, 1, payload[_DATE.size :], position, _DATE.unpack_from(payload)[0])

    @property
    def last(self) -> Position | None:
        """The newest position of this life of the log."""
        return self._journal.last


def opened(record: Record) -> DatedRecord:
    """Return *record* of a journal as a record of the log that the journal is."""
    if not record.kind & _DATED:
        return DatedRecord(record.kind, record.items, record.payload, record.position, None)
    recorded_ns = _DATE.unpack_from(record.payload)[0]
    return DatedRecord(record.kind & ~_DATED, record.items, record.payload[_DATE.size :], record.position, recorded_ns)
