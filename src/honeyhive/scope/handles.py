"""A task as whoever started it sees it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

import anyio

from honeyhive.exceptions import TaskCancelledError
from honeyhive.utils.missing import MISSING, Missing

__all__ = ["TaskHandle"]

T = TypeVar("T")


class TaskHandle(Generic[T]):
    """A task that ``ctx.spawn`` has started. Await it for its result.

    An error in the task also ends the scope that owns it. Whoever awaits the handle from outside the scope gets the same
    error; inside, the scope is being cancelled by then.

    Attributes:
        name: The name of the function.
        is_done: Whether it has ended: with a result, with an error, or cancelled.
    """

    __slots__ = ("_cancel", "_ended", "_error", "_result", "is_done", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_done = False
        self._cancel: Callable[[], object] = _nothing
        self._ended: anyio.Event | None = None
        self._result: T | Missing = MISSING
        self._error: BaseException | None = None

    @property
    def is_cancelled(self) -> bool:
        """Whether it has ended by being cancelled."""
        return self.is_done and self._result is MISSING and self._error is None

    def cancel(self) -> None:
        """Ask it to end at its next await. The scope that owns it carries on."""
        self._cancel()

    async def wait(self) -> T:
        """Wait until it has ended and return its result.

        Raises:
            TaskCancelledError: It was cancelled.
        """
        if not self.is_done:
            self._ended = self._ended or anyio.Event()
            await self._ended.wait()
        if self._error is not None:
            raise self._error
        if self._result is MISSING:
            raise TaskCancelledError(f"task {self.name!r} was cancelled before it had a result")
        return self._result

    def __await__(self) -> Generator[Any, Any, T]:
        return self.wait().__await__()

    def cancel_with(self, cancel: Callable[[], object]) -> None:
        """Say how it is cancelled; for the owner of the task."""
        self._cancel = cancel

    def end(self, result: T | Missing, error: BaseException | None) -> None:
        """Say how it has ended, cancelled if with neither; for the owner of the task."""
        self._result, self._error = result, error
        self.is_done = True
        if self._ended is not None:
            self._ended.set()

    def __repr__(self) -> str:
        state = "cancelled" if self.is_cancelled else "done" if self.is_done else "running"
        return f"TaskHandle({self.name!r}, {state})"


def _nothing() -> None:
    """Cancel what has not begun or has ended."""
