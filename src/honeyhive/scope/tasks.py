"""The tasks of a scope: what ``ctx.spawn`` starts, and who ends it."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, cast, get_args

import anyio
from anyio.abc import TaskGroup

from honeyhive.exceptions import ScopeError, TaskCancelledError
from honeyhive.scope.background import Background
from honeyhive.scope.outcome import Outcome
from honeyhive.utils.missing import MISSING, Missing

__all__ = ["TASK_POLICIES", "TaskHandle", "TaskOwner", "TaskPolicy", "current_task"]

T = TypeVar("T")

TaskPolicy: TypeAlias = Literal["cancel", "join", "leave"]
"""What becomes of tasks when the block of their scope has ended well.

Without a policy, spawned tasks are awaited and tasks that asyncio made are cancelled. ``"cancel"`` cancels both,
``"join"`` awaits both, ``"leave"`` lets tasks that asyncio made live on. When the block ends with an error, all tasks of
the scope are cancelled, whatever the policy.
"""

TASK_POLICIES: Final = (None, *get_args(TaskPolicy))


class TaskHandle(Generic[T]):
    """A task that ``ctx.spawn`` has started. Await it for its result.

    An error in the task also ends the scope that owns it. Whoever awaits the handle from outside the scope gets the same
    error; inside, the scope is being cancelled by then.
    """

    __slots__ = ("_cancel_scope", "_ended", "_error", "_result", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._cancel_scope = anyio.CancelScope()
        self._ended = anyio.Event()
        self._result: T | Missing = MISSING
        self._error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        """Whether it has ended: with a result, with an error, or cancelled."""
        return self._ended.is_set()

    @property
    def is_cancelled(self) -> bool:
        """Whether it has ended by being cancelled."""
        return self.is_done and self._result is MISSING and self._error is None

    def cancel(self) -> None:
        """Ask it to end at its next await. The scope that owns it carries on."""
        self._cancel_scope.cancel()

    async def wait(self) -> T:
        """Wait until it has ended and return its result.

        Raises:
            TaskCancelledError: It was cancelled.
        """
        await self._ended.wait()
        if self._error is not None:
            raise self._error
        if self._result is MISSING:
            raise TaskCancelledError(f"task {self.name!r} was cancelled before it had a result")
        return self._result

    def __await__(self) -> Generator[Any, Any, T]:
        return self.wait().__await__()

    async def run(self, function: Callable[..., Awaitable[T]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Do the work; for the scope that owns the task."""
        try:
            with self._cancel_scope:
                self._result = await function(*args, **kwargs)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._ended.set()

    def __repr__(self) -> str:
        state = "cancelled" if self.is_cancelled else "done" if self.is_done else "running"
        return f"TaskHandle({self.name!r}, {state})"


class TaskOwner:
    """Owns the tasks of one scope: those it is asked to spawn and, on asyncio, those that code inside makes itself.

    Made by `open`, in the task that leaves the scope later.
    """

    __slots__ = ("_background", "_group", "_is_abandoned", "_is_ending", "_policy", "_spawned", "_thread", "_waiting")

    def __init__(self, group: TaskGroup, background: Background | None, policy: TaskPolicy | None) -> None:
        self._group = group
        self._background = background
        self._policy = policy
        self._spawned: set[TaskHandle[Any]] = set()
        self._waiting: anyio.Event | None = None
        self._thread = threading.get_ident()
        self._is_abandoned = False
        self._is_ending = False

    @classmethod
    async def open(cls, policy: TaskPolicy | None, opener: str) -> TaskOwner:
        """Begin to own tasks."""
        group = anyio.create_task_group()
        await group.__aenter__()
        watches = policy != "leave" and asyncio.isfuture(current_task())
        return cls(group, Background(opener) if watches else None, policy)

    def adopt(self, task: asyncio.Future[Any]) -> None:
        """Own a task that asyncio has made in this scope."""
        if self._background is not None:
            self._background.adopt(task)

    def spawn(
        self, function: Callable[..., Awaitable[T]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> TaskHandle[T]:
        """Start a task.

        Raises:
            ScopeError: Called from a thread other than that of the scope, or while the scope ends.
        """
        if threading.get_ident() != self._thread:
            raise ScopeError("ctx.spawn works in the thread of its scope; from another one use anyio.from_thread.run")
        # As long as one of its tasks is alive, the task group still waits, also for those that come now.
        if self._is_ending and not self._spawned:
            raise ScopeError("the scope is ending and starts no more tasks")
        handle: TaskHandle[T] = TaskHandle(getattr(function, "__qualname__", None) or repr(function))
        if self._is_abandoned:
            handle.cancel()
        self._spawned.add(handle)
        self._group.start_soon(self._run, handle, function, args, kwargs, name=handle.name)
        return handle

    async def _run(self, handle: TaskHandle[T], *work: Any) -> None:
        try:
            await handle.run(*work)
        finally:
            self._spawned.discard(handle)
            if self._waiting is not None and not self._spawned:
                self._waiting.set()

    async def close(self, outcome: Outcome) -> None:
        """End all tasks as the policy says, or at once if the block ended with an error; add what goes wrong."""
        if outcome.error is None and self._policy != "cancel":
            with outcome:
                await self._all_spawned()
        # The group is not told of the error: it would wrap it, and take groups apart.
        if self._spawned or outcome.error is not None:
            self._group.cancel_scope.cancel()
        await self._end_background(outcome)
        self._is_ending = True
        with outcome.of_tasks():
            await self._group.__aexit__(None, None, None)
        await self._release_background(outcome)

    async def abandon(self, outcome: Outcome) -> None:
        """End all tasks at once, from a task or at a moment in which the task group itself cannot be left."""
        self._is_ending = self._is_abandoned = True
        for handle in tuple(self._spawned):
            handle.cancel()
        with anyio.CancelScope(shield=True):
            await self._all_spawned()
        await self._release_background(outcome)

    async def leave(self) -> None:
        """Leave the task group of an owner that was abandoned."""
        await self._group.__aexit__(None, None, None)

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
