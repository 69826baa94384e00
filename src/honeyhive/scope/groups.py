"""Task groups in which spawned tasks live: asyncio's own on asyncio, where it costs a fraction of anyio's, and anyio's.

Both are told of no error of the block they are in: they would wrap it, and take groups apart. Whoever leaves them has
cancelled first what is to be cancelled.
"""

from __future__ import annotations

import asyncio
import functools
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import TypeVar

import anyio

from honeyhive.scope.handles import TaskHandle
from honeyhive.utils.missing import MISSING, Missing

__all__ = ["AnyioGroup", "AsyncioGroup", "Group"]

T = TypeVar("T")


class Group(ABC):
    """Runs tasks and waits for them. A failing task cancels the others and the block that the group was entered in."""

    __slots__ = ()

    @abstractmethod
    async def enter(self) -> None:
        """Begin, in the task that leaves later."""

    @abstractmethod
    def start(self, handle: TaskHandle[T], work: Awaitable[T], ended: Callable[[TaskHandle[T]], None]) -> None:
        """Run *work* as the task of *handle*, which is told how to cancel it and how it ends; then call *ended*."""

    @abstractmethod
    async def leave(self) -> None:
        """Wait until all tasks have ended.

        Raises:
            BaseExceptionGroup: Errors of tasks.
        """


class AsyncioGroup(Group):
    """asyncio's task group."""

    __slots__ = ("_group", "_running")

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._running = 0

    async def enter(self) -> None:
        await self._group.__aenter__()

    def start(self, handle: TaskHandle[T], work: Awaitable[T], ended: Callable[[TaskHandle[T]], None]) -> None:
        coroutine = work if isinstance(work, CoroutineType) else _awaiting(work)
        try:
            task = self._group.create_task(coroutine, name=handle.name)
        except RuntimeError:  # a task has failed, and all are being cancelled
            coroutine.close()
            handle.end(MISSING, None)
            ended(handle)
            return
        self._running += 1
        handle.cancel_with(task.cancel)
        task.add_done_callback(functools.partial(self._end, handle, ended))

    def _end(self, handle: TaskHandle[T], ended: Callable[[TaskHandle[T]], None], task: asyncio.Task[T]) -> None:
        self._running -= 1
        error = None if task.cancelled() else task.exception()
        handle.end(MISSING if task.cancelled() or error is not None else task.result(), error)
        ended(handle)

    async def leave(self) -> None:
        if not self._running:
            await self._group.__aexit__(None, None, None)
            return
        # A cancel scope of anyio's around would go on cancelling in every round of the loop.
        with anyio.CancelScope(shield=True):
            await self._group.__aexit__(None, None, None)


class AnyioGroup(Group):
    """anyio's task group, for trio."""

    __slots__ = ("_group",)

    def __init__(self) -> None:
        self._group = anyio.create_task_group()

    async def enter(self) -> None:
        await self._group.__aenter__()

    def start(self, handle: TaskHandle[T], work: Awaitable[T], ended: Callable[[TaskHandle[T]], None]) -> None:
        scope = anyio.CancelScope()
        handle.cancel_with(scope.cancel)
        self._group.start_soon(self._run, handle, work, scope, ended, name=handle.name)

    async def _run(
        self,
        handle: TaskHandle[T],
        work: Awaitable[T],
        scope: anyio.CancelScope,
        ended: Callable[[TaskHandle[T]], None],
    ) -> None:
        result: T | Missing = MISSING
        failed: BaseException | None = None
        try:
            with scope:
                result = await work
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            failed = error
            raise
        finally:
            handle.end(result, failed)
            ended(handle)

    async def leave(self) -> None:
        await self._group.__aexit__(None, None, None)


async def _awaiting(work: Awaitable[T]) -> T:
    return await work
