"""How much a journal may still write."""

from __future__ import annotations

from collections.abc import Iterable

from honeyhive.exceptions import JournalFullError
from honeyhive.journal.folder import Folder, told_as_journal_error

__all__ = ["Room"]


class Room:
    """The bound on all segments of a directory, those of other writers included; the owner brings the lock.

    Args:
        folder: The directory.
        max_bytes: Bound in bytes; ``None`` for none.
        max_disk_share: Bound as a share of the disk's free space; ``None`` for none.
        alone: Whether nobody else writes there.

    Attributes:
        own_bytes: What this writer's segments hold.
    """

    def __init__(self, folder: Folder, max_bytes: int | None, max_disk_share: float | None, *, alone: bool) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_disk_share = max_disk_share
        self._alone = alone
        self._other_bytes = 0
        self._bound: int | None = None
        self.own_bytes = 0

    def fits(self, size: int) -> bool:
        """Whether *size* bytes more are within the bound, as last measured."""
        return self._bound is None or self.own_bytes + self._other_bytes + size <= self._bound

    def check(self, size: int, own: Iterable[str]) -> None:
        """Look at the disk anew: at every new segment, and before an append is refused.

        Args:
            size: Bytes to be written.
            own: Names of this writer's segments.

        Raises:
            JournalFullError: They would pass the bound.
            JournalError: The disk cannot be looked at.
        """
        self._measure(own)
        if not self.fits(size):
            raise JournalFullError(
                f"{self._folder.path} holds {self.own_bytes + self._other_bytes:,} bytes, "
                f"{size:,} more would pass its bound of {self._bound:,}"
            )

    def _measure(self, own: Iterable[str]) -> None:
        if self._max_bytes is None and self._max_disk_share is None:
            return
        with told_as_journal_error(f"measure {self._folder.path}"):
            if not self._alone:
                self._other_bytes = self._folder.size_bytes(leave_out=own)
            bounds = [] if self._max_bytes is None else [self._max_bytes]
            if self._max_disk_share is not None:
                held = self.own_bytes + self._other_bytes
                bounds.append(int(self._max_disk_share * (self._folder.files.disk(self._folder.path).free + held)))
        self._bound = min(bounds)
