"""A tick ledger for one process: tests, and programs with one scheduler."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from honeyhive.runtime.ledgers.interface import Claim
from honeyhive.utils import Clock, SystemClock

__all__ = ["MemoryTickLedger"]


@dataclass(slots=True)
class _Entry:
    claim: Claim
    until_s: float
    done: bool = False


class MemoryTickLedger:
    """Keeps the ticks in memory. Of one process, for schedulers on one event loop.

    Args:
        clock: Measures the leases.
        remember: How many ticks of a schedule are remembered.
    """

    def __init__(self, clock: Clock | None = None, *, remember: int = 10_000) -> None:
        self._clock = clock or SystemClock()
        self._remember = remember
        self._claims = 0
        self._schedules: dict[str, dict[datetime, _Entry]] = {}

    async def claim(self, schedule: str, tick: datetime, lease_s: float) -> Claim | None:
        """Return the right to run *tick*, or ``None`` if it is done or another has it."""
        entries = self._schedules.setdefault(schedule, {})
        before = entries.get(tick)
        if before is not None and (before.done or before.until_s >= self._clock.monotonic()):
            return None
        self._claims += 1
        claim = Claim(schedule, tick, str(self._claims), 1 if before is None else before.claim.attempt + 1)
        entries[tick] = _Entry(claim, self._clock.monotonic() + lease_s)
        self._forget(entries)
        return claim

    async def renew(self, claim: Claim, lease_s: float) -> bool:
        """Keep *claim* for *lease_s* seconds from now; false if it is lost."""
        entry = self._held(claim)
        if entry is not None:
            entry.until_s = self._clock.monotonic() + lease_s
        return entry is not None

    async def finish(self, claim: Claim) -> bool:
        """Mark the tick of *claim* as done; false if the claim was lost before."""
        entry = self._held(claim)
        if entry is not None:
            entry.done = True
        return entry is not None

    async def last(self, schedule: str) -> datetime | None:
        """Return the newest tick of *schedule* that anyone has claimed, or ``None``."""
        return max(self._schedules.get(schedule, {}), default=None)

    async def abandoned(self, schedules: Collection[str]) -> list[tuple[str, datetime]]:
        """Return the ticks of *schedules* that were claimed, are not done, and whose lease has run out."""
        now = self._clock.monotonic()
        return [
            (schedule, tick)
            for schedule in schedules
            for tick, entry in self._schedules.get(schedule, {}).items()
            if not entry.done and entry.until_s < now
        ]

    def _held(self, claim: Claim) -> _Entry | None:
        entry = self._schedules.get(claim.schedule, {}).get(claim.tick)
        return entry if entry is not None and entry.claim.owner == claim.owner else None

    def _forget(self, entries: dict[datetime, _Entry]) -> None:
        done = [tick for tick, entry in entries.items() if entry.done]
        for tick in sorted(done)[: max(0, len(entries) - self._remember)]:
            del entries[tick]
