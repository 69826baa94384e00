"""The one blind ``except`` of the house: our own failures stop here and never reach the host program.

Around user code there is no guard: users' errors belong to users. Around our work there is exactly this one, so that
what it swallows is reported once per cause and counted, and so that tests can make it loud.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple, NoReturn, TypeAlias, TypeVar

from honeyhive.utils.fork import Renewable, renew_after_fork

__all__ = ["Cause", "FailureLog", "Report", "failures", "guard", "raise_it", "said_of"]

Report: TypeAlias = Callable[[str, Exception], None]
"""What to do with a swallowed error: called with the operation's name and the error."""

T = TypeVar("T")
R = TypeVar("R")

_logger = logging.getLogger("honeyhive")


class Cause(NamedTuple):
    """Where a failure comes from; failures with equal causes are reported once."""

    operation: str
    error: str
    location: str


class FailureLog(Renewable):
    """The default report: one warning on logger ``honeyhive`` per cause, a count for every time after.

    At most *max_causes* causes are told apart; further ones are counted together. Safe to call from any thread, from
    signal handlers and finalisers, and in forked children.
    """

    __slots__ = ("__weakref__", "_counts", "_counts_lock", "_max_causes")

    def __init__(self, max_causes: int = 256) -> None:
        self._max_causes = max_causes
        self._counts: dict[Cause, int] = {}
        self.renew()
        renew_after_fork(self)

    def __call__(self, operation: str, error: Exception) -> None:
        """Count *error*; warn if its cause is new."""
        cause = Cause(operation, type(error).__name__, _location(error))
        if self._count(cause) == 1:
            _warn(cause, error)

    def counts(self) -> Mapping[Cause, int]:
        """Return how often each cause has failed so far."""
        with self._counts_lock:
            return dict(self._counts)

    def renew(self) -> None:
        """Take a fresh lock: a forked child may have inherited a held one."""
        # Keeps "one warning per cause"; re-entrant because a finaliser may fail while a failure is counted.
        self._counts_lock = threading.RLock()

    def _count(self, cause: Cause) -> int:
        with self._counts_lock:
            if cause not in self._counts and len(self._counts) >= self._max_causes:
                cause = Cause("other operations", "any error", "any place")
            count = self._counts[cause] = self._counts.get(cause, 0) + 1
            return count


failures = FailureLog()
"""What every guard of this process reports to unless told otherwise."""


class guard:  # noqa: N801 - reads as a statement: ``with guard("start_span"):``
    """Swallow any ``Exception`` of the block and hand it to *report*.

    ``KeyboardInterrupt``, ``SystemExit``, ``CancelledError`` and every other error that is not an ``Exception`` pass
    through, and so does what *report* itself raises.

    Args:
        operation: What the block does, for people: ``"start_span"``.
        report: Receives the operation and the error; warns once per cause and counts by default.
    """

    __slots__ = ("_operation", "_report")

    def __init__(self, operation: str, report: Report = failures) -> None:
        self._operation = operation
        self._report = report

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._report(self._operation, error)
        return True


def said_of(theirs: T, ask: Callable[[T], R], otherwise: Callable[[T], R]) -> R:
    """Return ``ask(theirs)``, or ``otherwise(theirs)`` where that fails, as the ``__str__`` of a user's error may.

    An order to stop passes through.
    """
    try:
        return ask(theirs)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        return otherwise(theirs)


def raise_it(operation: str, error: Exception) -> NoReturn:
    """Raise *error* after all: the report for tests, in which our own failures must be loud."""
    error.add_note(f"honeyhive would have swallowed this error of {operation!r}")
    raise error


def _location(error: Exception) -> str:
    traceback = error.__traceback__
    if traceback is None:
        return "unknown place"
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    file = os.path.basename(traceback.tb_frame.f_code.co_filename)  # noqa: PTH119 - pathlib is too much to import
    return f"{file}:{traceback.tb_lineno}"


def _warn(cause: Cause, error: Exception) -> None:
    # The error's own message may quote user data, so only those who ask for debug output see it.
    details = error if _logger.isEnabledFor(logging.DEBUG) else None
    try:
        _logger.warning(
            "honeyhive failed in %r (%s at %s). Your program is not affected; this failure is reported once.",
            *cause,
            exc_info=details,
        )
    except Exception:  # noqa: S110 - a host's logging filter may raise; there is nobody left to tell
        pass
