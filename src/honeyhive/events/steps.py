"""Work written once, for parts that answer at once and for parts that are awaited.

Steps are a generator that yields the answer of each call it makes and goes on with what it is sent back. `run` sends
the answer straight back; `run_async` awaits it first if it is an awaitable. So ``events = yield store.load(order_id)``
serves a blocking store and an asynchronous one, and there is no second copy of the logic around it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeAlias, TypeVar

__all__ = ["Steps", "run", "run_async"]

T = TypeVar("T")

Steps: TypeAlias = Generator[object, Any, T]
"""Yields answers or awaitables of answers; is sent answers."""


def run(steps: Steps[T]) -> T:
    """Take *steps* to their result, blocking.

    Raises:
        TypeError: A part is asynchronous.
    """
    answer: object = None
    try:
        while True:
            answer = steps.send(answer)
            if isinstance(answer, Coroutine):
                answer.close()  # one that is never awaited would complain
                raise TypeError(f"{answer!r} must be awaited: use the asynchronous form of what you are calling")
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # what a generator returns travels untyped
    finally:
        steps.close()


async def run_async(steps: Steps[T]) -> T:
    """Take *steps* to their result; parts may be asynchronous or not. Cancelling ends them where they are."""
    proceed: Callable[[], object] = partial(next, steps)
    try:
        while True:
            answer = proceed()
            try:
                if isinstance(answer, Awaitable):
                    answer = await answer
            except Exception as error:  # noqa: BLE001 -- handed on to the steps, which made the call
                proceed = partial(steps.throw, error)
            else:
                proceed = partial(steps.send, answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # as above
    finally:
        steps.close()
