"""Streams in batches: by size, and by time where nobody shall wait long for a batch to fill."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import NoReturn, TypeVar, overload

import anyio

from honeyhive.models.conventions import resilience as names
from honeyhive.resilience import facts
from honeyhive.resilience.checks import require_at_least, require_seconds
from honeyhive.resilience.owned import Bell, OwnedStream
from honeyhive.resilience.sources import Items, close, iterate

__all__ = ["BufferedStream", "buffered_stream"]

T = TypeVar("T")


@overload
def buffered_stream(
    source: Items[T], buffer_size: int = ..., *, max_wait: None = ...
) -> AsyncGenerator[list[T], None]: ...


@overload
def buffered_stream(source: Items[T], buffer_size: int = ..., *, max_wait: float) -> BufferedStream[T]: ...


def buffered_stream(
    source: Items[T], buffer_size: int = 5, *, max_wait: float | None = None
) -> AsyncGenerator[list[T], None] | BufferedStream[T]:
    """Group what comes from *source* into lists of *buffer_size* items, the last of which may be shorter.

    ::

        async for batch in buffered_stream(rows(), buffer_size=100):
            await store(batch)

        async with buffered_stream(events(), buffer_size=100, max_wait=1.0) as batches:
            async for batch in batches:
                await store(batch)

    No item is lost: where *source* fails, what came before is handed out first and the error raised then. A generator
    is closed with the stream.

    Args:
        source: An iterable or an async iterable; asked for an item when one is wanted, and no earlier.
        buffer_size: Items in a batch; at least 1.
        max_wait: Seconds that an item waits at most for its batch to fill. The source is then read beside your own
            code, at most one batch ahead, which takes an ``async with`` to begin and to end.

    Returns:
        An async generator of lists; with *max_wait* an async context manager for an iterator of lists.

    Raises:
        TypeError: *source* is no iterable of either kind, or a number has the wrong type.
        ValueError: A number is not positive.
    """
    require_at_least("buffer_size", buffer_size, 1)
    items = iterate(source, "buffered_stream")
    if max_wait is None:
        return _batches(items, buffer_size)
    return BufferedStream(
        items, buffer_size, require_seconds("max_wait", max_wait, instead="None waits for full batches")
    )


async def _batches(items: Iterator[T] | AsyncIterator[T], size: int) -> AsyncGenerator[list[T], None]:
    more, failure = True, None
    try:
        while more:
            batch: list[T] = []
            try:
                more = await _fill(batch, items, size)
            except Exception as error:  # noqa: BLE001 -- of the source; raised below, after what came before it
                more, failure = False, error
            if batch:
                facts.add(names.ITEMS_BATCHES)
                yield batch
        if failure is not None:
            raise failure
    finally:
        await close(items)


async def _fill(batch: list[T], items: Iterator[T] | AsyncIterator[T], size: int) -> bool:
    """Add *items* to *batch* until it is full; false if there were not enough."""
    if isinstance(items, Iterator):
        for item in items:
            batch.append(item)
            if len(batch) == size:
                return True
    else:
        async for item in items:
            batch.append(item)
            if len(batch) == size:
                return True
    return False


class BufferedStream(OwnedStream[list[T]]):
    """Batches that do not wait for ever to fill, made by `buffered_stream`. Open it with ``async with``, then iterate."""

    def __init__(self, items: Iterator[T] | AsyncIterator[T], buffer_size: int, max_wait_s: float) -> None:
        super().__init__("buffered_stream")
        self._items = items
        self._size = buffer_size
        self._max_wait_s = max_wait_s
        self._batch: list[T] = []
        self._due_s = 0.0
        self._ended = False
        self._failure: Exception | None = None
        self._news = Bell()
        self._space = Bell()

    async def __anext__(self) -> list[T]:
        while not self._batch:
            if self._ended:
                self._finish()
            await self._news.heard()
        with anyio.CancelScope(deadline=self._due_s):
            while len(self._batch) < self._size and not self._ended:
                await self._news.heard()
        batch, self._batch = self._batch, []
        self._space.ring()
        facts.add(names.ITEMS_BATCHES)
        return batch

    def _finish(self) -> NoReturn:
        if self._failure is None:
            raise StopAsyncIteration
        failure, self._failure = self._failure, None
        raise failure

    async def _run(self) -> None:
        try:
            if isinstance(self._items, Iterator):
                for item in self._items:
                    await self._put(item)
            else:
                async for item in self._items:
                    await self._put(item)
        except Exception as error:  # noqa: BLE001 -- of the source; raised to the reader, after what came before it
            self._failure = error
        finally:
            self._ended = True
            self._news.ring()

    async def _put(self, item: T) -> None:
        while len(self._batch) >= self._size:
            await self._space.heard()
        if not self._batch:
            self._due_s = anyio.current_time() + self._max_wait_s
        self._batch.append(item)
        self._news.ring()

    async def _close(self) -> None:
        await close(self._items)
