"""Trying again: two loops over `RetryPolicy`, a synchronous and an asynchronous one, in the forms people write."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, ParamSpec, TypedDict, TypeVar, Unpack, cast, overload

from honeyhive.models.conventions import resilience as names
from honeyhive.resilience import facts
from honeyhive.resilience.operations import begin, checked, discard, is_async, name_of, refuse_generators
from honeyhive.resilience.policy import Attempts, RetryPolicy
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["RetryOptions", "retry"]

P = ParamSpec("P")
T = TypeVar("T")

_logger: Final = logging.getLogger("honeyhive.resilience")


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


@overload
def retry(
    operation: Callable[[], Awaitable[T]] | Awaitable[T], /, **options: Unpack[RetryOptions]
) -> Coroutine[Any, Any, T]: ...


@overload
def retry(**options: Unpack[RetryOptions]) -> Callable[[Callable[P, T]], Callable[P, T]]: ...


def retry(operation: object = None, /, **options: Unpack[RetryOptions]) -> object:
    """Try again when an operation fails: as a decorator, or around one awaited call.

    ::

        @retry(max_attempts=3, backoff_factor=2.0, exceptions=(httpx.TransportError,))
        def load(): ...  # coroutine functions as well


        await retry(load_async, max_attempts=3, delay=1.0)
        await retry(lambda: fetch(url), exceptions=(OSError,))

    The last error is raised as it is. Cancellation ends the attempts, also during a pause. Every failed attempt is
    logged at level INFO on logger ``honeyhive.resilience`` and told on the current span.

    A coroutine, as in ``retry(load_async())``, can be awaited once only. It is awaited; where it fails and another try
    is due, a ``TypeError`` that names the fix is raised from its error.

    Args:
        operation: Called without arguments for each try; returns an awaitable. Left out in the decorator form.
        **options: The fields of ``RetryPolicy``; besides, *clock* (measures and, for synchronous functions, sleeps) and
            *pause* (an asynchronous sleep, instead of anyio's).

    Returns:
        A decorator, or with *operation* a coroutine for its result.

    Raises:
        TypeError: *operation* cannot be called again, or has been awaited before, or an option is unknown.
        ValueError: An option is outside its range.
    """
    try:
        loops = _Loops(**options)
        if operation is None:
            return loops.decorate
        usable = checked(operation, "retry")
        if inspect.isawaitable(usable):
            return loops.once(usable)
        return loops.asynchronous(functools.partial(begin, usable, "retry"), usable)()
    except (TypeError, ValueError):
        discard(operation)
        raise


class _Loops:
    """The two loops, for one policy. What works at once costs no more than the call."""

    def __init__(
        self, clock: Clock | None = None, pause: Callable[[float], Awaitable[None]] | None = None, **policy: Any
    ) -> None:
        self._policy = RetryPolicy(**policy)
        self._clock = clock or SystemClock()
        self._pause = pause or _sleep
        self._now = None if self._policy.max_age is None else self._clock.monotonic

    def decorate(self, function: Callable[P, T]) -> Callable[P, T]:
        """Return *function*, tried again where it fails."""
        refuse_generators(function, "retry")
        if is_async(function):
            return cast("Callable[P, T]", self.asynchronous(cast("Callable[..., Awaitable[T]]", function), function))
        return self.synchronous(function)

    def synchronous(self, function: Callable[P, T]) -> Callable[P, T]:
        """Return *function*, called until it works or is given up."""
        now = self._now

        @functools.wraps(function)
        def retried(*args: P.args, **kwargs: P.kwargs) -> T:
            began_s = None if now is None else now()
            try:
                return function(*args, **kwargs)
            except Exception as error:
                attempts = self._policy.begin(self._clock, began_s=began_s)
                wait_s = _pause_after(error, attempts, function)
                if wait_s is None:
                    raise
            # Outside the handler: otherwise the next error would carry this one as its context.
            return self._again(functools.partial(function, *args, **kwargs), function, attempts, wait_s)

        return retried

    def _again(self, operation: Callable[[], T], named: object, attempts: Attempts, wait_s: float) -> T:
        while True:
            self._clock.sleep(wait_s)
            try:
                result = operation()
            except Exception as error:
                pause_s = _pause_after(error, attempts, named)
                if pause_s is None:
                    raise
                wait_s = pause_s
            else:
                facts.add(names.RETRY_ATTEMPTS)
                return result

    def asynchronous(self, function: Callable[P, Awaitable[T]], named: object) -> Callable[P, Coroutine[Any, Any, T]]:
        """Return *function*, called and awaited until it works or is given up."""
        now = self._now

        @functools.wraps(function)
        async def retried(*args: P.args, **kwargs: P.kwargs) -> T:
            began_s = None if now is None else now()
            try:
                return await function(*args, **kwargs)
            except Exception as error:
                attempts = self._policy.begin(self._clock, began_s=began_s)
                wait_s = _pause_after(error, attempts, named)
                if wait_s is None:
                    raise
            return await self._again_async(functools.partial(function, *args, **kwargs), named, attempts, wait_s)

        return retried

    async def _again_async(
        self, operation: Callable[[], Awaitable[T]], named: object, attempts: Attempts, wait_s: float
    ) -> T:
        while True:
            await self._pause(wait_s)
            try:
                result = await operation()
            except Exception as error:
                pause_s = _pause_after(error, attempts, named)
                if pause_s is None:
                    raise
                wait_s = pause_s
            else:
                facts.add(names.RETRY_ATTEMPTS)
                return result

    async def once(self, awaitable: Awaitable[T]) -> T:
        """Await what cannot be awaited again; where another try is due, say so."""
        attempts = self._policy.begin(self._clock)
        try:
            return await awaitable
        except Exception as error:
            is_final = attempts.pause_after(error) is None
            _tell(awaitable, 1, None, error)
            if is_final:
                raise
            raise _spent(awaitable) from error


def _pause_after(error: Exception, attempts: Attempts, operation: object) -> float | None:
    """Return the pause before the next attempt, ``None`` if there is none, and tell of the failed one."""
    number = attempts.number
    wait_s = attempts.pause_after(error)
    _tell(operation, number, wait_s, error)
    return wait_s


def _tell(operation: object, number: int, wait_s: float | None, error: Exception) -> None:
    """Put a failed attempt on the span and in the log."""
    name = name_of(operation)
    facts.attempt_failed(name, number, wait_s, error)
    what_next = "no more will follow" if wait_s is None else f"the next is due in {wait_s:.3g} s"
    _logger.info("%s failed at attempt %d with %s; %s", name, number, type(error).__name__, what_next)


async def _sleep(seconds: float) -> None:
    import anyio

    await anyio.sleep(seconds)


def _spent(operation: object) -> TypeError:
    name = name_of(operation)
    kind = "coroutine" if inspect.iscoroutine(operation) else type(operation).__name__
    return TypeError(
        f"retry() cannot try again: it was given a {kind}, which can be awaited only once; pass what makes it: "
        f"retry({name}, ...) or retry(lambda: {name}(...), ...) instead of retry({name}(...), ...)"
    )
