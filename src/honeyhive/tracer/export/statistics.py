"""Where every finished span is: counters that add up, and what a flush can promise.

Double-entry book-keeping: a span enters the ledger once and is then moved from place to place, so that at any quiescent
point ``finished + adopted == delivered + spooled + in_memory + sum(dropped.values())``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

__all__ = ["DropReason", "FlushResult", "Ledger", "Place", "Statistics"]

_NOTHING: Mapping[str, int] = MappingProxyType({})


class DropReason(StrEnum):
    """Why a finished span will not arrive."""

    QUEUE_FULL = "queue_full"
    SPOOL_FULL = "spool_full"
    SPOOL_UNAVAILABLE = "spool_unavailable"
    TOO_LARGE = "too_large"
    REJECTED_BY_BACKEND = "rejected_by_backend"
    PARTIAL_SUCCESS = "partial_success"
    INVALID = "invalid"
    EXPIRED = "expired"
    SAMPLED = "sampled"
    DISABLED = "disabled"
    AFTER_SHUTDOWN = "after_shutdown"
    CORRUPT = "corrupt"
    INTERNAL_ERROR = "internal_error"


DELIBERATE = frozenset({DropReason.SAMPLED, DropReason.DISABLED})
"""Reasons that somebody asked for: counted, but no loss."""


class Place(StrEnum):
    """Where a span that was not dropped can be."""

    MEMORY = "in_memory"
    SPOOL = "spooled"
    BACKEND = "delivered"


@dataclass(frozen=True, slots=True)
class Statistics:
    """How many spans were finished, and where they are now.

    At any quiescent point ``finished + adopted == delivered + spooled + in_memory + sum(dropped.values())``.
    """

    finished: int = 0
    """Spans that this process ended."""
    adopted: int = 0
    """Spans taken over from processes that died before sending them."""
    delivered: int = 0
    """Spans that a backend has accepted."""
    spooled: int = 0
    """Spans in a journal on disk, still to be sent."""
    in_memory: int = 0
    """Spans in a queue, or in a journal that found no disk."""
    dropped: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    """Lost spans by reason, one of the values of `DropReason`; reasons without a loss are absent."""
    redacted: int = 0
    """Values, names and messages of spans in which a secret was replaced, or which were withheld; no part of the sum."""
    truncated: int = 0
    """Values and spans that were cut to their limit; no part of the sum."""

    @property
    def lost(self) -> int:
        """Spans dropped for a reason that nobody asked for."""
        return sum(count for reason, count in self.dropped.items() if reason not in DELIBERATE)

    def __add__(self, other: Statistics) -> Statistics:
        dropped = dict(self.dropped)
        for reason, count in other.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
        return Statistics(
            self.finished + other.finished,
            self.adopted + other.adopted,
            self.delivered + other.delivered,
            self.spooled + other.spooled,
            self.in_memory + other.in_memory,
            MappingProxyType(dropped),
            self.redacted + other.redacted,
            self.truncated + other.truncated,
        )


@dataclass(frozen=True, slots=True)
class FlushResult:
    """What a flush achieved; true only if nothing that was finished before the call can be lost any more."""

    complete: bool
    """Each span finished before the call is delivered or durably on disk, and none was lost since the last flush."""
    delivered: int = 0
    """Spans that a backend has accepted since the last flush."""
    spooled: int = 0
    """Spans in a journal on disk when the flush returned."""
    dropped: int = 0
    """Spans lost since the last flush."""
    in_memory: int = 0
    """Spans in memory only when the flush returned."""
    elapsed: float = 0.0
    """Seconds that the flush took."""

    def __bool__(self) -> bool:
        return self.complete

    def __add__(self, other: FlushResult) -> FlushResult:
        """Join the results of flushes that ran side by side."""
        return FlushResult(
            self.complete and other.complete,
            self.delivered + other.delivered,
            self.spooled + other.spooled,
            self.dropped + other.dropped,
            self.in_memory + other.in_memory,
            max(self.elapsed, other.elapsed),
        )


class Ledger:
    """The counters of one destination, safe to use from any thread.

    Spans that wait in a queue are not in here yet: whoever owns the queue adds them (`snapshot`).
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Start from zero, with a fresh lock: a forked child answers for its own spans only."""
        # Keeps the sum of places equal to the sum of entries; re-entrant because a finaliser may end a span meanwhile.
        self._lock = threading.RLock()
        self._finished = 0
        self._adopted = 0
        self._places = dict.fromkeys(Place, 0)
        self._dropped: dict[str, int] = {}

    def finish(self, count: int) -> None:
        """Enter *count* spans that left the queue; they are in memory."""
        with self._lock:
            self._finished += count
            self._places[Place.MEMORY] += count

    def adopt(self, count: int) -> None:
        """Enter *count* spans of a dead process; they are in the spool."""
        with self._lock:
            self._adopted += count
            self._places[Place.SPOOL] += count

    def forsake(self, count: int) -> None:
        """Take back *count* adopted spans that were left in the spool for somebody else."""
        with self._lock:
            self._adopted -= count
            self._places[Place.SPOOL] -= count

    def move(self, count: int, source: Place, target: Place) -> None:
        """Move *count* spans from one place to another."""
        with self._lock:
            self._places[source] -= count
            self._places[target] += count

    def drop(self, count: int, source: Place, reason: DropReason) -> None:
        """Take *count* spans from their place and count them as lost."""
        if not count:
            return
        with self._lock:
            self._places[source] -= count
            self._dropped[reason] = self._dropped.get(reason, 0) + count

    def refuse(self, count: int, reason: DropReason) -> None:
        """Count *count* finished spans that were lost before they had a place."""
        with self._lock:
            self._finished += count
            self._dropped[reason] = self._dropped.get(reason, 0) + count

    @property
    def delivered(self) -> int:
        """Spans that a backend has accepted."""
        return self._places[Place.BACKEND]

    def snapshot(self, queued: int = 0) -> Statistics:
        """Return the counters, with *queued* finished spans more that still wait in a queue."""
        with self._lock:
            return Statistics(
                self._finished + queued,
                self._adopted,
                self._places[Place.BACKEND],
                self._places[Place.SPOOL],
                self._places[Place.MEMORY] + queued,
                MappingProxyType({str(reason): count for reason, count in self._dropped.items()}),
            )
