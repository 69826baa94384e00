"""What the processes of a backend share: the log of all that was accepted, and the read model made from it.

::

    HTTP process   log.append -> 200 -> the bus says that the log has grown
    worker         projector: from the log to the read model
    HTTP process   queries;  progress tells how far they can see
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Protocol

from honeyhive.exceptions import ProjectionStoppedError
from honeyhive.journal import Position
from honeyhive.models.wire import RecordKind
from honeyhive.server.admission.limits import Limits, Refusal
from honeyhive.server.index.projector import IngestProjector
from honeyhive.server.index.queries import Queries
from honeyhive.server.retention.forgetting import Forgetter

__all__ = ["Log", "Progress", "Storage", "readable"]


class Log(Protocol):
    """Where accepted requests go. Thread-safe."""

    def append(self, kind: RecordKind, payload: bytes, items: int = 1) -> Position:
        """Append one record and return its position once it is durable.

        Raises:
            Refusal: 507 when the disk is full, 503 when the log cannot be written; nothing counts as stored.
        """
        ...

    @property
    def last(self) -> Position | None:
        """The newest position that is known here."""
        ...


class Progress(Protocol):
    """How far readers can see."""

    @property
    def backlog(self) -> int:
        """Records that are accepted and not readable yet; may be some tenths of a second old."""
        ...

    async def reached(self, position: Position) -> None:
        """Return when everything up to *position* can be read.

        Raises:
            ProjectionStoppedError: Nobody works at that any more.
        """
        ...

    async def caught_up(self) -> None:
        """Return when everything can be read that is accepted by now, by whichever process; raises as `reached` does."""
        ...


class Storage(ABC):
    """A log, the read model made from it, and what keeps the one up with the other.

    Attributes:
        log: Where accepted requests go.
        queries: What readers ask.
        projector: Keeps the read model up to date; a worker starts and stops it.
        progress: How far readers can see.
        forgetter: Forgets the oldest.
    """

    log: Log
    queries: Queries
    projector: IngestProjector
    progress: Progress
    forgetter: Forgetter

    @abstractmethod
    def close(self) -> None:
        """Close what was opened; the projector is stopped before."""


async def readable(progress: Awaitable[None], limits: Limits) -> None:
    """Wait for *progress*.

    Raises:
        Refusal: 503 when that takes too long; what was sent is stored all the same.
    """
    try:
        async with asyncio.timeout(limits.wait_s):
            await progress
    except (TimeoutError, ProjectionStoppedError):
        raise Refusal(503, "Stored, but not readable yet.", retry_after_s=1) from None
