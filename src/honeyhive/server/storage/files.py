"""Log and read model in files, for one process: a data directory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from honeyhive.exceptions import ConfigurationError, JournalError, JournalLockedError
from honeyhive.journal import Journal, Position
from honeyhive.server.admission.limits import Limits
from honeyhive.server.home import INDEX_NAME, JOURNAL_NAME
from honeyhive.server.index.projector import IngestProjector, make_projector
from honeyhive.server.index.queries import Queries
from honeyhive.server.records.rows import Row
from honeyhive.server.retention.forgetting import JournalForgetter, settled
from honeyhive.server.retention.keeping import LARGEST_SEGMENT_BYTES
from honeyhive.server.storage.interface import Log, Progress, Storage
from honeyhive.server.storage.log import IngestLog
from honeyhive.server.stores import SQLiteDatabase

__all__ = ["FileStorage"]

_SETTLING_S: Final = 30.0
"""How long forgetting waits for the projector before it leaves the rest for the next time."""


class FileStorage(Storage):
    """A data directory: the journal, which is the truth, and beside it the read model in SQLite. For one process.

    Args:
        data: The directory; made when absent. The journal's lock keeps a second backend out.
        on_append: Called after each durable append, from the thread that has appended.
        on_readable: Told what has become readable, from the thread of the projector.
        on_failure: Called when nothing more can be accepted or shown, from any thread.
        limits: How long a query may take.
        rebuild: Forget the read model and make it anew.
        segment_bytes: Size of the files of the journal, and so of what is forgotten at once.

    Raises:
        ConfigurationError: The directory cannot be used; the message names the fix.
    """

    def __init__(
        self,
        data: Path,
        *,
        on_append: Callable[[], None],
        on_readable: Callable[[Sequence[Row]], None],
        on_failure: Callable[[BaseException], None],
        limits: Limits,
        rebuild: bool = False,
        segment_bytes: int = LARGEST_SEGMENT_BYTES,
    ) -> None:
        self._journal = _opened(data, segment_bytes)
        index = data / INDEX_NAME
        self.log = IngestLog(self._journal, on_append=on_append, on_failure=on_failure)
        self.queries = Queries(index, longest_s=limits.query_s)
        self.projector = make_projector(
            self._journal, index, on_failure=on_failure, on_readable=on_readable, rebuild=rebuild
        )
        self.progress = _OfProjector(self.projector, self.log)
        self.forgetter = JournalForgetter(
            self._journal, self.log.append, SQLiteDatabase(index), settle=self._until_readable
        )

    def _until_readable(self, position: Position) -> Iterator[None]:
        return settled(self.projector.reached(position), _SETTLING_S)

    def close(self) -> None:
        """Let go of the directory."""
        self._journal.close()


class _OfProjector(Progress):
    """The progress of the one projector, in the one process."""

    def __init__(self, projector: IngestProjector, log: Log) -> None:
        self._projector = projector
        self._log = log

    @property
    def backlog(self) -> int:
        return self._projector.backlog

    async def reached(self, position: Position) -> None:
        await asyncio.wrap_future(self._projector.reached(position))

    async def caught_up(self) -> None:
        await asyncio.wrap_future(self._projector.reached(self._log.last))


def _opened(data: Path, segment_bytes: int) -> Journal:
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"The data directory {data} cannot be made: {error.strerror}. Use --data.") from error
    try:
        return Journal(data / JOURNAL_NAME, keep=True, segment_bytes=segment_bytes, max_bytes=None, max_disk_share=None)
    except JournalLockedError as error:
        raise ConfigurationError(
            f"Another backend is running on {data}. Stop it, or give this one its own directory with --data."
        ) from error
    except JournalError as error:
        raise ConfigurationError(f"The data directory {data} cannot be used: {error}. Use --data.") from error
