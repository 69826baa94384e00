"""`BatchSpanProcessor`: the export as an OpenTelemetry span processor, for our provider and for anybody's."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.trace import TraceFlags

from honeyhive.config import choose_backend, resolve
from honeyhive.exceptions import ConfigurationError
from honeyhive.tracer.export.destination import Destination
from honeyhive.tracer.export.foreign import ExporterQueue
from honeyhive.tracer.export.pipeline import Pipeline
from honeyhive.tracer.export.settings import PipelineSettings
from honeyhive.tracer.export.statistics import DropReason, FlushResult, Statistics
from honeyhive.tracer.export.worker import Worker, process_worker

if TYPE_CHECKING:
    from honeyhive.tracer.processing.tail import TailSampling
    from honeyhive.utils.redact import Redactor

__all__ = ["BatchSpanProcessor"]

_SAMPLED = int(TraceFlags.SAMPLED)


class BatchSpanProcessor(SpanProcessor):
    """Sends finished spans in batches, by size and by time, and loses none without counting it.

    A true OpenTelemetry span processor: give it to our provider, to a stock ``TracerProvider``, or to any other. By
    default spans go through the journal to where the settings say (``HH_API_KEY``, ``OTEL_EXPORTER_OTLP_ENDPOINT``, or
    the backend on this machine). Starts no thread and opens no file before the first span.

    Args:
        max_batch_size: Spans in one request at most; as many waiting are sent at once.
        schedule_delay_millis: How long a span waits at most before sending it is tried; on disk it is within 50 ms.
        exporter: Somebody else's exporter to send spans through, from memory. It is shut down with the processor.
        pipeline: The way to send spans, instead of where the settings say; its own size and delay must be the same.
        redactor: Sees every value before it is written or sent; without one nothing is looked for.
        tail: Keep traces with errors, slow ones and a share of the rest; by default all are kept.
        worker: Whose threads do the work; the process's one by default.

    Raises:
        ConfigurationError: A size below 1, a negative delay, or parts that do not go together.
    """

    def __init__(
        self,
        max_batch_size: int = 512,
        schedule_delay_millis: float = 5000,
        *,
        exporter: SpanExporter | None = None,
        pipeline: Pipeline | None = None,
        redactor: Redactor | None = None,
        tail: TailSampling | None = None,
        worker: Worker | None = None,
    ) -> None:
        if max_batch_size < 1:
            raise ConfigurationError(f"max_batch_size is {max_batch_size}; it must be at least 1")
        if schedule_delay_millis < 0:
            raise ConfigurationError(f"schedule_delay_millis is {schedule_delay_millis}; it must not be negative")
        if sum(part is not None for part in (exporter, pipeline, redactor)) > 1:
            raise ConfigurationError("give an exporter, a pipeline or a redactor: each of the first two brings its own")
        paced = replace(
            PipelineSettings() if pipeline is None else pipeline.settings,
            max_batch_size=max_batch_size,
            schedule_delay_s=schedule_delay_millis / 1000,
        )
        if pipeline is not None and pipeline.settings != paced:
            raise ConfigurationError("the pipeline has another size or delay than this processor")
        worker = worker or process_worker()
        if exporter is not None:
            self._outlet: Pipeline | ExporterQueue = worker.exporter_queue(exporter, paced)
        else:
            self._outlet = pipeline or worker.pipeline(_configured_destination(), paced, redactor)
        self._tail = None if tail is None else self._outlet.tail_sampler(tail)
        self._finished: Callable[[ReadableSpan], None] = (self._outlet if self._tail is None else self._tail).finished
        self._is_shut = False

    def on_end(self, span: ReadableSpan) -> None:
        """Take a finished span, if it is sampled; it is queued, nothing else happens on this thread."""
        try:
            is_sampled = span._flags & _SAMPLED  # type: ignore[attr-defined]  # ours spare building the span context
        except AttributeError:
            is_sampled = span.context is not None and span.context.trace_flags.sampled
        if is_sampled:
            finished = self._finished  # looked up before it is called, which is quicker in 3.11
            finished(span)

    def _refuse_late(self, _: ReadableSpan) -> None:
        self._outlet.refuse(1, DropReason.AFTER_SHUTDOWN)

    def flush(self, timeout_millis: float = 30_000) -> FlushResult:
        """Have everything finished so far delivered, or made safe on disk.

        Args:
            timeout_millis: How long to wait; the call ends at most 250 ms later.
        """
        return self._outlet.flush(timeout_millis)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush; true only if nothing that was finished before the call can be lost any more."""
        return bool(self.flush(timeout_millis))

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Take no more spans, and flush."""
        if self._is_shut:
            return
        self._is_shut = True
        self._finished = self._refuse_late
        self.flush(timeout_millis)
        if self._tail is not None:
            self._outlet.dismiss(self._tail)
        if isinstance(self._outlet, ExporterQueue):
            self._outlet.close()

    def statistics(self) -> Statistics:
        """Return what became of the spans; shared with every processor of the same destination and settings."""
        return self._outlet.statistics()

    @property
    def pipeline(self) -> Pipeline | None:
        """The way of the spans; ``None`` if they leave through somebody else's exporter."""
        return self._outlet if isinstance(self._outlet, Pipeline) else None


def _configured_destination() -> Destination:
    return Destination.of(choose_backend(resolve({}, os.environ).settings, os.environ))
