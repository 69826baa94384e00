"""Work in lanes: one after the other in a lane, lanes at the same time, and never too much of it in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

__all__ = ["Job", "Lanes"]

Job: TypeAlias = Callable[[], Awaitable[None]]


class Lanes:
    """Runs jobs, those of a lane in the order in which they came. For one event loop of asyncio.

    A job that raises ends its lane; jobs are to deal with their errors themselves.

    Args:
        capacity: How many jobs may wait or run; then whoever brings one more waits.
    """

    def __init__(self, capacity: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = capacity
        self._has_room = asyncio.Event()
        self._waiting: dict[str, deque[Job]] = {}
        self._is_cancelled = False
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def put(self, lane: str, job: Job) -> None:
        """Have *job* run in *lane*; return when there is room for it."""
        while not self._room:
            self._has_room.clear()
            await self._has_room.wait()
        if self._is_cancelled:
            await asyncio.Event().wait()  # until whoever brings it is cancelled, too
        self._room -= 1
        if lane in self._tasks:
            self._waiting.setdefault(lane, deque()).append(job)
        else:
            self._tasks[lane] = self._loop.create_task(self._run(lane, job))

    async def cancel(self) -> None:
        """Cancel what runs, forget what waits and what still comes, and return when all has ended."""
        self._is_cancelled = True
        running = list(self._tasks.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def _run(self, lane: str, job: Job | None) -> None:
        """Run *job*, and after it what has come for *lane* meanwhile."""
        try:
            while job is not None:
                try:
                    await job()
                finally:
                    self._release(1)
                job = self._following(lane)
        finally:
            del self._tasks[lane]
            self._release(len(self._waiting.pop(lane, ())))

    def _following(self, lane: str) -> Job | None:
        waiting = self._waiting.get(lane)
        return waiting.popleft() if waiting else None

    def _release(self, jobs: int) -> None:
        self._room += jobs
        self._has_room.set()
