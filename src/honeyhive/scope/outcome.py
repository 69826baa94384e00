"""How the work of a scope ended: well, with the error of its block, or with several errors at once."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TypeAlias

import anyio

__all__ = ["Details", "Outcome", "details"]

Details: TypeAlias = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


def details(error: BaseException | None) -> Details:
    """Return what a context manager is told of *error*."""
    return (None, None, None) if error is None else (type(error), error, error.__traceback__)


class Outcome:
    """Collects what goes wrong, and says what to raise.

    One error passes as the object it is. Several come as one exception group, that of the block first. Errors of tasks
    always come as a group, as they do from any task group. A cancellation gives way to errors, as in any ``finally``, and
    so does the end of a generator.

    As a context manager it keeps back what is raised inside and takes it in.

    Args:
        scope: The scope's name, for the message of a group.
        error: What left the block.
    """

    __slots__ = ("_errors", "_group", "_is_group", "_scope")

    def __init__(self, scope: str, error: BaseException | None = None) -> None:
        self._scope = scope
        self._errors: list[BaseException] = [] if error is None else [error]
        self._is_group = False
        self._group: BaseException | None = None

    @property
    def error(self) -> BaseException | None:
        """What is to be raised; ``None`` if all went well."""
        if not self._errors:
            return None
        failures = [error for error in self._errors if not _is_cancellation(error)]
        if len(failures) > 1 or (failures and self._is_group):
            self._group = self._group or BaseExceptionGroup(f"errors in scope {self._scope!r}", failures)
            return self._group
        return (failures or self._errors)[0]

    def add(self, error: BaseException) -> None:
        """Take in one more error, unless it is known."""
        if error is not self._group and not any(error is known for known in self._errors):
            self._errors.append(error)
            self._group = None

    def add_of_tasks(self, errors: Iterable[BaseException]) -> None:
        """Take in errors of tasks, unless they are known; there will be a group then, even of one."""
        for error in errors:
            if not any(error is known for known in self._errors):
                self.add(error)
                self._is_group = self._is_group or not _is_cancellation(error)

    def forgive(self) -> None:
        """Forget all errors: somebody has dealt with them."""
        self._errors.clear()
        self._group = None
        self._is_group = False

    def of_tasks(self) -> _OfTasks:
        """Return a context manager like this one for what a task group raises."""
        return _OfTasks(self)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is not None:
            self.add(error)
        return True


class _OfTasks:
    __slots__ = ("_outcome",)

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if isinstance(error, BaseExceptionGroup):
            self._outcome.add_of_tasks(error.exceptions)
        elif error is not None:
            self._outcome.add(error)
        return True


def _is_cancellation(error: BaseException) -> bool:
    return isinstance(error, (GeneratorExit, anyio.get_cancelled_exc_class()))
