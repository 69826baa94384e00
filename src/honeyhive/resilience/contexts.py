"""Coroutines that run in a context of their own without a task of their own."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from functools import partial
from typing import Any, TypeVar

__all__ = ["in_context"]

T = TypeVar("T")


@types.coroutine
def in_context(context: Context, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await *coroutine*, every step of it inside *context*: what it sets is neither seen nor left outside.

    A task would do the same at ten times the cost. What the coroutine awaits, waits in the task that awaits this.
    """
    step: Callable[[], Any] = partial(context.run, coroutine.send, None)
    while True:
        try:
            awaited = step()
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            answer = yield awaited
        except BaseException as error:  # noqa: BLE001 -- thrown in by the event loop, and meant for the coroutine
            step = partial(context.run, coroutine.throw, error)
        else:
            step = partial(context.run, coroutine.send, answer)
