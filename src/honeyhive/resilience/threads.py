"""Many items for a function that blocks: a few threads at a time, all results in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from typing import Any, Final, Generic, Literal, TypeVar, overload

from honeyhive.models.conventions import resilience as names
from honeyhive.resilience import facts
from honeyhive.resilience.checks import require_at_least
from honeyhive.resilience.operations import is_async, name_of
from honeyhive.resilience.sources import close_generator
from honeyhive.utils.clock import SystemClock

__all__ = ["process_in_threads"]

T = TypeVar("T")
R = TypeVar("R")

_clock: Final = SystemClock()


@overload
def process_in_threads(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    max_concurrency: int = ...,
    stop_on_error: Literal[True] = ...,
) -> list[R]: ...


@overload
def process_in_threads(
    function: Callable[[T], R], items: Iterable[T], *, max_concurrency: int = ..., stop_on_error: bool
) -> list[R | Exception]: ...


def process_in_threads(
    function: Callable[[T], R], items: Iterable[T], *, max_concurrency: int = 10, stop_on_error: bool = True
) -> list[R] | list[R | Exception]:
    """Call *function* for every item, in a few threads at a time, and return the results in the order of the items.

    ::

        texts = process_in_threads(read, paths, max_concurrency=4)

    `process_concurrently` for functions that block. Items are taken one by one, under a lock, by the threads that work
    on them; each has a copy of the caller's context. There is no time limit for an item, as nothing can stop a thread
    from outside: a function that may hang needs a timeout of its own. The call returns when all its threads have ended.

    Args:
        function: Takes an item.
        items: Any iterable; a generator is run by the threads, one at a time.
        max_concurrency: Threads; at least 1.
        stop_on_error: Whether the first error is raised once the items under way are done, and no more are taken.
            Otherwise errors are put in the places of their results.

    Returns:
        One result for each item, or the error that it raised.

    Raises:
        TypeError: An argument has the wrong type, or *function* is a coroutine function.
        ValueError: *max_concurrency* is less than 1.
    """
    if not callable(function):
        raise TypeError(f"{function!r} is no function; the order is process_in_threads(function, items)")
    if is_async(function):
        raise TypeError(f"{name_of(function)} is a coroutine function; use process_concurrently() for it")
    require_at_least("max_concurrency", max_concurrency, 1)
    return _Crew(function, iter(items), stop_on_error=stop_on_error).run(max_concurrency)


class _Crew(Generic[T, R]):
    """Threads on one source."""

    def __init__(self, function: Callable[[T], R], items: Iterator[T], *, stop_on_error: bool) -> None:
        self._function = function
        self._items = items
        self._stop_on_error = stop_on_error
        self._context = copy_context()
        # Keeps taking an item and making a place for its outcome one step; the source's own code runs under it.
        self._turn = threading.Lock()
        self._outcomes: list[Any] = []
        self._failed = 0
        self._failure: BaseException | None = None
        self._is_stopped = False
        self._begun_s = self._last_begun_s = _clock.monotonic()

    def run(self, most: int) -> list[Any]:
        """Work on all items and return what came of them."""
        threads: list[threading.Thread] = []
        try:
            while len(threads) < most and (taken := self._take()) is not None:
                thread = threading.Thread(target=self._labour, args=taken, name=f"process_in_threads-{len(threads)}")
                thread.start()
                threads.append(thread)
            for thread in threads:
                thread.join()
        finally:
            # Also when the caller is interrupted: no thread goes on behind its back.
            self._is_stopped = True
            for thread in threads:
                thread.join()
            close_generator(self._items)
            self._tell()
        if self._failure is not None:
            raise self._failure
        return self._outcomes

    def _take(self) -> tuple[int, T] | None:
        """Return the next item and its number; ``None`` if there is none to be worked on."""
        with self._turn:
            if self._is_stopped:
                return None
            try:
                item = next(self._items)
            except StopIteration:
                self._is_stopped = True
                return None
            self._outcomes.append(None)
            self._last_begun_s = _clock.monotonic()
            return len(self._outcomes) - 1, item

    def _labour(self, number: int, item: T) -> None:
        """Work on *item* and on those that follow."""
        taken: tuple[int, T] | None = (number, item)
        try:
            while taken is not None:
                self._work_on(*taken)
                taken = self._take()
        except BaseException as error:  # noqa: BLE001 -- of the source, or no Exception: raised to the caller
            self._stop(error)

    def _work_on(self, number: int, item: T) -> None:
        try:
            self._outcomes[number] = self._context.copy().run(self._function, item)
        except Exception as error:  # noqa: BLE001 -- the user's, and handed to the user
            self._context.copy().run(self._fell, number, error)

    def _fell(self, number: int, error: Exception) -> None:
        with self._turn:
            self._failed += 1
        operation = name_of(self._function)
        facts.tell(names.ITEM_FAILED, operation=operation, index=number, reason=facts.reason_of(error))
        if self._stop_on_error:
            self._stop(error)
        else:
            self._outcomes[number] = error

    def _stop(self, error: BaseException) -> None:
        with self._turn:
            self._is_stopped = True
            self._failure = self._failure or error

    def _tell(self) -> None:
        facts.add(names.ITEMS_DONE, len(self._outcomes) - self._failed)
        facts.add(names.ITEMS_FAILED, self._failed)
        facts.add(names.ITEMS_QUEUE_S, self._last_begun_s - self._begun_s)
