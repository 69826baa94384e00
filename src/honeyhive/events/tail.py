"""The events of a store from a position on, and then each new one as it is saved."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from honeyhive.exceptions import StoreClosedError
from honeyhive.utils.clock import Clock, SystemClock

if TYPE_CHECKING:
    from honeyhive.events.store import AsyncEventLog, EventLog, RecordedEvent

__all__ = ["AsyncTail", "Tail"]


class Tail:
    """The events behind a position, waiting for those to come; for one thread.

    It ends when it is closed, from any thread, or the store is.

    Args:
        store: Where the events are.
        after: The position behind which it begins; 0 for the first event.
        batch: How many events are read at a time.
        clock: Passes the time until it looks again.
    """

    def __init__(self, store: EventLog, after: int = 0, *, batch: int = 500, clock: Clock | None = None) -> None:
        self._store = store
        self._batch = batch
        self._clock = clock or SystemClock()
        self._grown = threading.Event()
        self._is_closed = False
        self._unwatch = store.watch(lambda _: self._grown.set())
        self.position = after

    def __iter__(self) -> Iterator[RecordedEvent]:
        with suppress(StoreClosedError):
            while not self._is_closed:
                self._grown.clear()
                records = self._store.read_all(self.position, self._batch)
                for record in records:
                    self.position = record.position
                    yield record
                    if self._is_closed:
                        return
                if not records:
                    self._wait()

    def close(self) -> None:
        """End it; twice is once."""
        self._is_closed = True
        self._unwatch()
        self._grown.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self) -> None:
        if self._is_closed:  # `close` may have woken us just before we looked away
            return
        if self._store.poll_s is None:
            self._grown.wait()
        else:
            self._clock.wait(self._grown, self._store.poll_s)


class AsyncTail:
    """`Tail` of an asynchronous store; ends when it is closed, cancelled, or the store is closed.

    Args:
        store: Where the events are.
        after: The position behind which it begins; 0 for the first event.
        batch: How many events are read at a time.
    """

    def __init__(self, store: AsyncEventLog, after: int = 0, *, batch: int = 500) -> None:
        import anyio

        self._store = store
        self._batch = batch
        self._grown = anyio.Event()
        self._is_closed = False
        self._unwatch = store.watch(lambda _: self._grown.set())
        self.position = after

    async def __aiter__(self) -> AsyncIterator[RecordedEvent]:
        import anyio

        with suppress(StoreClosedError):
            while not self._is_closed:
                self._grown = anyio.Event()
                records = await self._store.read_all(self.position, self._batch)
                for record in records:
                    self.position = record.position
                    yield record
                    if self._is_closed:
                        return
                if not records and not self._is_closed:
                    with anyio.move_on_after(self._store.poll_s):
                        await self._grown.wait()

    def close(self) -> None:
        """End it, from the event loop it is used in; twice is once."""
        self._is_closed = True
        self._unwatch()
        self._grown.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
