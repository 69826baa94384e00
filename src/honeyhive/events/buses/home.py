"""The event loop that an object lives in: the one it was first used in, or one on a thread of its own.

So that the same object serves coroutines, worker threads and programs without any event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from honeyhive.exceptions import BusClosedError

__all__ = ["Home"]

T = TypeVar("T")


class Home:
    """Runs coroutines in one event loop of asyncio, from wherever they are asked for.

    Args:
        name: What its thread is called, if it needs one.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # Keeps it at one loop when several threads use the object first.
        self._settling = threading.Lock()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop, once there is one."""
        return self._loop

    def is_here(self) -> bool:
        """Tell whether the caller runs in this very loop; where there is none yet, its own becomes it.

        Raises:
            BusClosedError: The caller runs in another event loop, which must not be blocked.
        """
        running = _running_loop()
        if self._loop is None:
            self._settle(running)
        if running is None or running is self._loop:
            return running is not None
        raise BusClosedError(
            "the bus lives in another event loop; make one bus for each loop, or call it from a thread"
        )

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* in this loop, in the context of the calling thread, and wait for its result."""
        loop, context = self._loop, contextvars.copy_context()
        if loop is None or loop.is_closed():
            coroutine.close()
            raise BusClosedError("the event loop of the bus is closed")
        done: Future[T] = Future()

        def begin() -> None:
            task = loop.create_task(coroutine, context=context)
            task.add_done_callback(lambda ended: _hand_over(ended, done))

        loop.call_soon_threadsafe(begin)
        return done.result()

    def close(self) -> None:
        """End the thread, if there is one."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._thread = self._loop = None

    def _settle(self, running: asyncio.AbstractEventLoop | None) -> None:
        with self._settling:
            if self._loop is None:
                self._loop = running or self._started()

    def _started(self) -> asyncio.AbstractEventLoop:
        """Return a new loop that runs on a thread of its own."""
        loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_run, args=(loop,), name=self._name, daemon=True)
        self._thread.start()
        return loop


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def _hand_over(ended: asyncio.Task[T], done: Future[T]) -> None:
    if ended.cancelled():
        done.set_exception(BusClosedError("the bus was closed meanwhile"))
    elif (error := ended.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(ended.result())
