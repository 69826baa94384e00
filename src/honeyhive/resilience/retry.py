"""Trying again: one policy, pure and shared by all rooms, and two small drivers over it.

``RetryPolicy`` says how often and how long; ``Attempts`` follows one operation through it and decides after each
failure. Neither sleeps nor calls anything, so whoever has a loop of its own (the API client, the exporter) stands on
them too. ``retry`` adds the loops that most callers want, a synchronous and an asynchronous one.
"""

from __future__ import annotations

import functools
import inspect
import math
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack, cast, overload

from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["Attempts", "RetryOptions", "RetryPolicy", "retry"]

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_RETRY_AFTER_S = 300.0

# Neither the host program's random.seed() nor a fork may make what failed together come back together.
_randomness = random.SystemRandom().random


class RetryOptions(TypedDict, total=False):
    """The keywords of ``retry``: the fields of ``RetryPolicy`` and the collaborators of its drivers."""

    max_attempts: int | None
    delay: float
    backoff_factor: float
    max_delay: float
    jitter: float
    exceptions: tuple[type[Exception], ...]
    max_age: float | None
    clock: Clock
    pause: Callable[[float], Awaitable[None]]


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
        if not _are_error_classes(self.exceptions):
            raise TypeError(f"exceptions is {self.exceptions!r}; write a tuple of Exception classes, as (OSError,)")

    def delays(self, randomness: Callable[[], float] = _randomness) -> Iterator[float]:
        """Yield the pause before each further try, in seconds; one fewer than there are attempts.

        Args:
            randomness: Returns numbers of ``[0, 1)``.
        """
        longest = self.delay
        made = 1
        while self.max_attempts is None or made < self.max_attempts:
            pause = min(self.max_delay, longest)
            yield pause * (1 - self.jitter * randomness())
            longest = min(self.max_delay, longest * self.backoff_factor)
            made += 1

    def begin(self, clock: Clock, randomness: Callable[[], float] = _randomness) -> Attempts:
        """Start following one operation; its first try is now."""
        return Attempts(self, clock, randomness)


class Attempts:
    """One operation on its way through a policy; for one thread or task at a time."""

    __slots__ = ("_clock", "_delays", "_policy", "_started", "number")

    def __init__(self, policy: RetryPolicy, clock: Clock, randomness: Callable[[], float] = _randomness) -> None:
        self._policy = policy
        self._clock = clock
        self._delays = policy.delays(randomness)
        self._started = clock.monotonic()
        self.number = 1
        """Which try is under way, the first being 1."""

    def pause_after(self, error: Exception) -> float | None:
        """Return how long to wait before trying again, in seconds, or ``None`` if *error* is final.

        When *error* has a ``retry_after_s``, the pause is at least that long (at most 300 s).
        """
        if not isinstance(error, self._policy.exceptions):
            return None
        pause = next(self._delays, None)
        if pause is None:
            return None
        pause = max(pause, _asked_for(error))
        if self._policy.max_age is not None and self._age() + pause > self._policy.max_age:
            return None
        self.number += 1
        return pause

    def _age(self) -> float:
        return self._clock.monotonic() - self._started


@overload
def retry(operation: Callable[[], Awaitable[T]], /, **options: Unpack[RetryOptions]) -> Coroutine[Any, Any, T]: ...


@overload
def retry(**options: Unpack[RetryOptions]) -> Callable[[Callable[P, T]], Callable[P, T]]: ...


def retry(operation: object = None, /, **options: Unpack[RetryOptions]) -> object:
    """Try again when an operation fails: as a decorator, or around one awaited call.

    ::

        @retry(max_attempts=3, backoff_factor=2.0, exceptions=(httpx.TransportError,))
        def load(): ...  # coroutine functions as well


        await retry(load_async, max_attempts=3, delay=1.0)
        await retry(lambda: fetch(url), exceptions=(OSError,))

    The last error is raised as it is. Cancellation ends the attempts, also during a pause.

    Args:
        operation: Called without arguments for each try; returns an awaitable. Left out in the decorator form.
        **options: The fields of ``RetryPolicy``; besides, *clock* (measures and, for synchronous functions, sleeps) and
            *pause* (an asynchronous sleep, instead of anyio's).

    Returns:
        A decorator, or with *operation* a coroutine for its result.

    Raises:
        TypeError: *operation* cannot be called again (a coroutine object, say), or an option is unknown.
        ValueError: An option is outside its range.
    """
    clock = options.pop("clock", None) or SystemClock()
    pause = options.pop("pause", None) or _sleep
    policy = RetryPolicy(**options)  # type: ignore[misc] # mypy does not see the pops
    if operation is None:
        return functools.partial(_decorate, policy, clock, pause)
    return _call_async(_checked(operation), policy, clock, pause)


def _decorate(
    policy: RetryPolicy, clock: Clock, pause: Callable[[float], Awaitable[None]], function: Callable[P, T]
) -> Callable[P, T]:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{_name(function)} is a generator function; put the retry around what consumes it")
    if _is_async(function):
        asynchronous = cast("Callable[..., Awaitable[object]]", function)

        @functools.wraps(function)
        async def retried_async(*args: P.args, **kwargs: P.kwargs) -> object:
            return await _call_async(functools.partial(asynchronous, *args, **kwargs), policy, clock, pause)

        return cast("Callable[P, T]", retried_async)

    @functools.wraps(function)
    def retried(*args: P.args, **kwargs: P.kwargs) -> T:
        return _call(functools.partial(function, *args, **kwargs), policy, clock)

    return retried


def _call(operation: Callable[[], T], policy: RetryPolicy, clock: Clock) -> T:
    attempts = policy.begin(clock)
    while True:
        try:
            return operation()
        except policy.exceptions as error:
            wait_s = attempts.pause_after(error)
            if wait_s is None:
                raise
        # Outside the handler: otherwise the next error would carry this one as its context.
        clock.sleep(wait_s)


async def _call_async(
    operation: Callable[[], Awaitable[T]], policy: RetryPolicy, clock: Clock, pause: Callable[[float], Awaitable[None]]
) -> T:
    attempts = policy.begin(clock)
    while True:
        awaitable = operation()
        if not inspect.isawaitable(awaitable):
            raise TypeError(
                f"retry() awaits what its operation returns, and {_name(operation)} returned "
                f"{type(awaitable).__name__}; decorate a synchronous function with @retry(...) instead"
            )
        try:
            return await awaitable
        except policy.exceptions as error:
            wait_s = attempts.pause_after(error)
            if wait_s is None:
                raise
        await pause(wait_s)


async def _sleep(seconds: float) -> None:
    import anyio

    await anyio.sleep(seconds)


def _checked(operation: object) -> Callable[[], Awaitable[Any]]:
    """Return *operation* if it can be called for each try, without arguments."""
    if inspect.iscoroutine(operation):
        operation.close()
        name = operation.__name__
        raise TypeError(
            f"retry() was given a coroutine, which can be awaited only once; pass what makes it: "
            f"retry({name}, ...) or retry(lambda: {name}(...), ...) instead of retry({name}(...), ...)"
        )
    if not callable(operation):
        raise TypeError(f"retry() needs something to call for each try, not {type(operation).__name__}")
    if _needs_arguments(operation):
        raise TypeError(
            f"retry() calls {_name(operation)} without arguments, and it needs some; write @retry() with parentheses "
            f"to decorate it, or retry(lambda: {_name(operation)}(...)) to call it"
        )
    return operation


def _needs_arguments(operation: Callable[..., object]) -> bool:
    try:
        signature = inspect.signature(operation)
    except (TypeError, ValueError):  # some built-ins do not tell
        return False
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(p.default is p.empty and p.kind not in variable for p in signature.parameters.values())


def _is_async(function: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _name(function: object) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _asked_for(error: Exception) -> float:
    """Return the seconds that *error* itself asks to wait, zero if it does not."""
    asked = getattr(error, "retry_after_s", None)
    if not isinstance(asked, (int, float)) or math.isnan(asked):
        return 0.0
    return min(max(0.0, float(asked)), LONGEST_RETRY_AFTER_S)


def _are_error_classes(candidates: object) -> bool:
    return isinstance(candidates, tuple) and all(
        isinstance(one, type) and issubclass(one, Exception) for one in candidates
    )


def _require(holds: bool, name: str, value: object, meaning: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}; it must be {meaning}")
