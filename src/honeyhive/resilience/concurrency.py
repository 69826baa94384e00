"""Many items, a few at a time: all results in order, or a stream of them with back-pressure.

A crew of workers shares one source. Each takes an item, works on it, and takes the next, so no more items are under way
than there are workers, and none is taken before somebody is free for it. Every item has a context of its own.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, Final, Generic, Literal, TypeVar, overload

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from honeyhive.models.conventions import resilience as names
from honeyhive.resilience import facts
from honeyhive.resilience.checks import require_at_least, require_seconds
from honeyhive.resilience.contexts import in_context
from honeyhive.resilience.operations import name_of
from honeyhive.resilience.owned import Bell, OwnedStream
from honeyhive.resilience.sources import Items, close, iterate
from honeyhive.resilience.timeouts import within
from honeyhive.utils.clock import SystemClock

__all__ = ["ConcurrentStream", "process_concurrently", "stream_concurrently"]

T = TypeVar("T")
R = TypeVar("R")

_ITEMS_BETWEEN_CHECKPOINTS: Final = 100
"""Items that never wait would otherwise keep the event loop, and a cancellation, waiting until the source is empty."""


class _UnawaitableError(TypeError):
    """A function returned something that cannot be awaited: a mistake of the program, not of an item."""


@dataclass(frozen=True, slots=True)
class _Work(Generic[T, R]):
    """What is done with each item."""

    helper: str
    function: Callable[[T], Awaitable[R]]
    max_concurrency: int
    timeout_s: float | None
    stop_on_error: bool

    @classmethod
    def checked(
        cls, helper: str, function: object, max_concurrency: int, timeout_per_item: float | None, *, stop_on_error: bool
    ) -> _Work[Any, Any]:
        """Return the work, if its terms make sense."""
        if not callable(function):
            raise TypeError(f"{function!r} is no function; the order is {helper}(function, items)")
        require_at_least("max_concurrency", max_concurrency, 1)
        if timeout_per_item is not None:
            require_seconds("timeout_per_item", timeout_per_item, instead="None is no limit")
        return _Work(helper, function, max_concurrency, timeout_per_item, stop_on_error)

    def on(self, item: T) -> Awaitable[R]:
        """Return what does the work on *item*, in a context of its own."""
        context = copy_context()
        awaitable = context.run(self.function, item)
        coroutine = awaitable if type(awaitable) is CoroutineType else self._coroutine_of(awaitable)
        if self.timeout_s is None:
            return in_context(context, coroutine)
        return within(self.timeout_s, in_context(context, coroutine), self.function)

    def _coroutine_of(self, awaitable: object) -> Coroutine[Any, Any, R]:
        if inspect.isawaitable(awaitable):
            return _awaiting(awaitable)
        raise _UnawaitableError(
            f"{self.helper}() awaits what its function returns, and {name_of(self.function)} returned "
            f"{type(awaitable).__name__}; use process_in_threads() for functions that block, or make it `async def`"
        )


async def _awaiting(awaitable: Awaitable[R]) -> R:
    return await awaitable


class _Crew(ABC, Generic[T, R]):
    """Workers on one source; hired one by one, as long as there is something for one more to do."""

    def __init__(self, work: _Work[T, R], items: Items[T]) -> None:
        self._work = work
        self._items = iterate(items, work.helper)
        self._turn = anyio.Lock()
        self._workers = 0
        self._taken = 0
        self._failed = 0
        self._failure: BaseException | None = None
        self._is_stopped = False
        self._group: TaskGroup

    @abstractmethod
    def _expect(self) -> None:
        """Make a place for the outcome of the item just taken."""

    @abstractmethod
    def _deliver(self, number: int, outcome: R | Exception) -> None:
        """Put the outcome of item *number* in its place."""

    @abstractmethod
    def _is_full(self) -> bool:
        """Tell whether no item may be taken now."""

    @abstractmethod
    async def _room(self) -> None:
        """Wait until an item may be taken."""

    async def _work_off(self) -> None:
        """Have the items worked on until there are no more, or one has failed."""
        async with anyio.create_task_group() as self._group:
            self._hire()

    def _stop(self, error: BaseException) -> None:
        """Take no more items and cancel what is under way; *error* is what the caller has instead of results."""
        if not self._is_stopped:
            self._is_stopped = True
            self._failure = error
            self._group.cancel_scope.cancel()

    def _hire(self) -> None:
        self._workers += 1
        self._group.start_soon(self._labour)

    async def _labour(self) -> None:
        try:
            if self._is_full():
                await self._room()
            if isinstance(self._items, Iterator):
                await self._labour_through(self._items)
            else:
                await self._labour_through_async(self._items)
        except Exception as error:  # noqa: BLE001 -- of the source; those of items do not come here
            self._stop(error)
        except BaseException as error:
            # Perhaps a cancellation that nobody asked for, such as that of a future the item waited for.
            self._stop(error)
            raise

    async def _labour_through(self, items: Iterator[T]) -> None:
        for item in items:
            await self._next(item)
            if self._is_stopped:
                return
            if self._is_full():
                await self._room()

    async def _labour_through_async(self, items: AsyncIterator[T]) -> None:
        while not self._is_stopped:
            async with self._turn:
                if self._is_full():
                    await self._room()
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
            await self._next(item)

    async def _next(self, item: T) -> None:
        number = self._taken
        self._taken += 1
        self._expect()
        if self._workers < self._work.max_concurrency and not self._is_full():
            self._hire()
        try:
            outcome = await self._work.on(item)
        except _UnawaitableError as error:
            self._stop(error)
        except Exception as error:  # noqa: BLE001 -- the user's, and handed to the user
            self._fell(number, error)
        else:
            self._deliver(number, outcome)
        if not self._taken % _ITEMS_BETWEEN_CHECKPOINTS:
            await checkpoint()

    def _fell(self, number: int, error: Exception) -> None:
        self._failed += 1
        operation = name_of(self._work.function)
        facts.tell(names.ITEM_FAILED, operation=operation, index=number, reason=facts.reason_of(error))
        if self._work.stop_on_error:
            self._stop(error)
        else:
            self._deliver(number, error)

    async def _end(self, done: int) -> None:
        """Close the source and tell what was done."""
        facts.add(names.ITEMS_DONE, done)
        facts.add(names.ITEMS_FAILED, self._failed)
        await close(self._items)


class _Gathering(_Crew[T, R]):
    """All outcomes, in the order of the items."""

    def __init__(self, work: _Work[T, R], items: Items[T]) -> None:
        super().__init__(work, items)
        self._outcomes: list[Any] = []
        self._done = 0
        self._is_timed = facts.is_wanted()
        self._begun_s = self._last_begun_s = _clock.monotonic()

    async def run(self) -> list[Any]:
        """Work on all items and return what came of them."""
        try:
            await self._work_off()
        finally:
            facts.add(names.ITEMS_QUEUE_S, self._last_begun_s - self._begun_s)
            await self._end(self._done)
        if self._failure is not None:
            raise self._failure
        return self._outcomes

    def _expect(self) -> None:
        self._outcomes.append(None)
        if self._is_timed:
            self._last_begun_s = _clock.monotonic()

    def _deliver(self, number: int, outcome: R | Exception) -> None:
        self._outcomes[number] = outcome
        self._done += 1

    def _is_full(self) -> bool:
        return False

    async def _room(self) -> None:
        """Return at once: all outcomes are kept."""


_clock: Final = SystemClock()


@overload
async def process_concurrently(
    function: Callable[[T], Awaitable[R]],
    items: Items[T],
    *,
    max_concurrency: int = ...,
    timeout_per_item: float | None = ...,
    stop_on_error: Literal[True] = ...,
) -> list[R]: ...


@overload
async def process_concurrently(
    function: Callable[[T], Awaitable[R]],
    items: Items[T],
    *,
    max_concurrency: int = ...,
    timeout_per_item: float | None = ...,
    stop_on_error: bool,
) -> list[R | Exception]: ...


async def process_concurrently(
    function: Callable[[T], Awaitable[R]],
    items: Items[T],
    *,
    max_concurrency: int = 10,
    timeout_per_item: float | None = None,
    stop_on_error: bool = True,
) -> list[R] | list[R | Exception]:
    """Await *function* for every item, a few at a time, and return the results in the order of the items.

    ::

        results = await process_concurrently(fetch, urls, max_concurrency=3, timeout_per_item=5.0)

    Items are taken one by one, as workers become free, so the source may be a generator; it is closed at the end.
    Each item has a copy of the caller's context. Nothing is left running, whichever way it ends. For results that shall
    not all be in memory, see `stream_concurrently`.

    Args:
        function: Takes an item and returns an awaitable.
        items: An iterable or an async iterable.
        max_concurrency: Items under way at once; at least 1.
        timeout_per_item: Seconds for each item; one that takes longer is cancelled and fails with ``TimeoutError``.
        stop_on_error: Whether the first error cancels all others and is raised. Otherwise errors are put in the places
            of their results.

    Returns:
        One result for each item, or the error that it raised.

    Raises:
        TypeError: An argument has the wrong type, or *function* returns something that cannot be awaited.
        ValueError: A limit is not positive.
    """
    work = _Work.checked(
        "process_concurrently", function, max_concurrency, timeout_per_item, stop_on_error=stop_on_error
    )
    return await _Gathering(work, items).run()


class ConcurrentStream(_Crew[T, R], OwnedStream[R]):
    """Results as they come, made by `stream_concurrently`. Open it with ``async with``, then iterate."""

    def __init__(self, work: _Work[T, R], items: Items[T], *, ordered: bool) -> None:
        _Crew.__init__(self, work, items)
        OwnedStream.__init__(self, work.helper)
        self._ordered = ordered
        self._ready: dict[int, Any] = {}
        self._delivered = 0
        self._given = 0
        self._ended = False
        self._news = Bell()
        self._space = Bell()

    async def __anext__(self) -> R:
        while True:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                self._ready.clear()
                raise failure
            if self._given in self._ready:
                return self._give()
            if self._ended:
                raise StopAsyncIteration
            await self._news.heard()

    async def _run(self) -> None:
        try:
            await self._work_off()
        finally:
            self._ended = True
            self._news.ring()

    async def _close(self) -> None:
        await self._end(self._given)

    def _give(self) -> R:
        outcome: R = self._ready.pop(self._given)
        self._given += 1
        if self._out <= self._work.max_concurrency:
            self._space.ring()
        return outcome

    @property
    def _out(self) -> int:
        """Items that were taken and whose outcome was not yet given to the consumer."""
        return self._taken - self._given

    def _expect(self) -> None:
        """Do nothing: outcomes find their place by their number."""

    def _deliver(self, number: int, outcome: R | Exception) -> None:
        place = number if self._ordered else self._delivered
        self._ready[place] = outcome
        self._delivered += 1
        if place == self._given:
            self._news.ring()

    def _is_full(self) -> bool:
        return self._out >= 2 * self._work.max_concurrency

    async def _room(self) -> None:
        while self._is_full():
            await self._space.heard()

    def _stop(self, error: BaseException) -> None:
        super()._stop(error)
        self._news.ring()


@overload
def stream_concurrently(
    function: Callable[[T], Awaitable[R]],
    items: Items[T],
    *,
    max_concurrency: int = ...,
    timeout_per_item: float | None = ...,
    stop_on_error: Literal[True] = ...,
    ordered: bool = ...,
) -> ConcurrentStream[T, R]: ...


@overload
def stream_concurrently(
    function: Callable[[T], Awaitable[R]],
    items: Items[T],
    *,
    max_concurrency: int = ...,
    timeout_per_item: float | None = ...,
    stop_on_error: bool,
    ordered: bool = ...,
) -> ConcurrentStream[T, R | Exception]: ...


def stream_concurrently(
    function: Callable[[T], Awaitable[R]],
    items: Items[T],
    *,
    max_concurrency: int = 10,
    timeout_per_item: float | None = None,
    stop_on_error: bool = True,
    ordered: bool = True,
) -> ConcurrentStream[T, Any]:
    """Await *function* for every item, a few at a time, and hand the results out one by one, in bounded memory.

    ::

        async with stream_concurrently(fetch, urls, max_concurrency=10) as results:
            async for result in results:
                ...

    At most twice *max_concurrency* items are under way or waiting for you: a slow consumer slows the source down, so
    both may be endless. Leaving the block ends what is under way and closes the source, if it is a generator.

    Args:
        function: Takes an item and returns an awaitable.
        items: An iterable or an async iterable.
        max_concurrency: Items under way at once; at least 1.
        timeout_per_item: Seconds for each item; one that takes longer is cancelled and fails with ``TimeoutError``.
        stop_on_error: Whether the first error cancels all others and is raised, as soon as it occurs. Otherwise errors
            are handed out in the places of their results.
        ordered: Whether results come in the order of their items, or as they become ready.

    Returns:
        An async context manager for an async iterator. Without ``async with`` it does not begin.

    Raises:
        TypeError: An argument has the wrong type; when iterating: *function* returns something that cannot be awaited.
        ValueError: A limit is not positive.
    """
    work = _Work.checked(
        "stream_concurrently", function, max_concurrency, timeout_per_item, stop_on_error=stop_on_error
    )
    return ConcurrentStream(work, items, ordered=ordered)
