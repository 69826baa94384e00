"""The projection engine in a task, on asyncio or trio.

::

    async with anyio.create_task_group() as tasks:
        projector = AsyncProjector(source, sink)
        tasks.start_soon(projector.run)
        await projector.reached(position)
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

from honeyhive.events.following import BuriedRecord, Following, Positioned, Progress, Sink, Source, Tally
from honeyhive.events.projector import PATIENT
from honeyhive.events.steps import run_async
from honeyhive.exceptions import ProjectionStoppedError
from honeyhive.resilience import RetryPolicy
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["AsyncProjector"]

R = TypeVar("R", bound=Positioned)
P = TypeVar("P")

_logger = logging.getLogger("honeyhive.events")


class AsyncProjector(Generic[R, P]):
    """Follows a source and keeps a sink up to date, in a task; either may be asynchronous or not.

    Args:
        source: What to follow.
        sink: What to keep up to date; opened, used and closed in the task.
        on_buried: Called for each record that cannot be applied.
        retry: How often to try again in an outage of the sink or the source, and after which pauses; when the policy
            gives up, the outage is raised.
        outages: What counts as an outage of the source.
        poll_s: How often to look at the source unasked; ``None`` to rely on `nudge`.
        rebuild: Forget the read model first and project everything again.
        sleep: Passes the time of pauses.
        clock: Measures how far behind it is.
    """

    def __init__(
        self,
        source: Source[R, P],
        sink: Sink[R, P],
        *,
        on_buried: Callable[[BuriedRecord], None] | None = None,
        retry: RetryPolicy = PATIENT,
        outages: tuple[type[Exception], ...] = (OSError,),
        poll_s: float | None = None,
        rebuild: bool = False,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        clock: Clock | None = None,
    ) -> None:
        self._following = Following(source, sink, on_buried=on_buried)
        self._outages = (*outages, *sink.outages)
        self._retry = retry
        self._poll_s = poll_s
        self._rebuild = rebuild
        self._sleep = sleep
        self._clock = clock or SystemClock()
        self._tally = Tally[P](self._clock)
        self._grown: anyio.Event | None = None
        self._over = False
        self._waiters: set[anyio.Event] = set()

    async def run(self) -> None:
        """Follow the source until cancelled.

        Raises:
            Exception: It cannot go on.
        """
        try:
            await self._patiently(self._begin)
            while True:
                await self._go_on()
        finally:
            self._over = True
            for event in tuple(self._waiters):
                event.set()
            with anyio.CancelScope(shield=True):
                await run_async(self._following.end())

    def nudge(self, records: int = 1) -> None:
        """Say, from the event loop of `run`, that the source has grown by so many records."""
        self._tally.announce(records)
        if self._grown is not None:
            self._grown.set()

    async def reached(self, position: P | None) -> None:
        """Return when everything up to *position* can be read.

        Raises:
            ProjectionStoppedError: It has ended before that.
        """
        event = anyio.Event()
        self._waiters.add(event)
        try:
            self._tally.when(position, event.set)
            if not self._over:
                await event.wait()
        finally:
            self._waiters.discard(event)
        if self._over and not self._tally.reaches(position):
            raise ProjectionStoppedError(f"the projection {self._following.sink.name} has ended")

    @property
    def position(self) -> P | None:
        """Up to where the source is projected."""
        return self._tally.position

    def progress(self) -> Progress[P]:
        """Return the figures of this moment."""
        return self._tally.progress()

    async def _go_on(self) -> None:
        self._grown = anyio.Event()
        announced = self._tally.announced
        if await self._patiently(self._advance) == 0:
            self._tally.at_end(announced)
            with anyio.move_on_after(self._poll_s):
                await self._grown.wait()

    async def _begin(self) -> int:
        await run_async(self._following.begin(rebuild=self._rebuild))
        self._tally.move(self._following.position)
        return 1

    async def _advance(self) -> int:
        await anyio.lowlevel.checkpoint()  # neither source nor sink need ever give way to others
        count = await run_async(self._following.advance())
        if count:
            self._tally.count(count)
            self._tally.move(self._following.position)
        return count

    async def _patiently(self, work: Callable[[], Awaitable[int]]) -> int:
        """Return what *work* returns, trying again through outages."""
        attempts = self._retry.begin(self._clock)
        while True:
            try:
                return await work()
            except self._outages as error:
                pause_s = attempts.pause_after(error)
                if pause_s is None:
                    raise
                self._tally.fail(error)
                _logger.warning("%s waits %.3g s: %s", self._following.sink.name, pause_s, error)
                await self._sleep(pause_s)
