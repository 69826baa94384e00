"""Where the journals of one destination lie on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from honeyhive.exceptions import JournalError
from honeyhive.journal import Journal, JournalInterface, MemoryJournal, adopt
from honeyhive.models.wire import spool_root
from honeyhive.tracer.export.spool import DeadJournal, NoDiskWantedError

__all__ = ["DiskStorage", "MemoryStorage"]

_RECENT_BYTES = 8 * 1024 * 1024
"""As much as one segment holds: what is sent soon after it was written need not be read back."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class MemoryStorage:
    """Keeps records in memory only, by the user's wish."""

    def open_disk(self) -> JournalInterface:
        """Refuse: no disk is wanted."""
        raise NoDiskWantedError("the spool is switched off")

    def open_memory(self) -> JournalInterface:
        """Open a journal in memory; the pipeline's byte budget bounds it."""
        return MemoryJournal(max_bytes=None)

    def left_by_the_dead(self) -> Iterator[DeadJournal]:
        """Yield nothing."""
        return iter(())


class DiskStorage(MemoryStorage):
    """Keeps records in ``<root>/<destination id>/``, in segments of this process.

    Args:
        destination_id: Name of the folder.
        root: The spool's folder; by default the one that the backend looks into as well.
        max_bytes: Bound on all segments of the destination.
    """

    def __init__(self, destination_id: str, *, root: Path | None = None, max_bytes: int) -> None:
        self._destination_id = destination_id
        self._root = root
        self._max_bytes = max_bytes

    def open_disk(self) -> JournalInterface:
        """Open a journal of this process, beside those of other processes."""
        prefix = f"{os.getpid()}-{_boot_id()}"
        return Journal(self._folder(), prefix=prefix, max_bytes=self._max_bytes, recent_bytes=_RECENT_BYTES)

    def left_by_the_dead(self) -> Iterator[DeadJournal]:
        """Yield the segments of dead processes for the same destination and key, oldest first."""
        return adopt(self._folder())

    def _folder(self) -> Path:
        try:
            root = self._root or spool_root()
        except RuntimeError as error:
            raise JournalError("there is no home directory for the spool; set XDG_STATE_HOME") from error
        return root / self._destination_id


@cache
def _boot_id() -> str:
    """Tell processes with one id apart that ran before and after a restart of the machine."""
    try:
        return _BOOT_ID.read_text("ascii").replace("-", "")[:8]
    except (OSError, UnicodeDecodeError):
        return "0"
