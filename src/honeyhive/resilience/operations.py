"""What the helpers are put around: functions, coroutine functions, and coroutines that are already made."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

__all__ = ["Operation", "begin", "checked", "discard", "is_async", "name_of", "refuse_generators"]

Operation: TypeAlias = Callable[[], Awaitable[Any]] | Awaitable[Any]
"""Something to await, or to call without arguments for something to await."""


def name_of(operation: object) -> str:
    """Return what people call *operation*."""
    function = getattr(operation, "func", operation)  # of a partial
    return getattr(function, "__name__", type(operation).__name__)


def is_async(function: Callable[..., object]) -> bool:
    """Tell whether calling *function* makes a coroutine."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def checked(operation: object, helper: str) -> Operation:
    """Return *operation* if it can be awaited, or called without arguments.

    Raises:
        TypeError: It can be neither; the message says what to write instead.
    """
    if inspect.iscoroutine(operation) and inspect.getcoroutinestate(operation) != inspect.CORO_CREATED:
        name = name_of(operation)
        raise TypeError(
            f"{helper}() was given a coroutine that has been awaited already; give it the function: "
            f"{helper}({name}, ...) or {helper}(lambda: {name}(...), ...)"
        )
    if inspect.isawaitable(operation):
        return operation
    if not callable(operation):
        raise TypeError(f"{helper}() needs something to await or to call, not {type(operation).__name__}")
    if _needs_arguments(operation):
        name = name_of(operation)
        raise TypeError(
            f"{helper}() calls {name} without arguments, and it needs some; write @{helper}() with parentheses "
            f"to decorate it, or {helper}(lambda: {name}(...)) to call it"
        )
    return operation


def begin(operation: Operation, helper: str) -> Awaitable[Any]:
    """Return what is to be awaited: *operation* itself, or what it returns when called.

    Raises:
        TypeError: That cannot be awaited.
    """
    if inspect.isawaitable(operation):
        return operation
    awaitable = operation()
    if not inspect.isawaitable(awaitable):
        raise TypeError(
            f"{helper}() awaits what its operation returns, and {name_of(operation)} returned "
            f"{type(awaitable).__name__}; decorate a synchronous function with @{helper}(...) instead"
        )
    return awaitable


def discard(operation: object) -> None:
    """Close *operation* if it is a coroutine that shall not run after all."""
    if inspect.iscoroutine(operation):
        operation.close()


def refuse_generators(function: Callable[..., object], helper: str) -> None:
    """Raise if *function* makes generators: what a helper would be put around is their first moment only.

    Raises:
        TypeError: It does.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{name_of(function)} is a generator function, and {helper} would only see it being made; "
            f"put {helper} around what consumes it"
        )


def _needs_arguments(operation: Callable[..., Any]) -> bool:
    try:
        signature = inspect.signature(operation)
    except (TypeError, ValueError):  # some built-ins do not tell
        return False
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(p.default is p.empty and p.kind not in variable for p in signature.parameters.values())
