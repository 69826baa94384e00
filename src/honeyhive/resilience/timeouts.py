"""A limit in time for one operation, on asyncio and trio."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar, cast, overload

from honeyhive.models.conventions import resilience as names
from honeyhive.resilience import facts
from honeyhive.resilience.checks import require_seconds
from honeyhive.resilience.operations import begin, checked, discard, is_async, name_of, refuse_generators

__all__ = ["timeout", "within"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

_INSTEAD: Final = "leave the timeout out for no limit"


@overload
def timeout(operation: Callable[[], Awaitable[T]] | Awaitable[T], /, seconds: float) -> Coroutine[Any, Any, T]: ...


@overload
def timeout(seconds: float, /) -> Callable[[F], F]: ...


@overload
def timeout(*, seconds: float) -> Callable[[F], F]: ...


def timeout(operation: object = None, /, seconds: object = None) -> object:
    """Cut an operation off that takes too long: around an awaitable, or as a decorator of coroutine functions.

    ::

        result = await timeout(slow_operation(), seconds=2)


        @timeout(seconds=2)  # or @timeout(2)
        async def slow_operation(): ...

    When the time is over the operation is cancelled and, once it has ended, ``TimeoutError`` (the same class as
    ``asyncio.TimeoutError``) is raised. An operation that ends with a result or an error all the same, has that
    result or error. Timeouts nest, each raising for its own time only; a cancellation from outside passes through.
    A task or future that is awaited under a timeout is cancelled by it.

    Synchronous functions are refused: nothing can stop a running one from outside. Where it may go on in its thread
    while the caller moves on, put the timeout around
    ``anyio.to_thread.run_sync(function, abandon_on_cancel=True)``.

    Args:
        operation: An awaitable, or a callable without arguments that returns one. Left out in the decorator form.
        seconds: The limit, more than zero.

    Returns:
        A coroutine for the operation's result, or a decorator.

    Raises:
        TypeError: *operation* cannot be awaited, or *seconds* is no number.
        ValueError: *seconds* is zero, negative or infinite.
    """
    if _is_number(operation) and seconds is None:
        operation, seconds = None, operation
    try:
        limit_s = require_seconds("seconds", seconds, instead=_INSTEAD)
        if operation is None:
            return functools.partial(_decorate, limit_s)
        return within(limit_s, begin(checked(operation, "timeout"), "timeout"), operation)
    except (TypeError, ValueError):
        discard(operation)
        raise


async def within(limit_s: float, awaitable: Awaitable[T], named: object) -> T:
    """Await *awaitable* for *limit_s* seconds at most.

    Raises:
        TimeoutError: The time is over; names *named*.
    """
    import anyio

    with anyio.move_on_after(limit_s):
        return await awaitable
    name = name_of(named)
    facts.add(names.TIMEOUT_EXPIRIES)
    facts.tell(names.TIMEOUT_EXPIRED, operation=name, limit_s=limit_s)
    raise TimeoutError(f"{name} took longer than {limit_s:g} s")


def _decorate(limit_s: float, function: F) -> F:
    refuse_generators(function, "timeout")
    if not is_async(function):
        name = name_of(function)
        raise TypeError(
            f"{name} is not a coroutine function, and nothing can stop a running function from outside; "
            f"let a thread run it, timeout(anyio.to_thread.run_sync({name}, abandon_on_cancel=True), seconds={limit_s:g}), "
            f"where it goes on after the timeout"
        )

    @functools.wraps(function)
    async def limited(*args: Any, **kwargs: Any) -> Any:
        return await within(limit_s, function(*args, **kwargs), function)

    return cast("F", limited)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
