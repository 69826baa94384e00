"""What becomes of calls that fail while the program shall not notice: a fallback, one warning, a count."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from honeyhive.exceptions import APIError
from honeyhive.utils.clock import Clock

__all__ = ["CallStatistics", "Degradation"]

_logger = logging.getLogger("honeyhive.api")

WARNING_INTERVAL_S = 60.0


@dataclass(frozen=True, slots=True)
class CallStatistics:
    """How the calls of a client went so far."""

    succeeded: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    """Calls that failed, by the name of the error; each of them raised it or returned its fallback."""


class Degradation:
    """Counts how calls go, and warns once when an outage begins and once when it is over.

    An outage concerns the whole service (no answer, 5xx, 429, a refused key) or one operation (any other refusal). It
    is over when a call that it concerns succeeds. No two warnings of one outage come within a minute.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Keeps counters and outages consistent; never held while logging.
        self._lock = threading.Lock()
        self._succeeded = 0
        self._failed: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._warned: dict[str, float] = {}

    def statistics(self) -> CallStatistics:
        """Return the counts of this moment."""
        with self._lock:
            return CallStatistics(self._succeeded, dict(self._failed))

    def count(self, error: APIError) -> None:
        """Count a call that failed."""
        with self._lock:
            self._failed[type(error).__name__] += 1

    def report(self, operation: str, error: APIError) -> None:
        """Warn that *operation* returned its fallback, unless its outage has been reported."""
        concerned = _SERVICE if _concerns_all(error) else operation
        now = self._clock.monotonic()
        with self._lock:
            first = not self._lost[concerned]
            self._lost[concerned] += 1
            quiet = now - self._warned.get(concerned, -WARNING_INTERVAL_S) < WARNING_INTERVAL_S
            if not first or quiet:
                return
            self._warned[concerned] = now
        _logger.warning(
            "%s. Your program goes on with a fallback; further failures are counted and not reported.", error
        )

    def succeeded(self, operation: str) -> None:
        """Count a call that went well; outages that concern it are over."""
        with self._lock:
            self._succeeded += 1
            lost = self._lost.pop(_SERVICE, 0) + self._lost.pop(operation, 0)
        if lost:
            _logger.info("%s works again; %d calls returned their fallback meanwhile.", operation, lost)


_SERVICE = ""


def _concerns_all(error: APIError) -> bool:
    status = error.status_code
    return status is None or status in {401, 403, 429} or status >= 500
