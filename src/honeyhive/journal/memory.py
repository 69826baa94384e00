"""The journal that needs no disk: the same promises, as long as the process lives."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Sequence

from honeyhive.exceptions import JournalError, JournalFullError
from honeyhive.journal.interface import JournalInterface
from honeyhive.journal.records import HEADER_BYTES, Draft, Header, Position, Record, pack_header
from honeyhive.journal.segment import Batch

__all__ = ["MemoryJournal"]

_SEGMENT = "memory"


class MemoryJournal(JournalInterface):
    """Holds records in memory until they are acknowledged; used where no disk is allowed.

    `sync` raises nothing and promises nothing: see `durable`.

    Args:
        max_bytes: Bound on payloads and headers together; ``None`` for none.
    """

    def __init__(self, *, max_bytes: int | None = 32 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()  # the records and the figures that go with them
        self._records: list[Record] = []
        self._size = 0
        self._items = 0
        self._end = 0
        self._last: Position | None = None
        self._closed = False

    def append(self, kind: int, payload: bytes, items: int = 1) -> Position:
        return self.append_many((Draft(kind, payload, items),))[0]

    def append_many(self, drafts: Sequence[Draft]) -> list[Position]:
        size = sum(HEADER_BYTES + len(draft.payload) for draft in drafts)
        for draft in drafts:
            pack_header(draft, 0)  # what the disk would refuse is refused here
        with self._lock:
            self._check_open()
            if self._max_bytes is not None and self._size + size > self._max_bytes:
                raise JournalFullError(
                    f"memory holds {self._size:,} bytes, {size:,} more would pass its bound of {self._max_bytes:,}"
                )
            return [self._add(draft) for draft in drafts]

    def sync(self) -> None:
        with self._lock:
            self._check_open()

    def read(
        self,
        after: Position | None = None,
        *,
        max_bytes: int = 4 * 1024 * 1024,
        max_items: int = 2**31,
    ) -> list[Record]:
        batch = Batch(max_bytes, max_items)
        with self._lock:
            self._check_open()
            start = 0 if after is None else self._count_to(after)
            for at in range(start, len(self._records)):
                record = self._records[at]
                if not batch.admits(Header(record.kind, record.items, len(record.payload), 0)):
                    break
                batch.add(record)
        return batch.records

    def payload(self, position: Position) -> bytes:
        with self._lock:
            self._check_open()
            count = self._count_to(position)
            record = self._records[count - 1] if count else None
        if record is None or record.position != position:
            raise JournalError(f"there is no record at {position}")
        return record.payload

    def acknowledge(self, position: Position) -> int:
        with self._lock:
            self._check_open()
            count = self._count_to(position)
            passed = sum(record.items for record in self._records[:count])
            self._size -= sum(_size(record) for record in self._records[:count])
            self._items -= passed
            del self._records[:count]
        return passed

    def begin_afresh(self) -> None:
        """Do nothing: each record gives its place back."""

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._records.clear()
            self._size = self._items = 0

    def abandon_after_fork(self) -> None:
        self._forget()
        self._closed = True

    @property
    def durable(self) -> bool:
        return False

    @property
    def dirty(self) -> bool:
        with self._lock:
            return bool(self._records)

    @property
    def last(self) -> Position | None:
        return self._last

    @property
    def pending_items(self) -> int:
        return self._items

    @property
    def pending_bytes(self) -> int:
        return self._size

    @property
    def size_bytes(self) -> int:
        return self._size

    def _add(self, draft: Draft) -> Position:
        position = Position(_SEGMENT, self._end)
        self._end += HEADER_BYTES + len(draft.payload)
        self._records.append(Record(draft.kind, draft.items, draft.payload, position, self._end))
        self._size += HEADER_BYTES + len(draft.payload)
        self._items += draft.items
        self._last = position
        return position

    def _count_to(self, position: Position) -> int:
        """How many records lie at or before *position*."""
        return bisect_right(self._records, position, key=_position)

    def _check_open(self) -> None:
        if self._closed:
            raise JournalError("the journal in memory is closed")


def _position(record: Record) -> Position:
    return record.position


def _size(record: Record) -> int:
    return HEADER_BYTES + len(record.payload)
