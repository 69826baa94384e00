"""Reading a journal that another process is writing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from honeyhive.exceptions import JournalError
from honeyhive.journal.files import Files
from honeyhive.journal.folder import Folder, SegmentName, check_prefix, told_as_journal_error
from honeyhive.journal.records import Position, Record
from honeyhive.journal.segment import Batch, Extent, Segment

__all__ = ["JournalReader"]


class JournalReader:
    """Follows the journal in a directory without owning it: no lock, no cursor, nothing changed.

    Meant for logs, whose segments stay until they are forgotten; one that goes while it is read is passed
    over. It holds no state and no file open between calls, and so is thread-safe and needs no closing.

    Args:
        directory: The directory of a `honeyhive.journal.Journal`.
        prefix: The writer's.
        files: The file layer.
    """

    def __init__(self, directory: Path, *, prefix: str = "", files: Files | None = None) -> None:
        self._folder = Folder(directory, files or Files())
        self._prefix = check_prefix(prefix)

    def read(
        self,
        after: Position | None = None,
        *,
        max_bytes: int = 4 * 1024 * 1024,
        max_items: int = 2**31,
    ) -> list[Record]:
        """Read the oldest records after the one at *after*, or from the very first.

        Damaged records are left out; a record that is being written comes with a later call. Bounds
        and order are those of `JournalInterface.read`.

        Raises:
            JournalError: The directory or a segment cannot be read.
        """
        batch = Batch(max_bytes, max_items)
        with told_as_journal_error(f"read {self._folder.path}"):
            # Listed before any is read: when the one after it is in the list, a segment's writer has left
            # it for good, and no record can follow behind what is read now. One that begins later waits.
            names = self._folder.names(self._prefix)
            if after is not None:
                names = names[bisect_left(names, after.segment) :]
            for name in names:
                offset = after.offset if after is not None and after.segment == name else None
                with suppress(FileNotFoundError):  # forgotten since it was listed
                    self._read_segment(name, offset, batch)
                if batch.full:
                    break
        return batch.records

    def payload(self, position: Position) -> bytes:
        """The payload of the record at *position*.

        Raises:
            JournalError: There is no whole record.
        """
        path = self._folder.segment(position.segment)
        with told_as_journal_error(f"read {path}"), self._open(position.segment) as segment:
            record = segment.record_at(position.offset)
        if record is None:
            raise JournalError(f"there is no whole record at {position}")
        return record.payload

    def has_keeper(self) -> bool:
        """Whether a log is being written here now.

        Raises:
            JournalError: That cannot be seen.
        """
        with told_as_journal_error(f"look into {self._folder.path}"):
            return self._folder.has_live_keeper()

    def extents(self) -> list[Extent]:
        """How much each segment holds, oldest first; the newest is taken to be still written.

        Raises:
            JournalError: The directory cannot be read.
        """
        extents = []
        with told_as_journal_error(f"look into {self._folder.path}"):
            names = self._folder.names(self._prefix)
            for name in names:
                with suppress(FileNotFoundError):
                    size = self._folder.files.lstat(self._folder.segment(name)).st_size
                    extents.append(Extent(name, size, sealed=name != names[-1]))
        return extents

    def ends(self, segment: str) -> tuple[Record, Record] | None:
        """The first and the last whole record of *segment*; ``None`` when it has none, or is gone.

        Raises:
            JournalError: It cannot be read.
        """
        path = self._folder.segment(segment)
        with told_as_journal_error(f"read {path}"), suppress(FileNotFoundError), self._open(segment) as found:
            return found.ends()
        return None

    def _read_segment(self, name: str, offset: int | None, batch: Batch) -> None:
        with self._open(name) as segment:
            start = 0 if offset is None else segment.after(offset, segment.end)
            # What looks damaged at the end may be a record in the making; it is left alone either way.
            segment.read(start, segment.end, batch)

    @contextmanager
    def _open(self, name: str) -> Iterator[Segment]:
        if SegmentName.parse(name) is None:
            raise JournalError(f"no journal has a segment named {name!r}")
        fd = self._folder.files.open_read(self._folder.segment(name))
        segment = Segment(self._folder, name, fd)
        try:
            segment.end = self._folder.files.fstat(fd).st_size
            yield segment
        finally:
            segment.close()
