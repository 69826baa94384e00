"""The ingest log: what is in here has been accepted, and what is accepted is in here, on the disk, before the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from honeyhive.events.log import DurableLog
from honeyhive.exceptions import JournalError, JournalFullError
from honeyhive.journal import JournalInterface, Position
from honeyhive.models.wire import RecordKind
from honeyhive.server.admission.limits import Refusal
from honeyhive.server.records.marks import LogKind
from honeyhive.utils.clock import Clock

__all__ = ["IngestLog"]

_FULL: Final = "The disk of the backend is full; nothing was stored."
_BROKEN: Final = "The backend cannot write its journal; nothing was stored."


class IngestLog:
    """Appends durably and dated, from any number of threads; those that wait for the disk together share one sync.

    Args:
        journal: A kept journal.
        on_append: Called after each durable append.
        on_failure: Called once when a sync failed: what the disk holds is not known then, and only a new start
            of the server finds out.
        clock: Dates what is accepted.
    """

    def __init__(
        self,
        journal: JournalInterface,
        *,
        on_append: Callable[[], None],
        on_failure: Callable[[BaseException], None],
        clock: Clock | None = None,
    ) -> None:
        self._log = DurableLog(journal, clock=clock)
        self._on_append = on_append
        self._on_failure = on_failure
        self._failed = threading.Event()

    def append(self, kind: RecordKind | LogKind, payload: bytes, items: int = 1) -> Position:
        """Append one record and return its position once it survives a loss of power.

        Raises:
            Refusal: 507 when the disk is full, 503 when the journal cannot be written; nothing counts as stored.
        """
        try:
            position = self._log.write(kind, payload, items)
        except JournalFullError:
            raise Refusal(507, _FULL, retry_after_s=30) from None
        except JournalError:
            raise Refusal(503, _BROKEN, retry_after_s=5) from None
        self._sync()
        self._on_append()
        return position

    @property
    def last(self) -> Position | None:
        """The newest position of this life of the server."""
        return self._log.last

    def _sync(self) -> None:
        try:
            self._log.sync()
        except JournalError as error:
            if not self._failed.is_set():
                self._failed.set()
                self._on_failure(error)
            raise Refusal(503, _BROKEN, retry_after_s=5) from None
