"""Time that passes only when a test says so."""

from __future__ import annotations

import threading

from honeyhive.utils.clock import Clock

__all__ = ["ManualClock"]


class ManualClock(Clock):
    """A clock moved by hand. Safe to use from any thread.

    ``sleep`` moves it: code that pauses runs through at once, and ``slept`` tells how long it would have taken.
    ``wait`` does not: a thread that waits with a timeout stays until its event is set or another thread has called
    `advance` far enough.

    Args:
        start_ns: The wall time to begin with, in nanoseconds since 1970; 1 January 2026 by default.

    Attributes:
        slept: Every pause that was asked for, in seconds, in order.
    """

    _START_NS = 1_767_225_600_000_000_000
    _LOOK_AGAIN_S = 0.001

    def __init__(self, start_ns: int = _START_NS) -> None:
        self.slept: list[float] = []
        self._start_ns = start_ns
        self._now_ns = start_ns
        # Keeps every reading between two settings of the same clock.
        self._moved = threading.Condition()

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass.

        Raises:
            ValueError: They are negative; `set_time` turns the wall clock back.
        """
        if seconds < 0:
            raise ValueError(f"time does not pass backwards by {-seconds} s")
        with self._moved:
            self._now_ns += round(seconds * 1e9)
            self._moved.notify_all()

    def set_time(self, time_ns: int) -> None:
        """Set the wall clock, as an administrator would; monotonic time goes on undisturbed."""
        with self._moved:
            self._start_ns += time_ns - self._now_ns
            self._now_ns = time_ns

    def time_ns(self) -> int:
        """Return the wall time in nanoseconds since 1970."""
        with self._moved:
            return self._now_ns

    def monotonic(self) -> float:
        """Return the seconds that have passed on this clock."""
        with self._moved:
            return (self._now_ns - self._start_ns) / 1e9

    def sleep(self, seconds: float) -> None:
        """Note the pause and let it pass at once."""
        self.slept.append(seconds)
        self.advance(max(0.0, seconds))

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Return when *event* is set, or when the clock was advanced by *timeout_s*; true if it is set."""
        deadline = self.monotonic() + timeout_s
        while not event.is_set():
            with self._moved:
                if (self._now_ns - self._start_ns) / 1e9 >= deadline:
                    break
                # The event cannot wake us, only the clock can: so look at it again soon.
                self._moved.wait(self._LOOK_AGAIN_S)
        return event.is_set()
