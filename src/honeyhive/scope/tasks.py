"""The tasks of a scope: what ``ctx.spawn`` starts, and who ends it."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast, get_args

import anyio

from honeyhive.exceptions import ScopeError
from honeyhive.scope.background import Background
from honeyhive.scope.groups import AnyioGroup, AsyncioGroup, Group
from honeyhive.scope.handles import TaskHandle
from honeyhive.scope.outcome import Outcome

__all__ = ["TASK_POLICIES", "TaskOwner", "TaskPolicy", "current_task"]

T = TypeVar("T")

TaskPolicy: TypeAlias = Literal["cancel", "join", "leave"]
"""What becomes of tasks when the block of their scope has ended well.

Without a policy, spawned tasks are awaited and tasks that asyncio made are cancelled. ``"cancel"`` cancels both,
``"join"`` awaits both, ``"leave"`` lets tasks that asyncio made live on. When the block ends with an error, all tasks of
the scope are cancelled, whatever the policy.
"""

TASK_POLICIES: Final = (None, *get_args(TaskPolicy))


class TaskOwner:
    """Owns the tasks of one scope: those it is asked to spawn and, on asyncio, those that code inside makes itself.

    Made by `open`, in the task that leaves the scope later.
    """

    __slots__ = ("_background", "_group", "_is_cancelling", "_is_ending", "_policy", "_spawned", "_thread", "_waiting")

    def __init__(self, group: Group, background: Background | None, policy: TaskPolicy | None) -> None:
        self._group = group
        self._background = background
        self._policy = policy
        self._spawned: set[TaskHandle[Any]] = set()
        self._waiting: anyio.Event | None = None
        self._thread = threading.get_ident()
        self._is_cancelling = False
        self._is_ending = False

    @classmethod
    async def open(cls, policy: TaskPolicy | None, opener: str) -> TaskOwner:
        """Begin to own tasks."""
        on_asyncio = asyncio.isfuture(current_task())
        group = AsyncioGroup() if on_asyncio else AnyioGroup()
        await group.enter()
        return cls(group, Background(opener) if on_asyncio and policy != "leave" else None, policy)

    def adopt(self, task: asyncio.Future[Any]) -> None:
        """Own a task that asyncio has made in this scope."""
        if self._background is not None:
            self._background.adopt(task)

    def spawn(self, name: str, begin: Callable[[], Awaitable[T]]) -> TaskHandle[T]:
        """Start a task. While the tasks of the scope are being cancelled, it is cancelled from the start.

        Raises:
            ScopeError: Called from a thread other than that of the scope, or when all its tasks have ended already.
            TypeError: There is nothing to await.
        """
        if threading.get_ident() != self._thread:
            raise ScopeError(
                "ctx.spawn works in the thread of its scope; from another one call anyio.from_thread.run_sync(ctx.spawn, ...)"
            )
        # As long as one of its tasks is alive, the task group still waits, also for those that come now.
        if self._is_ending and not self._spawned:
            raise ScopeError("the scope is ending and starts no more tasks")
        work = begin()
        if not inspect.isawaitable(work):
            raise TypeError(f"ctx.spawn takes an async function; {name} has returned {type(work).__name__}")
        handle: TaskHandle[T] = TaskHandle(name)
        self._spawned.add(handle)
        self._group.start(handle, work, self._has_ended)
        if self._is_cancelling:
            handle.cancel()
        return handle

    def _has_ended(self, handle: TaskHandle[Any]) -> None:
        self._spawned.discard(handle)
        if self._waiting is not None and not self._spawned:
            self._waiting.set()

    async def close(self, outcome: Outcome) -> None:
        """End all tasks as the policy says, or at once if the block ended with an error; add what goes wrong."""
        if self._spawned and outcome.error is None and self._policy != "cancel":
            with outcome:
                await self._all_spawned()
        self._cancel_spawned()
        await self._end_background(outcome)
        self._is_ending = True
        with outcome.of_tasks():
            await self._group.leave()
        await self._release_background(outcome)

    async def abandon(self, outcome: Outcome) -> None:
        """End all tasks at once, from a task or at a moment in which the task group itself cannot be left."""
        self._is_ending = True
        self._cancel_spawned()
        with anyio.CancelScope(shield=True):
            await self._all_spawned()
        await self._release_background(outcome)

    async def leave(self) -> None:
        """Leave the task group of an owner that was abandoned."""
        await self._group.leave()

    def _cancel_spawned(self) -> None:
        self._is_cancelling = True
        for handle in tuple(self._spawned):
            handle.cancel()

    async def _all_spawned(self) -> None:
        while self._spawned:
            self._waiting = anyio.Event()
            await self._waiting.wait()

    async def _end_background(self, outcome: Outcome) -> None:
        if self._background is not None:
            cancel = self._policy != "join" or outcome.error is not None
            outcome.add_of_tasks(await self._background.end(cancel=cancel))

    async def _release_background(self, outcome: Outcome) -> None:
        await self._end_background(outcome)
        if self._background is not None:
            self._background.release()


def current_task() -> object:
    """Return the task that runs, of asyncio or trio; ``None`` outside both."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return task or _trio_task()


def _trio_task() -> object:
    trio = sys.modules.get("trio")
    if trio is None:
        return None
    try:
        return cast("object", trio.lowlevel.current_task())
    except RuntimeError:
        return None
