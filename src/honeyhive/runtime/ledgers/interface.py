"""The contract of a tick ledger."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

__all__ = ["Claim", "TickLedger"]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one tick, as long as its lease is renewed.

    Attributes:
        schedule: The schedule's name.
        tick: The moment it was due, UTC, to the second.
        owner: Known to nobody else.
        attempt: 1, and one more for each scheduler that had the tick before and fell silent.
    """

    schedule: str
    tick: datetime
    owner: str
    attempt: int = 1


@runtime_checkable
class TickLedger(Protocol):
    """Remembers for every tick who runs it and whether it is done.

    Guarantees: of all who `claim` a tick, at one time one has it; a tick that was finished is never given away again,
    as long as it is remembered. Does not guarantee that a job runs only once: who falls silent longer than its lease
    loses its claim, though it may still be at work. `renew` tells it.
    """

    async def claim(self, schedule: str, tick: datetime, lease_s: float) -> Claim | None:
        """Return the right to run *tick*, or ``None`` if it is done or another has it."""

    async def renew(self, claim: Claim, lease_s: float) -> bool:
        """Keep *claim* for *lease_s* seconds from now; false if it is lost."""

    async def finish(self, claim: Claim) -> bool:
        """Mark the tick of *claim* as done; false if the claim was lost before."""

    async def last(self, schedule: str) -> datetime | None:
        """Return the newest tick of *schedule* that anyone has claimed, or ``None``."""

    async def abandoned(self, schedules: Collection[str]) -> list[tuple[str, datetime]]:
        """Return the ticks of *schedules* that were claimed, are not done, and whose lease has run out."""
