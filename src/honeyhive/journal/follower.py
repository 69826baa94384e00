"""Reading a journal that another process is writing."""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path

from honeyhive.exceptions import JournalError
from honeyhive.journal.files import Files
from honeyhive.journal.folder import Folder, SegmentName, check_prefix, told_as_journal_error
from honeyhive.journal.records import Position, Record
from honeyhive.journal.segment import Batch, Segment

__all__ = ["JournalReader"]


class JournalReader:
    """Follows the journal in a directory without owning it: no lock, no cursor, nothing changed.

    Meant for logs, whose segments stay. It holds no state and no file open between calls, and so
    is thread-safe and needs no closing.

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
                self._read_segment(name, offset, batch)
                if batch.full:
                    break
        return batch.records

    def payload(self, position: Position) -> bytes:
        """The payload of the record at *position*.

        Raises:
            JournalError: There is no whole record.
        """
        with told_as_journal_error(f"read {self._folder.segment(position.segment)}"):
            segment = self._open(position.segment)
            try:
                record = segment.record_at(position.offset)
            finally:
                segment.close()
        if record is None:
            raise JournalError(f"there is no whole record at {position}")
        return record.payload

    def _read_segment(self, name: str, offset: int | None, batch: Batch) -> None:
        segment = self._open(name)
        try:
            start = 0 if offset is None else segment.after(offset, segment.end)
            # What looks damaged at the end may be a record in the making; it is left alone either way.
            segment.read(start, segment.end, batch)
        finally:
            segment.close()

    def _open(self, name: str) -> Segment:
        if SegmentName.parse(name) is None:
            raise JournalError(f"no journal has a segment named {name!r}")
        fd = self._folder.files.open_read(self._folder.segment(name))
        segment = Segment(self._folder, name, fd)
        segment.end = self._folder.files.fstat(fd).st_size
        return segment
