"""Time as a collaborator: whatever waits or measures is given a clock, so that tests can move it by hand."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod

__all__ = ["Clock", "SystemClock"]


class Clock(ABC):
    """Tells the time and passes it.

    ``time_ns`` may jump when the machine's clock is set; ``monotonic`` never goes back and is only good for differences.
    Safe to use from any thread.
    """

    __slots__ = ()

    @abstractmethod
    def time_ns(self) -> int:
        """Return the wall time in nanoseconds since 1970, UTC."""

    @abstractmethod
    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment."""

    @abstractmethod
    def sleep(self, seconds: float) -> None:
        """Return after *seconds*; at once if they are not positive."""

    @abstractmethod
    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Return as soon as *event* is set or *timeout_s* seconds are over; true if it is set."""


class SystemClock(Clock):
    """The machine's own clock."""

    __slots__ = ()

    def time_ns(self) -> int:
        """Return the wall time in nanoseconds since 1970, UTC."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Return after *seconds*; at once if they are not positive."""
        if seconds > 0:
            time.sleep(seconds)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Return as soon as *event* is set or *timeout_s* seconds are over; true if it is set."""
        return event.wait(max(0.0, timeout_s))
