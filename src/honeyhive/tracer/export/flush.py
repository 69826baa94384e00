"""Flushing any number of outlets side by side, within one time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import add

from honeyhive.tracer.export.intake import Outlet
from honeyhive.tracer.export.statistics import FlushResult
from honeyhive.utils.clock import Clock

__all__ = ["Flush"]


class Flush:
    """The wish that everything finished before it was made be delivered, or at least safe.

    Args:
        outlets: Whose spans.
        give_up: Be content with spans on disk once a fresh attempt to send them has failed, not only if there is
            nobody to send them to.
        clock: Measures how long it takes.
    """

    def __init__(self, outlets: Sequence[Outlet], *, give_up: bool, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._goals = [outlet.goal(give_up=give_up) for outlet in outlets]

    def is_drained(self) -> bool:
        """Whether every span finished before the flush has left its queue."""
        return all(goal.is_drained() for goal in self._goals)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """For the block, have every outlet send at once and with short pauses."""
        for goal in self._goals:
            goal.set()
        try:
            yield
        finally:
            for goal in self._goals:
                goal.relax()

    def is_settled(self) -> bool:
        """Whether there is nothing left to wait for."""
        return all(goal.is_settled() for goal in self._goals)

    def result(self) -> FlushResult:
        """Say what was achieved by now."""
        elapsed = self._clock.monotonic() - self._started
        return reduce(add, [goal.result(elapsed) for goal in self._goals], FlushResult(complete=True, elapsed=elapsed))
