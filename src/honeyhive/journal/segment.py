"""One segment file: appending to it, reading it, and how far it is acknowledged."""

from __future__ import annotations

import errno
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, cast

from honeyhive.journal.files import Files
from honeyhive.journal.folder import Folder
from honeyhive.journal.records import Draft, Header, Position, Record, pack_all
from honeyhive.journal.scan import Found, Gap, Scanner

__all__ = ["Batch", "Corruption", "Damage", "Extent", "Index", "Segment"]

_WINDOW_BYTES = 256 * 1024
_HEADER_WINDOW_BYTES = 4096
_COPY_BYTES = 1024 * 1024


class Corruption(NamedTuple):
    """How much was found damaged; the bytes themselves are in ``quarantine/``."""

    records: int = 0
    """Damaged stretches: single records, mostly."""
    items: int = 0
    """Items in them, as far as it is known."""
    bytes: int = 0

    def plus(self, other: Corruption) -> Corruption:
        """Both together."""
        return Corruption(self.records + other.records, self.items + other.items, self.bytes + other.bytes)


class Extent(NamedTuple):
    """How much of a log lies in one segment."""

    segment: str
    """Its name."""
    bytes: int
    sealed: bool
    """Whether nothing is added to it any more."""


class Batch:
    """Records being collected within bounds.

    Args:
        max_bytes: Bound on the payloads together.
        max_items: Bound on the items together.
    """

    def __init__(self, max_bytes: int, max_items: int) -> None:
        self.records: list[Record] = []
        self.full = False
        self._bytes_left = max_bytes
        self._items_left = max_items

    def admits(self, header: Header) -> bool:
        """Whether the next record still fits; the first one always does."""
        if self.records and (header.length > self._bytes_left or header.items > self._items_left):
            self.full = True
        return not self.full

    def add(self, record: Record) -> None:
        """Take *record* in."""
        self.records.append(record)
        self._bytes_left -= len(record.payload)
        self._items_left -= record.items


class Damage:
    """The damaged stretches of one segment, each counted and quarantined once."""

    def __init__(self) -> None:
        self.total = Corruption()
        self._stretches: dict[int, tuple[int, int]] = {}

    def note(self, start: int, end: int, items: int) -> bool:
        """Count the stretch; ``False`` when it was counted before."""
        if start in self._stretches:
            return False
        self._stretches[start] = (end, items)
        self.total = self.total.plus(Corruption(1, items, end - start))
        return True

    def beyond(self, offset: int) -> int:
        """The first offset at or after *offset* that is not known to be damaged."""
        while offset in self._stretches:
            offset = self._stretches[offset][0]
        return offset

    def items_between(self, start: int, end: int) -> int:
        """Items in the damaged stretches that begin in this range."""
        return sum(items for offset, (_, items) in self._stretches.items() if start <= offset < end)


class Index:
    """Where the records of one segment begin and end and how many items they hold, 24 bytes per record."""

    def __init__(self) -> None:
        self._starts = array("Q")
        self._ends = array("Q")
        self._totals = array("Q")

    @property
    def items(self) -> int:
        """All items in the segment."""
        return self._totals[-1] if self._totals else 0

    @property
    def records(self) -> int:
        """All records in the segment."""
        return len(self._ends)

    @property
    def end(self) -> int:
        """Where the last record ends; 0 when there is none."""
        return self._ends[-1] if self._ends else 0

    def ends(self) -> tuple[int, int] | None:
        """Where the first and the last record begin; ``None`` when there is none."""
        return (self._starts[0], self._starts[-1]) if self._starts else None

    def add(self, start: int, end: int, items: int) -> None:
        """Add the record that follows the last one."""
        self._starts.append(start)
        self._ends.append(end)
        self._totals.append(self.items + items)

    def end_of(self, offset: int) -> int:
        """Where the record ends that begins at *offset* or is the last to begin before it."""
        before = bisect_right(self._starts, offset)
        return self._ends[before - 1] if before else 0

    def items_before(self, offset: int) -> int:
        """Items in the records that end at or before *offset*."""
        before = bisect_right(self._ends, offset)
        return self._totals[before - 1] if before else 0


class Segment:
    """An open segment file and what is known of it; the owner brings the locks.

    Attributes:
        name: Its name in positions.
        fd: The open file; it carries the lock.
        end: Bytes that hold whole records; what a failed write left behind lies after it.
        synced: Bytes known to survive a loss of power.
        acknowledged: Offset up to which all records are dealt with.
        sealed: Nothing is appended any more.
        doubtful: A sync failed: what the disk holds is unknown.
        users: How many calls use *fd* at this moment.
        retired: Its owner has let it go.
    """

    __slots__ = (
        "_folder",
        "_index",
        "acknowledged",
        "damage",
        "doubtful",
        "end",
        "fd",
        "name",
        "retired",
        "sealed",
        "synced",
        "users",
    )

    def __init__(self, folder: Folder, name: str, fd: int | None, *, end: int = 0, fresh: bool = False) -> None:
        self._folder = folder
        self._index = Index() if fresh else None
        self.name = name
        self.fd = fd
        self.end = end
        self.synced = end
        self.acknowledged = 0
        self.sealed = not fresh
        self.doubtful = False
        self.damage = Damage()
        self.users = 0
        self.retired = False

    @property
    def index(self) -> Index:
        """The index; built from the file at first use when this process did not write it."""
        if self._index is None:
            self._index = self._build_index()
        return self._index

    @property
    def pending_items(self) -> int:
        """Items not acknowledged yet."""
        return self.index.items - self.index.items_before(self.acknowledged)

    @property
    def pending_bytes(self) -> int:
        """Bytes of records not acknowledged yet, headers included."""
        return max(0, self.index.end - self.acknowledged)

    def append(self, drafts: Sequence[Draft]) -> list[Position]:
        """Write *drafts* by one system call, all or nothing.

        Raises:
            OSError: They are not written; the segment is as it was, or sealed if it cannot be cut back.
            ValueError: A draft does not fit the format.
        """
        start = self.end
        parts, ends = pack_all(drafts, start)
        try:
            self._write(parts, ends[-1] - start)
            self.end = ends[-1]
        finally:
            if self.end == start:
                self._cut_back()
        positions: list[Position] = []
        for draft, end in zip(drafts, ends, strict=True):
            self.index.add(start, end, draft.items)
            positions.append(Position(self.name, start))
            start = end
        return positions

    def resume(self, end: int, acknowledged: int) -> None:
        """Look at the first *end* bytes of a file that another process wrote, and go on where it stopped.

        Raises:
            OSError: The file cannot be read.
        """
        self.end = self.synced = end
        self.acknowledged = min(acknowledged, end)
        self._index = self._build_index()

    def read(self, offset: int, end: int, batch: Batch) -> list[Gap | Found]:
        """Collect the whole records from *offset* to *end* into *batch*, and return what was damaged between them.

        Raises:
            OSError: The file cannot be read.
        """
        scanner = self.scanner(end)
        damaged: list[Gap | Found] = []
        for step in scanner.walk(offset):
            if isinstance(step, Gap):
                if not step.torn:
                    damaged.append(step)
                continue
            if not batch.admits(step.header):
                break
            payload = scanner.payload(step)
            if payload is None:
                damaged.append(step)
            else:
                batch.add(self._record(step, payload))
        return damaged

    def record_at(self, offset: int) -> Record | None:
        """The record at *offset*; ``None`` when there is no whole one.

        Raises:
            OSError: The file cannot be read.
        """
        scanner = self.scanner(self.end, headers_only=True)
        for step in scanner.walk(offset):
            payload = scanner.payload(step) if isinstance(step, Found) else None
            return None if payload is None else self._record(cast(Found, step), payload)
        return None

    def ends(self) -> tuple[Record, Record] | None:
        """The first and the last whole record; ``None`` when there is none.

        Raises:
            OSError: The file cannot be read.
        """
        known = None if self._index is None else self._index.ends()
        if known is not None:
            first, last = self.record_at(known[0]), self.record_at(known[1])
            if first is not None and last is not None:
                return first, last
        return self._ends_by_scan()

    def _ends_by_scan(self) -> tuple[Record, Record] | None:
        scanner = self.scanner(self.end, headers_only=True)
        found = [step for step in scanner.walk(0) if isinstance(step, Found)]
        first, last = self._first_whole(found, scanner), self._first_whole(reversed(found), scanner)
        return None if first is None or last is None else (first, last)

    def scanner(self, end: int, *, headers_only: bool = False) -> Scanner:
        """A scanner of the first *end* bytes."""
        window_bytes = _HEADER_WINDOW_BYTES if headers_only else _WINDOW_BYTES
        return Scanner(self._files, self.open_fd, end, window_bytes=window_bytes)

    def after(self, offset: int, end: int) -> int:
        """Where the record after the one at *offset* begins."""
        for step in self.scanner(end, headers_only=True).walk(offset):
            return step.end
        return end

    def note_damage(self, damaged: Sequence[Gap | Found]) -> None:
        """Count and quarantine *damaged*, once each, and step over what of it is next in line."""
        for step in damaged:
            items = self.index.items_before(step.end) - self.index.items_before(step.start)
            if self.damage.note(step.start, step.end, items):
                self._folder.quarantine(self.name, step.start, self._chunks(step.start, step.end))
        self.acknowledged = self.damage.beyond(self.acknowledged)

    def acknowledge(self, through: int) -> int:
        """Move the cursor up to *through*, never back, and return how many undamaged items it passed."""
        before = self.acknowledged
        if through <= before:
            return 0
        self.acknowledged = self.damage.beyond(through)
        passed = self.index.items_before(through) - self.index.items_before(before)
        return passed - self.damage.items_between(before, through)

    def close(self) -> None:
        """Close the file and with it give up the lock; what matters was reported by write and sync."""
        if self.fd is not None:
            fd, self.fd = self.fd, None
            with suppress(OSError):
                self._files.close(fd)

    @property
    def _files(self) -> Files:
        return self._folder.files

    @property
    def open_fd(self) -> int:
        """The open file.

        Raises:
            OSError: The segment is closed.
        """
        if self.fd is None:
            raise OSError(errno.EBADF, f"segment {self.name} is closed")
        return self.fd

    def _first_whole(self, found: Iterable[Found], scanner: Scanner) -> Record | None:
        for step in found:
            payload = scanner.payload(step)
            if payload is not None:
                return self._record(step, payload)
        return None

    def _record(self, found: Found, payload: bytes) -> Record:
        return Record(found.header.kind, found.header.items, payload, Position(self.name, found.start), found.end)

    def _write(self, parts: Sequence[bytes], size: int) -> None:
        written = self._files.write(self.open_fd, parts)
        if written < size:
            # A signal may cut a write short, a full disk does; only the next write tells which.
            rest = b"".join(parts)
            while written < size:
                taken = self._files.write(self.open_fd, (rest[written:],))
                if not taken:
                    raise OSError(errno.ENOSPC, "the disk takes no more bytes")
                written += taken

    def _cut_back(self) -> None:
        try:
            self._files.truncate(self.open_fd, self.end)
        except OSError:
            self.sealed = True

    def _build_index(self) -> Index:
        index = Index()
        damaged: list[Gap] = []
        for step in self.scanner(self.end, headers_only=True).walk(0):
            if isinstance(step, Found):
                index.add(step.start, step.end, step.header.items)
            elif not step.torn:
                damaged.append(step)
        self._index = index
        self.note_damage(damaged)
        return index

    def _chunks(self, start: int, end: int) -> Iterator[bytes]:
        for offset in range(start, end, _COPY_BYTES):
            yield self._files.pread(self.open_fd, min(_COPY_BYTES, end - offset), offset)
