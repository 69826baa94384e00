"""One flush: what it has to wait for, and whether it can say that all is well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import add

from honeyhive.tracer.export.pipeline import Pipeline
from honeyhive.tracer.export.spool import OwnShelf
from honeyhive.tracer.export.statistics import FlushResult, Place
from honeyhive.utils.clock import Clock

__all__ = ["Flush"]


class Flush:
    """The wish that everything finished before it was made be delivered, or at least safe.

    Args:
        pipelines: Whose spans.
        give_up: Be content with spans on disk once a fresh attempt to send them has failed, not only if there is
            nobody to send them to.
        clock: Measures how long it takes.
    """

    def __init__(self, pipelines: Sequence[Pipeline], *, give_up: bool, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._goals = [_Goal(pipeline, give_up=give_up) for pipeline in pipelines]

    def is_drained(self) -> bool:
        """Whether every span finished before the flush has left its queue."""
        return all([goal.is_drained() for goal in self._goals])

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """For the block, have every pipeline send at once and with short pauses."""
        for goal in self._goals:
            goal.set()
        try:
            yield
        finally:
            for goal in self._goals:
                goal.pipeline.relax()

    def is_settled(self) -> bool:
        """Whether there is nothing left to wait for."""
        return all([goal.is_settled() for goal in self._goals])

    def result(self) -> FlushResult:
        """Say what was achieved by now."""
        elapsed = self._clock.monotonic() - self._started
        return reduce(add, [goal.result(elapsed) for goal in self._goals], FlushResult(True, elapsed=elapsed))


class _Goal:
    """What one pipeline has to reach."""

    def __init__(self, pipeline: Pipeline, *, give_up: bool) -> None:
        self.pipeline = pipeline
        self._give_up = give_up
        self._drain = pipeline.drains_begun + 1
        self._marks: list[tuple[OwnShelf, int]] = []
        self._setbacks = 0

    def is_drained(self) -> bool:
        # A drain that began after the flush has seen every span that was finished before it.
        return self.pipeline.drains_done >= self._drain

    def set(self) -> None:
        """Note which records have to get where."""
        self._marks = [(shelf, shelf.appended) for shelf in self.pipeline.spool.own]
        self._setbacks = self.pipeline.delivery.setbacks
        self.pipeline.hurry(attempt=self.pipeline.spool.waiting > 0)

    def is_settled(self) -> bool:
        if all(shelf.settled >= mark for shelf, mark in self._marks):
            return True
        delivery = self.pipeline.delivery
        in_vain = delivery.setbacks > self._setbacks and (self._give_up or delivery.absent)
        return in_vain and self._is_safe()

    def result(self, elapsed: float) -> FlushResult:
        statistics = self.pipeline.statistics()
        delivered, lost = self.pipeline.account()
        complete = self.is_drained() and self._is_safe() and not lost
        return FlushResult(complete, delivered, statistics.spooled, lost, statistics.in_memory, elapsed)

    def _is_safe(self) -> bool:
        """Whether every record is delivered, or on disk and synced."""
        return all(
            shelf.settled >= mark or (shelf.place is Place.SPOOL and shelf.synced >= mark)
            for shelf, mark in self._marks
        )
