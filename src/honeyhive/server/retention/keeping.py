"""How long, or how much, a backend keeps: by age, by size, by both, or for ever.

What counts is when a record was accepted, not what it says of itself. By age everything older goes; by size the oldest goes
until the rest fits. The log and the read model forget the same.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from typing import Final

from honeyhive.exceptions import ConfigurationError, JournalError, ProjectionStoppedError, StoreUnavailableError
from honeyhive.runtime.declaring import every
from honeyhive.server.admission.limits import Refusal
from honeyhive.server.chores import Chore, Complaints
from honeyhive.server.retention.forgetting import Forgetter
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["LARGEST_SEGMENT_BYTES", "Keeping", "Retention", "segment_bytes_for"]

LARGEST_SEGMENT_BYTES: Final = 8 * 1024 * 1024
_SMALLEST_SEGMENT_BYTES: Final = 256 * 1024
_SEGMENTS_OF_SIZE: Final = 32
_LONGEST_GRAIN_NS: Final = 60 * 10**9
_GRAINS: Final = 20
"""What is too old goes together with what gets so within that part of the time, or within a minute."""
_SEGMENTS: Final = 8
"""Into how many segments the time that is kept is divided at least, however little comes in."""
_MOST_ROOM: Final = 1 / 8
_ROUNDS: Final = 16
"""How often to look again in one sweep whether enough is gone."""


def segment_bytes_for(keep_bytes: int | None) -> int:
    """Return how large the segments of a journal may be of which *keep_bytes* are kept."""
    if keep_bytes is None:
        return LARGEST_SEGMENT_BYTES
    return max(_SMALLEST_SEGMENT_BYTES, min(LARGEST_SEGMENT_BYTES, keep_bytes // _SEGMENTS_OF_SIZE))


class Retention:
    """Keeps what is not too old and not too much. For one thread at a time.

    Args:
        forgetter: Forgets.
        keep_s: How long to keep, in seconds; ``None`` for ever.
        keep_bytes: How much to keep, log and read model together; ``None`` for all.
        clock: Tells what is old.

    Attributes:
        has_bounds: Whether anything is ever to be forgotten.

    Raises:
        ConfigurationError: A bound cannot be held; the message names the fix.
    """

    def __init__(
        self,
        forgetter: Forgetter,
        *,
        keep_s: float | None = None,
        keep_bytes: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        if keep_s is not None and not (keep_s > 0 and math.isfinite(keep_s)):
            raise ConfigurationError(
                f"Nothing can be kept for {keep_s} seconds. Give more than 0, or nothing to keep it for ever."
            )
        if keep_bytes is not None and keep_bytes < forgetter.least_bytes:
            raise ConfigurationError(
                f"{keep_bytes:,} bytes are too few to keep: the journal goes by files. Give {forgetter.least_bytes:,}"
                " or more, or nothing to keep everything."
            )
        self.has_bounds = keep_s is not None or keep_bytes is not None
        self._forgetter = forgetter
        self._keep_ns = None if keep_s is None else round(keep_s * 1e9)
        self._keep_bytes = keep_bytes
        self._clock = clock or SystemClock()
        self._forgotten_ns = 0
        self._left_bytes: int | None = None
        self._complaints = Complaints()

    def sweep(self) -> None:
        """Forget what is not to be kept now."""
        for _ in self.steps():
            pass

    def steps(self) -> Generator[None, None, None]:
        """Do as `sweep` does, in short steps; what is left when the iterator is closed is left for the next time.

        What stands in the way is logged once, and ends this time: a full disk, a read model that is away or behind.
        """
        try:
            if self._keep_ns is not None:
                yield from self._forget_old(self._keep_ns)
            if self._keep_bytes is not None:
                yield from self._forget_excess(self._keep_bytes)
        except (TimeoutError, Refusal, JournalError, ProjectionStoppedError, StoreUnavailableError) as error:
            self._complaints.make(
                f"What is too old or too much could not be forgotten now: {str(error) or type(error).__name__}"
            )

    def _forget_old(self, keep_ns: int) -> Iterator[None]:
        now_ns = self._clock.time_ns()
        before_ns = now_ns - keep_ns
        self._forgetter.seal(now_ns - keep_ns // _SEGMENTS)
        if before_ns - self._forgotten_ns >= min(_LONGEST_GRAIN_NS, keep_ns // _GRAINS):
            yield from self._forgetter.forget_before(before_ns)
            self._forgotten_ns = before_ns

    def _forget_excess(self, keep_bytes: int) -> Iterator[None]:
        size = self._forgetter.size()
        # What came since the last time is likely to come again before the next.
        came = size.total_bytes - (size.total_bytes if self._left_bytes is None else self._left_bytes)
        bound = keep_bytes - min(max(came, 0), int(keep_bytes * _MOST_ROOM))
        for _ in range(_ROUNDS):
            if size.total_bytes <= bound:
                break
            before_ns = self._forgetter.moment_for((size.total_bytes - bound) / size.total_bytes)
            if before_ns is None or before_ns > self._clock.time_ns():
                self._complaints.make(f"More than {keep_bytes:,} bytes are kept, and none of it is old enough to go.")
                break
            yield from self._forgetter.forget_before(before_ns)
            size = self._forgetter.size()
        self._left_bytes = size.total_bytes


class Keeping:
    """Has a backend look every second whether it keeps too much.

    Args:
        retention: Says what is too much.
    """

    def __init__(self, retention: Retention) -> None:
        self._has_bounds = retention.has_bounds
        self._chore = Chore(retention.steps)

    @every("* * * * * *", missed="skip")
    async def sweep(self) -> None:
        """Forget what is not to be kept."""
        if self._has_bounds:
            await self._chore.do()
