"""Keeping below a service's limit of calls, instead of running into it."""

from __future__ import annotations

import threading
from collections import deque

from honeyhive.utils.clock import Clock

__all__ = ["RateLimit"]


class RateLimit:
    """Lets at most *calls* start within any *window_s* seconds; the others are told how long to wait.

    Safe to use from any thread; it never blocks.
    """

    __slots__ = ("_calls", "_clock", "_lock", "_starts", "_window_s")

    def __init__(self, calls: int, window_s: float, clock: Clock) -> None:
        self._calls = calls
        self._window_s = window_s
        self._clock = clock
        # Keeps the list of the last starts in order: reading the last and adding the next is one step.
        self._lock = threading.Lock()
        self._starts: deque[float] = deque(maxlen=calls)

    def reserve(self) -> float:
        """Take the next free start; return the seconds until then, zero for now."""
        with self._lock:
            now = self._clock.monotonic()
            start = now if len(self._starts) < self._calls else max(now, self._starts[0] + self._window_s)
            self._starts.append(start)
            return start - now
