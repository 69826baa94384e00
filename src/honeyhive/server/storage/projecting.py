"""What workers do: keep the read model up with the log, told by the bus that it has grown.

The message is news, no cargo: what was accepted is in the log. News that gets lost delays readers, and nothing else.
"""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Final, Self

from honeyhive.events import Event, MessageBus
from honeyhive.runtime.declaring import on_message
from honeyhive.server.index.projector import IngestProjector
from honeyhive.utils.guard import guard

__all__ = ["Announcer", "Projecting", "RecordsAccepted"]


_GATHER_S: Final = 0.005
"""How long news wait for more of them: publishing costs as much as accepting does."""


class RecordsAccepted(Event):
    """The log has grown by so many records."""

    records: int


class Announcer:
    """Publishes that the log has grown; what comes within some milliseconds makes one message.

    Used with ``async with``.

    Args:
        bus: Where to.
    """

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._lock = threading.Lock()  # no record is counted in two messages
        self._records = 0
        self._news = asyncio.Event()

    def note(self) -> None:
        """Say that one more record is in the log; from any thread."""
        with self._lock:
            self._records += 1
            is_first = self._records == 1
        if is_first:
            self._loop.call_soon_threadsafe(self._news.set)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(_GATHER_S)
            self._news.clear()
            with self._lock:
                records, self._records = self._records, 0
            with guard("tell workers that the log has grown"):
                await self._bus.publish(RecordsAccepted(records=records))


class Projecting:
    """Projects what was accepted.

    Args:
        projector: Does it, in a thread of its own.
    """

    def __init__(self, projector: IngestProjector) -> None:
        self._projector = projector

    @on_message(RecordsAccepted)
    async def project(self, message: RecordsAccepted) -> None:
        """Look at the log."""
        self._projector.nudge(message.records)
