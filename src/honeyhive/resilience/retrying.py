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
        return loops.run_async(checked(operation, "retry"), operation)
    except (TypeError, ValueError):
        discard(operation)
        raise


class _Loops:
    """The two loops, for one policy."""

    def __init__(
        self, clock: Clock | None = None, pause: Callable[[float], Awaitable[None]] | None = None, **policy: Any
    ) -> None:
        self._policy = RetryPolicy(**policy)
        self._clock = clock or SystemClock()
        self._pause = pause or _sleep

    def decorate(self, function: Callable[P, T]) -> Callable[P, T]:
        """Return *function*, tried again where it fails."""
        refuse_generators(function, "retry")
        if is_async(function):
            asynchronous = cast("Callable[..., Awaitable[object]]", function)

            @functools.wraps(function)
            async def retried_async(*args: P.args, **kwargs: P.kwargs) -> object:
                return await self.run_async(functools.partial(asynchronous, *args, **kwargs), function)

            return cast("Callable[P, T]", retried_async)

        @functools.wraps(function)
        def retried(*args: P.args, **kwargs: P.kwargs) -> T:
            return self.run(functools.partial(function, *args, **kwargs), function)

        return retried

    def run(self, operation: Callable[[], T], named: object) -> T:
        """Call *operation* until it works or is given up."""
        attempts = self._policy.begin(self._clock)
        while True:
            try:
                result = operation()
            except Exception as error:
                wait_s = attempts.pause_after(error)
                _tell(named, attempts, wait_s, error)
                if wait_s is None:
                    raise
            else:
                facts.add(names.RETRY_ATTEMPTS)
                return result
            # Outside the handler: otherwise the next error would carry this one as its context.
            self._clock.sleep(wait_s)

    async def run_async(self, operation: Callable[[], Awaitable[T]] | Awaitable[T], named: object) -> T:
        """Call and await *operation* until it works or is given up."""
        attempts = self._policy.begin(self._clock)
        while True:
            awaitable = begin(operation, "retry")
            try:
                result: T = await awaitable
            except Exception as error:
                wait_s = attempts.pause_after(error)
                _tell(named, attempts, wait_s, error)
                if wait_s is None:
                    raise
                if awaitable is operation:
                    raise _spent(operation) from error
            else:
                facts.add(names.RETRY_ATTEMPTS)
                return result
            await self._pause(wait_s)


def _tell(operation: object, attempts: Attempts, wait_s: float | None, error: Exception) -> None:
    """Put a failed attempt on the span and in the log."""
    name = name_of(operation)
    number = attempts.number if wait_s is None else attempts.number - 1
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
