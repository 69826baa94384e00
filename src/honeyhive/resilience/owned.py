"""Streams that work beside the code that reads them: opened and ended by ``async with``, so that nothing outlives it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, TypeVar, cast

import anyio
from anyio.abc import TaskGroup

__all__ = ["Bell", "OwnedStream"]

T_co = TypeVar("T_co", covariant=True)


class Bell:
    """Wakes those who wait, and can be rung again."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def ring(self) -> None:
        """Wake whoever waits now."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def heard(self) -> None:
        """Wait for the next ring."""
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()


class OwnedStream(AsyncIterator[T_co]):
    """An async iterator with a task beside it that begins and ends with ``async with``.

    A generator could not own that task: nobody promises to close a generator, and never in the right place.
    """

    def __init__(self, helper: str) -> None:
        self._helper = helper
        self._owner: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        if self._owner is not None:
            raise RuntimeError(f"this stream has been opened before; call {self._helper}() for each use")
        self._owner = anyio.create_task_group()
        await self._owner.__aenter__()
        self._owner.start_soon(self._run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        owner = cast("TaskGroup", self._owner)
        owner.cancel_scope.cancel()
        try:
            # The block's own error is not for the group, which would wrap it.
            await owner.__aexit__(None, None, None)
        finally:
            await self._close()

    def __aiter__(self) -> Self:
        if self._owner is None:
            raise RuntimeError(
                f"open the stream first: `async with {self._helper}(...) as stream:` and in it "
                f"`async for ... in stream:`; what works beside your code is then ended with the block"
            )
        return self

    @abstractmethod
    async def _run(self) -> None:
        """Do what is done beside the reader; is cancelled at the end of the block."""

    @abstractmethod
    async def _close(self) -> None:
        """Close what the stream reads from."""
