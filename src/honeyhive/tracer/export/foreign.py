"""Spans that leave through somebody else's OpenTelemetry exporter: batched and counted here, sent by it.

Such an exporter takes span objects, so there is no journal: what it fails to export is lost, and counted.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from honeyhive.tracer.export.intake import Goal, Intake, Staff
from honeyhive.tracer.export.reporting import Reporter
from honeyhive.tracer.export.settings import PipelineSettings
from honeyhive.tracer.export.statistics import DropReason, FlushResult, Place
from honeyhive.utils.clock import Clock
from honeyhive.utils.guard import guard

__all__ = ["ExporterQueue"]


class ExporterQueue(Intake):
    """Takes finished spans for one exporter. Thread-safe; the exporter is called by one thread at a time.

    Args:
        exporter: Shut down by `close`.
        settings: Bounds and pace; what concerns the spool and requests does not apply.
        staff: The worker that calls.
        clock: Measures the pace.
    """

    def __init__(self, exporter: SpanExporter, settings: PipelineSettings, *, staff: Staff, clock: Clock) -> None:
        super().__init__(staff, capacity=settings.max_queue_bytes, pressure=settings.pressure, clock=clock)
        self._exporter = exporter
        self._batch_size = settings.max_batch_size
        self._delay_s = settings.schedule_delay_s
        self._begin()

    def renew(self) -> None:
        """In a forked child: begin anew, empty."""
        super().renew()
        self._begin()

    def _begin(self) -> None:
        self.exported = 0
        """Spans that were handed to the exporter, with whatever result."""
        self._first_waiting_at: float | None = None
        self._send_until = 0
        self._proven = False
        # Keeps the counts of what was taken and what is due together.
        self._agenda = threading.RLock()
        self._reporter = Reporter(type(self._exporter).__name__, self.keeps_in, self._clock)

    # -- on the spooler thread: the queue stays as it is, only its age and length are looked at -------

    @property
    def has_queued(self) -> bool:
        """Whether spans came whose age is not noted yet."""
        return bool(self._queue) and self._first_waiting_at is None

    def drain(self, wait_s: float = -1) -> None:  # noqa: ARG002 -- there is no other drain to wait for
        """Note since when spans wait, and call a sender if they are enough for a request."""
        self._release_ripe()
        with self._agenda:
            if not self._queue:
                return
            if self._first_waiting_at is None:
                self._first_waiting_at = self._clock.monotonic()
        self._staff.call_sender()

    @property
    def unsynced(self) -> bool:
        """Return false: nothing is on disk."""
        return False

    def sync(self) -> None:
        """Do nothing."""

    # -- on a sender's thread ---------------------------------------------------------------------

    def due(self) -> float | None:
        """When a sender should come."""
        with self._agenda:
            if not self._queue:
                return None
            if self.exported < self._send_until or len(self._queue) >= self._batch_size:
                return float("-inf")
            return None if self._first_waiting_at is None else self._first_waiting_at + self._delay_s

    def send(self) -> None:
        """Export one batch, and make what waits behind it due as well."""
        with self._agenda:
            if self.exported >= self._send_until:
                self._send_until = self.exported + len(self._queue)
        count = min(self._batch_size, len(self._queue))
        spans = [self._queue.popleft() for _ in range(count)]
        weight = sum([self._weights.popleft() for _ in range(count)])
        if spans:
            self._export([span for span in spans if isinstance(span, ReadableSpan)], weight)
        self._reporter.losses(self.ledger.snapshot().dropped)
        self._staff.progress.ring()

    def _export(self, spans: Sequence[ReadableSpan], weight: int) -> None:
        self.ledger.finish(len(spans))
        result: SpanExportResult | None = None
        with guard("export spans through a foreign exporter"):
            result = self._exporter.export(spans)
        self._proven = result is SpanExportResult.SUCCESS
        if self._proven:
            self.ledger.move(len(spans), Place.MEMORY, Place.BACKEND)
        else:
            reason = DropReason.INTERNAL_ERROR if result is None else DropReason.REJECTED_BY_BACKEND
            self.ledger.drop(len(spans), Place.MEMORY, reason)
        self._charge(-weight)
        with self._agenda:
            self.exported += len(spans)
            self._first_waiting_at = self._clock.monotonic() if self._queue else None
            if not self._queue:
                self._held = 0

    @property
    def is_proven(self) -> bool:
        """Whether the last batch was exported."""
        return self._proven

    @property
    def keeps_in(self) -> str:
        """Where spans wait, for people."""
        return "memory"

    @property
    def leaves_by(self) -> str:
        """What has to happen for spans that wait to get on: nothing can, they are in memory."""
        return "they end with the process"

    # -- flush and end ----------------------------------------------------------------------------

    def goal(self, *, give_up: bool) -> Goal:  # noqa: ARG002 -- spans are exported or lost
        """Begin a flush."""
        self.release()
        return _Exported(self)

    def hurry(self) -> None:
        """Make everything that waits due."""
        with self._agenda:
            self._send_until = max(self._send_until, self.exported + len(self._queue))

    def flush(self, timeout_millis: float = 30_000) -> FlushResult:
        """Have everything finished so far exported."""
        return self._staff.flush([self], timeout_millis)

    def close(self) -> None:
        """Shut the exporter down."""
        with guard("shut a foreign exporter down"):
            self._exporter.shutdown()


class _Exported(Goal):
    """Everything finished before now has been handed to the exporter."""

    def __init__(self, queue: ExporterQueue) -> None:
        self._queue = queue
        self._mark = queue.exported + queue.statistics().in_memory

    def is_drained(self) -> bool:
        return True

    def set(self) -> None:
        self._queue.hurry()

    def relax(self) -> None:
        pass

    def is_settled(self) -> bool:
        return self._queue.exported >= self._mark

    def result(self, elapsed: float) -> FlushResult:
        statistics = self._queue.statistics()
        delivered, lost = self._queue.account()
        complete = self.is_settled() and not lost
        return FlushResult(complete, delivered, 0, lost, statistics.in_memory, elapsed)
