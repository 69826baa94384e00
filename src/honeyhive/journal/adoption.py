"""Segments that nobody owns any more: taking them over, and looking at them.

A segment is owned as long as its lock is held. The process that wrote it holds the lock until
the segment is dealt with; when the process dies, however it dies, the lock is free.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from honeyhive.exceptions import JournalError
from honeyhive.journal.files import Files
from honeyhive.journal.folder import Folder, told_as_journal_error
from honeyhive.journal.records import Position, Record
from honeyhive.journal.scan import Gap, Scanner
from honeyhive.journal.segment import Batch, Corruption, Segment

__all__ = ["AdoptedSegment", "SegmentFacts", "adopt", "inspect"]

_VERIFY_BYTES = 256 * 1024
_HEADER_BYTES = 4096


class AdoptedSegment:
    """A dead owner's segment, locked by this process and resumed after what was acknowledged.

    Not thread-safe. `close` unlinks it if all is acknowledged; otherwise it stays for the next adopter.

    Attributes:
        name: The segment's name in positions.
        written_at_s: When it was last written, in seconds of the Unix epoch.
    """

    def __init__(self, folder: Folder, segment: Segment, written_at_s: float) -> None:
        self._folder = folder
        self._segment = segment
        self.name = segment.name
        self.written_at_s = written_at_s

    @property
    def pending_items(self) -> int:
        """Items not acknowledged yet."""
        return self._segment.pending_items

    @property
    def pending_bytes(self) -> int:
        """Bytes of records not acknowledged yet."""
        return self._segment.pending_bytes

    @property
    def corruption(self) -> Corruption:
        """What was found damaged so far."""
        return self._segment.damage.total

    def read(
        self,
        after: Position | None = None,
        *,
        max_bytes: int = 4 * 1024 * 1024,
        max_items: int = 2**31,
    ) -> list[Record]:
        """Read on, as `JournalInterface.read` does.

        Raises:
            JournalError: The segment cannot be read, or is closed.
        """
        batch = Batch(max_bytes, max_items)
        with told_as_journal_error(f"read {self._folder.segment(self.name)}"):
            end = self._segment.end
            start = self._segment.acknowledged
            if after is not None:
                start = max(start, self._segment.after(after.offset, end))
            damaged = self._segment.read(start, end, batch)
            if damaged:
                self._segment.note_damage(damaged)
        return batch.records

    def acknowledge(self, position: Position) -> int:
        """Note that the record at *position* and all before it are dealt with, as `JournalInterface.acknowledge`.

        Raises:
            JournalError: The segment is closed.
        """
        with told_as_journal_error(f"acknowledge in {self._folder.segment(self.name)}"):
            self._segment.open_fd  # noqa: B018 -- asked for its error
        passed = self._segment.acknowledge(self._segment.index.end_of(position.offset))
        with suppress(OSError):  # a full disk costs a repetition at worst
            self._folder.write_cursor(self.name, self._segment.acknowledged)
        return passed

    def discard(self) -> int:
        """Give up what is left, for good, and return how many items that were."""
        left = self.pending_items
        self._segment.acknowledge(self._segment.index.end)
        self.close()
        return left

    def close(self) -> None:
        """Let go of the segment; unlink it if nothing is left in it. Twice is once."""
        if self._segment.fd is None:
            return
        if self._segment.pending_bytes == 0:
            with suppress(OSError):
                self._folder.remove(self.name)
        self._segment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What `inspect` says of one segment."""

    name: str
    owner_alive: bool
    records: int
    items: int
    pending_items: int
    bytes: int
    written_at_s: float
    corruption: Corruption


def adopt(directory: Path, *, files: Files | None = None) -> Generator[AdoptedSegment, None, None]:
    """Yield the segments in *directory* whose owner is dead, the longest untouched first.

    One is open at a time: it is closed when the next one is asked for, or the iterator is dropped. Segments that are in use,
    belong to another user or cannot be read now are passed over without an error. An absent
    directory holds none.

    Raises:
        JournalUnsafeError: The directory is not ours alone.
        JournalError: The directory cannot be listed, or it is a log, which keeps its segments.
    """
    folder = Folder(directory, files or Files())
    with told_as_journal_error(f"look for segments in {directory}"):
        if not folder.exists():
            return
        if folder.is_log():
            raise JournalError(f"{directory} is a log: its segments are kept, not adopted")
        names = sorted(folder.names(), key=folder.written_at_s)
    for name in names:
        adopted = _take(folder, name)
        if adopted is not None:
            with adopted:
                yield adopted


def inspect(directory: Path, *, verify: bool = False, files: Files | None = None) -> list[SegmentFacts]:
    """Facts about every segment in *directory*, in order of their names; changes nothing.

    Args:
        directory: The directory of a journal; absent is empty.
        verify: Read every payload and prove its checksum too, not only the headers.
        files: The file layer.

    Raises:
        JournalError: The directory or a segment cannot be read.
    """
    folder = Folder(directory, files or Files())
    with told_as_journal_error(f"look into {directory}"):
        facts = [_facts(folder, name, verify=verify) for name in folder.names()]
    return [fact for fact in facts if fact is not None]


def _take(folder: Folder, name: str) -> AdoptedSegment | None:
    """Lock and open the segment *name*; ``None`` when it is not to be had."""
    try:
        segment = Segment(folder, name, folder.files.open_read(folder.segment(name)))
    except OSError:
        return None
    adopted = None
    try:
        if folder.files.lock(segment.open_fd):
            facts = folder.files.fstat(segment.open_fd)
            if folder.is_ours(facts):
                segment.resume(facts.st_size, folder.read_cursor(name))
                adopted = AdoptedSegment(folder, segment, facts.st_mtime)
    except OSError:
        return None
    finally:
        if adopted is None:
            segment.close()
    return adopted


def _facts(folder: Folder, name: str, *, verify: bool) -> SegmentFacts | None:
    try:
        fd = folder.files.open_read(folder.segment(name))
    except FileNotFoundError:
        return None
    try:
        facts = folder.files.fstat(fd)
        alive = folder.has_live_keeper() or not folder.files.lock(fd)
        acknowledged = folder.read_cursor(name)
        records = items = pending = 0
        corruption = Corruption()
        scanner = Scanner(folder.files, fd, facts.st_size, window_bytes=_VERIFY_BYTES if verify else _HEADER_BYTES)
        for step in scanner.walk(0):
            if isinstance(step, Gap):
                growing = alive and step.end == facts.st_size
                if not step.torn and not growing:
                    corruption = corruption.plus(Corruption(1, 0, step.end - step.start))
            elif verify and scanner.payload(step) is None:
                corruption = corruption.plus(Corruption(1, step.header.items, step.end - step.start))
            else:
                records += 1
                items += step.header.items
                pending += step.header.items if step.end > acknowledged else 0
    finally:
        folder.files.close(fd)
    return SegmentFacts(
        name=name,
        owner_alive=alive,
        records=records,
        items=items,
        pending_items=pending,
        bytes=facts.st_size,
        written_at_s=facts.st_mtime,
        corruption=corruption,
    )
