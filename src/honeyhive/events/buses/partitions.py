"""Sharing partitions among the processes of a group, for engines that do not do it themselves.

Each process says now and then that it is alive, and holds leases on as many partitions as are its fair share. Whoever
joins gets what others give up; what a dead process held is free when its leases end. A partition changes hands only
after all that was delivered of it is acknowledged, or its holder is dead: so its messages stay in order.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from honeyhive.utils.guard import guard

__all__ = ["Leases", "Outstanding", "PartitionShare", "first_of", "unless"]

T = TypeVar("T")

_chance = random.SystemRandom()


class Leases(Protocol):
    """What an engine knows of who is alive and who holds which partition."""

    async def check_in(self) -> int:
        """Say that this process is alive; return how many of the group are, this one included."""
        ...

    async def acquire(self, partition: int) -> bool:
        """Take the lease on *partition* if nobody holds it; return whether it is ours now."""
        ...

    async def renew(self, partition: int) -> bool:
        """Prolong our lease on *partition*; return whether it is still ours."""
        ...

    async def release(self, partition: int) -> None:
        """Give up our lease on *partition*."""
        ...

    async def check_out(self) -> None:
        """Say that this process leaves the group."""
        ...


class Outstanding:
    """What was delivered of one partition and is not acknowledged yet."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    def add(self) -> None:
        """Count one more."""
        self._count += 1
        self._none.clear()

    def remove(self) -> None:
        """Count one less."""
        self._count -= 1
        if not self._count:
            self._none.set()

    async def wait_for_none(self) -> None:
        """Return when all is acknowledged."""
        await self._none.wait()


@dataclass(slots=True)
class _Held:
    """A partition that is read here."""

    task: asyncio.Task[None]
    revoked: asyncio.Event = field(default_factory=asyncio.Event)


class PartitionShare:
    """The partitions that this process reads, and how they change.

    Args:
        leases: Who holds which.
        partitions: How many there are.
        read: Reads one partition until it is revoked, and then returns when all that it delivered is acknowledged.
        interval_s: How often to look whether the share has changed, in seconds.
        give_back: Called when reading is broken off: what is delivered and not acknowledged will be handed out again.
    """

    def __init__(
        self,
        leases: Leases,
        partitions: int,
        read: Callable[[int, asyncio.Event], Coroutine[Any, Any, None]],
        interval_s: float,
        give_back: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._leases = leases
        self._partitions = partitions
        self._read = read
        self._interval_s = interval_s
        self._give_back = give_back
        self._leased: set[int] = set()
        self._held: dict[int, _Held] = {}
        # Keeps a lease from being renewed while it is released.
        self._leasing = asyncio.Lock()

    async def run(self, stopping: asyncio.Event) -> None:
        """Read our share until *stopping* is set and all of it is given back.

        When it is cancelled, others can go on at once with what was not acknowledged.
        """
        try:
            await self._share(stopping)
        except asyncio.CancelledError:
            with guard("give partitions back"):
                await self._break_off()
            raise

    async def _share(self, stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            while not stopping.is_set():
                await self._adjust(tasks)
                await first_of(stopping, timeout_s=self._interval_s)
            for held in self._held.values():
                held.revoked.set()
            while working := [held.task for held in self._held.values()]:
                # Whoever still works needs its lease.
                await self._renew()
                await asyncio.wait(working, timeout=self._interval_s)
            await self._leases.check_out()

    async def _adjust(self, tasks: asyncio.TaskGroup) -> None:
        members = await self._leases.check_in()
        fair = math.ceil(self._partitions / max(1, members))
        await self._renew()
        reading = [held for held in self._held.values() if not held.revoked.is_set()]
        for held in reading[fair:]:
            held.revoked.set()
        free = [each for each in range(self._partitions) if each not in self._held]
        _chance.shuffle(free)
        for partition in free:
            if len(self._held) >= fair:
                break
            if await self._leases.acquire(partition):
                revoked = asyncio.Event()
                self._leased.add(partition)
                self._held[partition] = _Held(tasks.create_task(self._hold(partition, revoked)), revoked)

    async def _renew(self) -> None:
        for partition, held in list(self._held.items()):
            async with self._leasing:
                if partition in self._held and not await self._leases.renew(partition):
                    # Somebody else may hold it by now: what we still have of it is not ours to acknowledge.
                    self._leased.discard(partition)
                    held.task.cancel()

    async def _hold(self, partition: int, revoked: asyncio.Event) -> None:
        try:
            await self._read(partition, revoked)
            async with self._leasing:
                del self._held[partition]
                self._leased.discard(partition)
                await self._leases.release(partition)
        finally:
            self._held.pop(partition, None)

    async def _break_off(self) -> None:
        if self._give_back is not None:
            await self._give_back()
        while self._leased:
            await self._leases.release(self._leased.pop())
        await self._leases.check_out()


async def unless(event: asyncio.Event, work: Awaitable[T]) -> T | None:
    """Await *work*, but no longer than until *event* is set: then it is cancelled, and ``None`` is returned."""
    task = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # or asyncio would report as forgotten what is of no use to anybody


async def first_of(*events: asyncio.Event, timeout_s: float) -> None:
    """Return when one of *events* is set, or after *timeout_s* seconds."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
