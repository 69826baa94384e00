"""Asynchronous parts for programs that block: one event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from honeyhive.events.messages import Event
from honeyhive.events.store import Appended, AsOf, AsyncEventLog, EventLog, RecordedEvent, Stream, StreamFacts
from honeyhive.events.stores.watching import Watchers
from honeyhive.exceptions import StoreClosedError

__all__ = ["BlockingEventLog", "LoopThread"]

T = TypeVar("T")


class LoopThread:
    """An event loop in a daemon thread. Thread-safe; the thread starts with the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # at most one loop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the coroutine that *work* makes returns.

        Raises:
            RuntimeError: This is the thread of the loop, which would wait for itself.
            StoreClosedError: It is closed.
        """
        if _is_current(self._running()):
            raise RuntimeError(
                "a blocking store cannot be used in its own event loop; use the asynchronous store there"
            )
        return self.submit(work).result()

    def submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Run the coroutine that *work* makes, and return the future of its result; does not wait.

        Raises:
            StoreClosedError: It is closed.
        """
        return asyncio.run_coroutine_threadsafe(work(), self._running())

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Await what *last* makes, in the loop, and end the loop; twice is once."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            loop = self._loop
        if loop is None:
            return
        asyncio.run_coroutine_threadsafe(last(), loop).result()
        loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._is_closed:
                raise StoreClosedError("the store is closed; make a new one")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name="honeyhive-events", daemon=True).start()
            return self._loop


class BlockingEventLog(EventLog):
    """An asynchronous store for programs that block. Thread-safe.

    Args:
        store: The store; used in the event loop of this object, and nowhere else from now on.
    """

    def __init__(self, store: AsyncEventLog) -> None:
        self._store = store
        self._thread = LoopThread()
        self._watchers = Watchers()

    @property
    def poll_s(self) -> float | None:
        """How often readers look for events that other processes have saved."""
        return self._store.poll_s

    def save(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> Appended:
        appended = self._thread.call(lambda: self._store.save(aggregate_id, events, expected_version))
        if appended.added:
            self._watchers.tell(appended.added)
        return appended

    def load(self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None) -> Stream:
        return self._thread.call(lambda: self._store.load(aggregate_id, from_version, as_of=as_of))

    def load_after_version(self, aggregate_id: str, version: int) -> Stream:
        return self.load(aggregate_id, version)

    def history(self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None) -> list[RecordedEvent]:
        return self._thread.call(lambda: self._store.history(aggregate_id, from_version, as_of=as_of))

    def read_all(self, after: int = 0, limit: int = 1_000) -> list[RecordedEvent]:
        return self._thread.call(lambda: self._store.read_all(after, limit))

    def head(self) -> int:
        return self._thread.call(self._store.head)

    def streams(self, prefix: str = "") -> list[StreamFacts]:
        return self._thread.call(lambda: self._store.streams(prefix))

    def watch(self, listener: Callable[[int], None]) -> Callable[[], None]:
        return self._watchers.add(listener)

    def close(self) -> None:
        self._thread.close(self._store.close)
        self._watchers.tell(0)


def _is_current(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
