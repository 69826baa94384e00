"""Tasks that code in a scope starts with asyncio itself: they belong to the scope and end with it.

A task factory sees them being made. It is installed on an event loop only while a scope is open there, and passes on to
whichever factory the loop had. Three kinds of tasks are left alone:

* tasks of a task group, asyncio's or anyio's: their group ends them,
* tasks that an installed library makes: it may need them for longer, to keep a connection alive, and ends them itself,
* tasks made in ``ctx.detached()``, while resources open, and by the event loop for itself.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import sysconfig
from collections.abc import Callable
from contextvars import Context
from pathlib import PurePath
from types import FrameType
from typing import Any, Final

import anyio

from honeyhive.scope.current import current_scope
from honeyhive.utils.guard import guard

__all__ = ["Background"]

_PACKAGE: Final = "honeyhive"
_ROOM: Final = "honeyhive.scope."
_LOOP: Final = asyncio.base_events.__file__
_GROUPS: Final = asyncio.taskgroups.__file__
_END_OF_THE_WORK: Final = frozenset({"asyncio.events", "asyncio.runners"})
"""Modules below which stands the event loop, and not the code that made a task."""


class Background:
    """The plain asyncio tasks of one scope.

    Args:
        opener: Name of the module that opens the scope. What is made in the same package is never a library's.
    """

    __slots__ = ("_factory", "_loop", "_opener", "_tasks")

    def __init__(self, opener: str) -> None:
        self._opener = opener.partition(".")[0]
        self._tasks: set[asyncio.Future[Any]] = set()
        self._loop = asyncio.get_running_loop()
        self._factory: _TaskFactory | None = _installed_factory(self._loop)

    def adopt(self, task: asyncio.Future[Any]) -> None:
        """Let *task* end with the scope, unless somebody else takes care of it."""
        here = sys._getframe(1)  # noqa: SLF001 -- inspect would read source files
        if task.get_loop() is self._loop and _is_made_by_program(here, self._opener):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def end(self, *, cancel: bool) -> list[BaseException]:
        """Wait until all have ended, also those that are made meanwhile.

        Args:
            cancel: Cancel them; otherwise that happens only if the waiting itself is cancelled.

        Returns:
            What they raised from here on, and the cancellation of the waiting.
        """
        errors: list[BaseException] = []
        if not self._tasks:
            return errors
        with anyio.CancelScope(shield=cancel) as waiting:
            while tasks := {task for task in self._tasks if not task.done()}:
                if waiting.shield:
                    for task in tasks:
                        task.cancel()
                try:
                    await asyncio.wait(tasks)
                except asyncio.CancelledError as cancellation:
                    waiting.shield = True
                    errors.append(cancellation)
                errors.extend(error for task in tasks if (error := _error_of(task)))
        return errors

    def release(self) -> None:
        """Adopt no more."""
        factory, self._factory = self._factory, None
        if factory is not None:
            factory.leave(self._loop)


class _TaskFactory:
    """Makes tasks as the factory beneath it does, and shows them to the scope they are made in.

    Attributes the factory does not have are those of the one beneath: anyio looks there for asyncio's eager factory.
    """

    def __init__(self, beneath: Callable[..., asyncio.Future[Any]] | None) -> None:
        self._beneath = beneath
        self._scopes = 1

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Future[Any]:
        if self._beneath is None:
            task: asyncio.Future[Any] = asyncio.Task(coroutine, loop=loop, **options)
        else:
            task = self._beneath(loop, coroutine, **options)
        if self._scopes and not task.done() and not _is_grouped(sys._getframe(1)):  # noqa: SLF001 -- as above
            with guard("give a task to its scope"):
                _show(task, options.get("context"))
        return task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._beneath, name)

    def join(self) -> None:
        """One more scope is open."""
        self._scopes += 1

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """One scope has ended; with the last one, the loop gets its own factory back.

        If somebody has installed another factory since, which may pass on to this one, this one stays and does nothing.
        """
        self._scopes -= 1
        if not self._scopes and loop.get_task_factory() is self:
            loop.set_task_factory(self._beneath)


def _installed_factory(loop: asyncio.AbstractEventLoop) -> _TaskFactory:
    factory = loop.get_task_factory()
    if isinstance(factory, _TaskFactory):
        factory.join()
        return factory
    made = _TaskFactory(factory)
    loop.set_task_factory(made)
    return made


def _is_grouped(frame: FrameType | None) -> bool:
    """Tell quickly whether a task group of asyncio makes a task, through the loop; `_is_made_by_program` says no too."""
    while frame is not None and frame.f_code.co_filename == _LOOP:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename == _GROUPS


def _show(task: asyncio.Future[Any], context: Context | None) -> None:
    scope = current_scope.get() if context is None else context.get(current_scope)
    if scope is not None and scope.owner is not None:
        scope.owner.adopt(task)


def _error_of(task: asyncio.Future[Any]) -> BaseException | None:
    return task.exception() if task.done() and not task.cancelled() else None


def _is_made_by_program(frame: FrameType | None, opener: str) -> bool:
    """Tell whether the nearest code outside asyncio and honeyhive is the program's own."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        package = module.partition(".")[0]
        if module == "asyncio.taskgroups" or module in _END_OF_THE_WORK:
            return False
        if package != "asyncio" and not module.startswith(_ROOM):
            return package != _PACKAGE and (package == opener or not _is_installed(frame.f_code.co_filename))
        frame = frame.f_back
    return False


@functools.lru_cache(4096)
def _is_installed(filename: str) -> bool:
    """Tell whether a file belongs to the standard library or to an installed distribution."""
    path = PurePath(filename)
    if not path.is_absolute():
        return False
    if not {"site-packages", "dist-packages"}.isdisjoint(path.parts):
        return True
    folders = [str(folder) for folder in path.parents]
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    return not standard.isdisjoint(folders) or any(
        _has_distributions(folder) for folder in folders if folder in sys.path
    )


def _has_distributions(folder: str) -> bool:
    try:
        return any(name.endswith(".dist-info") for name in os.listdir(folder))  # noqa: PTH208 -- names are enough
    except OSError:
        return False
