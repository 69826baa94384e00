"""What every journal can do, on disk or in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from honeyhive.journal.records import Draft, Position, Record

__all__ = ["JournalInterface"]

_READ_BYTES = 4 * 1024 * 1024
_READ_ITEMS = 2**31


class JournalInterface(ABC):
    """An append-only queue of records with addresses. All methods are thread-safe.

    Records come back whole, in the order of their append, until they are acknowledged. After any
    error the journal is as it was before the call and can go on being used.
    """

    @abstractmethod
    def append(self, kind: int, payload: bytes, items: int = 1) -> Position:
        """Append one record and return its address.

        Args:
            kind: The caller's tag, 0 to 65,535.
            payload: The content.
            items: The caller's count of what is in *payload*.

        Raises:
            JournalFullError: The record would pass the bound, or the disk is full.
            JournalError: The record cannot be written, or the journal is closed.
            ValueError: A number is out of range.
        """

    @abstractmethod
    def append_many(self, drafts: Sequence[Draft]) -> list[Position]:
        """Append several records at once, all or none; errors as with `append`."""

    @abstractmethod
    def sync(self) -> None:
        """Return when all records appended before the call survive a loss of power.

        Raises:
            JournalError: They do not, or it is not known. As long as such a record is here, every
                `sync` raises: a disk that failed once may report success for data it has lost.
        """

    @abstractmethod
    def read(
        self,
        after: Position | None = None,
        *,
        max_bytes: int = _READ_BYTES,
        max_items: int = _READ_ITEMS,
    ) -> list[Record]:
        """Read the oldest records after the one at *after*, or from the first unacknowledged one.

        Args:
            after: The position of the last record already seen; it need not exist any more.
            max_bytes: Bound on the payloads together; the first record comes in any case.
            max_items: Bound on the items together, likewise.

        Returns:
            The records, oldest first; an empty list when there is none yet.

        Raises:
            JournalError: The journal cannot be read.
        """

    @abstractmethod
    def payload(self, position: Position) -> bytes:
        """The payload of the record at *position*.

        Raises:
            JournalError: There is no whole record.
        """

    @abstractmethod
    def acknowledge(self, position: Position) -> int:
        """Note that the record at *position* and all before it are dealt with.

        Returns:
            How many items were passed for the first time, those of damaged records not counted.
        """

    @abstractmethod
    def begin_afresh(self) -> None:
        """Take no more records where the last one lies, so that its place is given back once it is acknowledged."""

    @abstractmethod
    def close(self) -> None:
        """Give the journal up; what is not acknowledged stays for the next one. Twice is once."""

    @abstractmethod
    def abandon_after_fork(self) -> None:
        """In the child after a fork: forget everything, leave the parent's files and locks as they are."""

    @property
    @abstractmethod
    def durable(self) -> bool:
        """Whether records survive the process."""

    @property
    @abstractmethod
    def dirty(self) -> bool:
        """Whether there are records that no `sync` has covered."""

    @property
    @abstractmethod
    def last(self) -> Position | None:
        """The position of the newest record this journal has appended."""

    @property
    @abstractmethod
    def pending_items(self) -> int:
        """Items not acknowledged yet."""

    @property
    @abstractmethod
    def pending_bytes(self) -> int:
        """Bytes not acknowledged yet."""

    @property
    @abstractmethod
    def size_bytes(self) -> int:
        """Bytes held, acknowledged ones not yet given back included."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
