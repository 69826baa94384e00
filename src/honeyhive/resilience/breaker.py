"""A circuit breaker: after enough failures in a row, stop asking for a while, then ask once.

The core knows neither what is called nor how: callers ask ``allow()`` first and report ``succeeded()`` or ``failed()``
after, so the same breaker serves the API client, the exporter's senders and anybody's coroutine.
"""

from __future__ import annotations

import math
import threading
from enum import StrEnum

from honeyhive.utils.clock import Clock, SystemClock
from honeyhive.utils.fork import Renewable, renew_after_fork

__all__ = ["CircuitBreaker", "CircuitState"]


class CircuitState(StrEnum):
    """Where a circuit breaker stands."""

    CLOSED = "closed"
    """Calls pass."""
    OPEN = "open"
    """Calls are refused."""
    HALF_OPEN = "half_open"
    """One call, the probe, decides."""


class CircuitBreaker(Renewable):
    """Refuses calls to something that has failed *failure_threshold* times in a row.

    *timeout* seconds after opening it lets one call through, the probe. Its success closes the breaker, its failure
    opens it for another *timeout*. A probe that never reports is given up after *timeout* seconds and another one is
    let through, so that a lost caller cannot keep the breaker open.

    Safe to use from any thread and in a forked child; it never blocks.

    Args:
        failure_threshold: Failures in a row that open the breaker; at least 1.
        timeout: Seconds from opening to the next probe.
        clock: Measures them.

    Raises:
        ValueError: A number is outside its range.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_failures",
        "_lock",
        "_opened",
        "_probing_since",
        "failure_threshold",
        "timeout",
    )

    def __init__(self, failure_threshold: int = 5, timeout: float = 30.0, *, clock: Clock | None = None) -> None:
        if failure_threshold < 1:
            raise ValueError(f"failure_threshold is {failure_threshold}; it must be at least 1")
        if not 0 <= timeout < math.inf:
            raise ValueError(f"timeout is {timeout}; it must be zero or more seconds")
        self.failure_threshold = failure_threshold
        self.timeout = timeout
        self._clock = clock or SystemClock()
        self._failures = 0
        self._opened: float | None = None
        self._probing_since: float | None = None
        self.renew()
        renew_after_fork(self)

    @property
    def state(self) -> CircuitState:
        """Where the breaker stands now."""
        with self._lock:
            if self._opened is None:
                return CircuitState.CLOSED
            return CircuitState.OPEN if self._wait_s() > 0 else CircuitState.HALF_OPEN

    @property
    def failure_count(self) -> int:
        """Failures in a row so far."""
        return self._failures

    @property
    def retry_in_s(self) -> float:
        """Seconds until the next probe may pass; zero while calls pass."""
        with self._lock:
            return self._wait_s()

    def allow(self) -> bool:
        """Say whether a call may be made now; if so, report how it went.

        Of several callers asking a half-open breaker, one is told to go ahead.
        """
        with self._lock:
            if self._opened is None:
                return True
            if self._wait_s() > 0 or self._is_probing():
                return False
            self._probing_since = self._clock.monotonic()
            return True

    def succeeded(self) -> None:
        """Report that an allowed call went well: calls pass again."""
        with self._lock:
            self._failures = 0
            self._opened = None
            self._probing_since = None

    def failed(self) -> None:
        """Report that an allowed call failed."""
        with self._lock:
            self._failures += 1
            if self._probing_since is not None or (self._opened is None and self._failures >= self.failure_threshold):
                self._opened = self._clock.monotonic()
                self._probing_since = None

    def abandoned(self) -> None:
        """Report that an allowed call ended without a verdict, by cancellation say: another probe may go."""
        with self._lock:
            self._probing_since = None

    def renew(self) -> None:
        """Take a fresh lock and forget the probe, which is the parent's: for a forked child."""
        # Keeps the three fields above consistent with one another; held for a few assignments, never across a call.
        self._lock = threading.Lock()
        self._probing_since = None

    def _wait_s(self) -> float:
        if self._opened is None:
            return 0.0
        return max(0.0, self._opened + self.timeout - self._clock.monotonic())

    def _is_probing(self) -> bool:
        if self._probing_since is None:
            return False
        return self._clock.monotonic() - self._probing_since < self.timeout
