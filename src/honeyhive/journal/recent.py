"""Records just appended, kept in memory until they are dealt with: who reads them soon need not go to the disk."""

from __future__ import annotations

from honeyhive.journal.records import Header, Position, Record
from honeyhive.journal.segment import Batch

__all__ = ["Recent"]


class Recent:
    """A bounded number of bytes of a journal's records; the owner brings the lock.

    When it is full it takes nothing more: the oldest records are those that are read next.

    Args:
        max_bytes: Bound on the payloads together.
    """

    __slots__ = ("_records", "_room")

    def __init__(self, max_bytes: int) -> None:
        self._room = max_bytes
        self._records: dict[Position, Record] = {}

    def keep(self, record: Record) -> None:
        """Keep *record*, the newest of all, if there is room."""
        if len(record.payload) <= self._room:
            self._room -= len(record.payload)
            self._records[record.position] = record

    def read(self, segment: str, offset: int, batch: Batch) -> int:
        """Collect into *batch* what is kept of *segment* without a gap from *offset* on, and return where that ends."""
        while (record := self._records.get(Position(segment, offset))) is not None:
            if not batch.admits(Header(record.kind, record.items, len(record.payload), 0)):
                break
            batch.add(record)
            offset = record.end
        return offset

    def drop(self, segment: str) -> None:
        """Forget the records of *segment*."""
        for position in [position for position in self._records if position.segment == segment]:
            self._room += len(self._records.pop(position).payload)

    def forget(self, through: Position) -> None:
        """Forget the record at *through* and all before it."""
        for position in tuple(self._records):
            if position > through:
                break
            self._room += len(self._records.pop(position).payload)
