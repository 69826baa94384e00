"""What a flush of a pipeline has to reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from honeyhive.tracer.export.intake import Goal
from honeyhive.tracer.export.spool import OwnShelf
from honeyhive.tracer.export.statistics import FlushResult, Place

if TYPE_CHECKING:
    from honeyhive.tracer.export.pipeline import Pipeline

__all__ = ["PipelineGoal"]


class PipelineGoal(Goal):
    """Everything finished before now, delivered or safe on disk.

    Args:
        pipeline: Whose spans.
        give_up: Be content with spans on disk once a fresh attempt to send them has failed.
    """

    def __init__(self, pipeline: Pipeline, *, give_up: bool) -> None:
        self._pipeline = pipeline
        self._give_up = give_up
        # With an empty queue, every span finished before now is in a drain that has begun; else the next one sees it.
        self._drain = pipeline.has_queued + pipeline.drains_begun
        self._marks: list[tuple[OwnShelf, int]] = []
        self._setbacks = 0

    def is_drained(self) -> bool:
        return self._pipeline.drains_done >= self._drain

    def set(self) -> None:
        self._marks = [(shelf, shelf.appended) for shelf in self._pipeline.spool.own]
        self._setbacks = self._pipeline.delivery.setbacks
        self._pipeline.hurry(attempt=self._pipeline.spool.waiting > 0)

    def relax(self) -> None:
        self._pipeline.relax()

    def is_settled(self) -> bool:
        if all(shelf.settled >= mark for shelf, mark in self._marks):
            return True
        delivery = self._pipeline.delivery
        in_vain = delivery.setbacks > self._setbacks and (self._give_up or delivery.absent)
        return in_vain and self._is_safe()

    def result(self, elapsed: float) -> FlushResult:
        statistics = self._pipeline.statistics()
        delivered, lost = self._pipeline.account()
        complete = self.is_drained() and self._is_safe() and not lost
        return FlushResult(complete, delivered, statistics.spooled, lost, statistics.in_memory, elapsed)

    def _is_safe(self) -> bool:
        """Whether every record is delivered, or on disk and synced."""
        return all(
            shelf.settled >= mark or (shelf.place is Place.SPOOL and shelf.synced >= mark)
            for shelf, mark in self._marks
        )
