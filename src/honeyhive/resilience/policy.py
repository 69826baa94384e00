"""How often to try, and how long to pause in between: pure, and shared by all rooms.

``RetryPolicy`` says it; ``Attempts`` follows one operation through it and decides after each failure. Neither sleeps nor
calls anything, so whoever has a loop of its own stands on them too: the API client, the exporter, ``retry``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from honeyhive.resilience.checks import require_error_classes
from honeyhive.resilience.retry_after import asked_wait_s
from honeyhive.utils.clock import Clock

__all__ = ["Attempts", "RetryPolicy"]

# Neither the host program's random.seed() nor a fork may make what failed together come back together, and what the host
# draws from its own generator must not depend on us.
_randomness = random.SystemRandom().random


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often to try, and how long to pause in between.

    The n-th pause is ``min(max_delay, delay * backoff_factor**(n-1))`` seconds, of which the share *jitter* is random:
    with the default, full jitter, anything between nothing and the whole pause.

    Attributes:
        max_attempts: Tries in all, the first included; ``None`` for no limit.
        delay: The longest first pause, in seconds.
        backoff_factor: What each pause is multiplied by to get the next one; at least 1.
        max_delay: No pause is longer, in seconds, unless the failing service itself asks for it.
        jitter: The random share of each pause, between 0 (none) and 1 (all of it).
        exceptions: The errors worth another try; all others pass at once. Cancellation is never among them.
        max_age: No try starts later than this many seconds after the first one; ``None`` for no limit.

    Raises:
        TypeError: *exceptions* is no tuple of ``Exception`` classes.
        ValueError: A number is outside its range.
    """

    max_attempts: int | None = 3
    delay: float = 1.0
    backoff_factor: float = 2.0
    max_delay: float = 60.0
    jitter: float = 1.0
    exceptions: tuple[type[Exception], ...] = (Exception,)
    max_age: float | None = None

    def __post_init__(self) -> None:
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ValueError(f"max_attempts is {self.max_attempts}; the first try counts, so it is at least 1")
        _require(0 <= self.delay < math.inf, "delay", self.delay, "zero or more seconds")
        _require(1 <= self.backoff_factor < math.inf, "backoff_factor", self.backoff_factor, "1 or more")
        _require(0 <= self.max_delay < math.inf, "max_delay", self.max_delay, "zero or more seconds")
        _require(0 <= self.jitter <= 1, "jitter", self.jitter, "between 0 and 1")
        _require(self.max_age is None or self.max_age >= 0, "max_age", self.max_age, "zero or more seconds, or None")
        require_error_classes("exceptions", self.exceptions)

    def delays(self, randomness: Callable[[], float] = _randomness) -> Iterator[float]:
        """Yield the pause before each further try, in seconds; one fewer than there are attempts.

        Args:
            randomness: Returns numbers of ``[0, 1)``.
        """
        made = 1
        while self.max_attempts is None or made < self.max_attempts:
            yield self.pause(made, randomness)
            made += 1

    def pause(self, number: int, randomness: Callable[[], float] = _randomness) -> float:
        """Return the *number*-th pause, the first being 1, in seconds; whether there is one, `delays` knows.

        Args:
            number: Which pause.
            randomness: Returns numbers of ``[0, 1)``.
        """
        return self._longest_pause(number) * (1 - self.jitter * randomness())

    def _longest_pause(self, number: int) -> float:
        if not self.delay:
            return 0.0
        try:
            return min(self.max_delay, self.delay * self.backoff_factor ** (number - 1))
        except OverflowError:
            return self.max_delay

    def begin(
        self, clock: Clock, randomness: Callable[[], float] = _randomness, *, began_s: float | None = None
    ) -> Attempts:
        """Start following one operation.

        Args:
            clock: Measures its age.
            randomness: Returns numbers of ``[0, 1)``.
            began_s: When its first try began, on the monotonic clock; now by default.
        """
        return Attempts(self, clock, randomness, clock.monotonic() if began_s is None else began_s)


class Attempts:
    """One operation on its way through a policy; for one thread or task at a time."""

    __slots__ = ("_began_s", "_clock", "_delays", "_policy", "number")

    def __init__(self, policy: RetryPolicy, clock: Clock, randomness: Callable[[], float], began_s: float) -> None:
        self._policy = policy
        self._clock = clock
        self._delays = policy.delays(randomness)
        self._began_s = began_s
        self.number = 1
        """Which try is under way, the first being 1."""

    def pause_after(self, error: Exception) -> float | None:
        """Return how long to wait before trying again, in seconds, or ``None`` if *error* is final.

        When *error* asks for a pause (`asked_wait_s`), it is at least that long, at most 300 s.
        """
        if not isinstance(error, self._policy.exceptions):
            return None
        pause = next(self._delays, None)
        if pause is None:
            return None
        pause = max(pause, asked_wait_s(error, self._clock))
        if self._policy.max_age is not None and self._age() + pause > self._policy.max_age:
            return None
        self.number += 1
        return pause

    def _age(self) -> float:
        return self._clock.monotonic() - self._began_s


def _require(holds: bool, name: str, value: object, meaning: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}; it must be {meaning}")
