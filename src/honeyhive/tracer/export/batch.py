"""`BatchSpanProcessor`: the export as an OpenTelemetry span processor, for our provider and for anybody's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter

from honeyhive.config import Backend, BackendKind, Settings, choose_backend, resolve
from honeyhive.exceptions import ConfigurationError
from honeyhive.models.wire import RecordKind
from honeyhive.tracer.export.destination import Destination
from honeyhive.tracer.export.foreign import ExporterQueue
from honeyhive.tracer.export.pipeline import Pipeline, PipelineSettings
from honeyhive.tracer.export.statistics import DropReason, FlushResult, Statistics
from honeyhive.tracer.export.worker import Worker, process_worker
from honeyhive.tracer.interfaces import Outbox

if TYPE_CHECKING:
    from honeyhive.utils.redact import Redactor

__all__ = ["BatchSpanProcessor", "PipelineOutbox", "destination_of", "pipeline_settings"]


class PipelineOutbox(Outbox):
    """Makes calls of the REST API through a pipeline, in line with the spans finished before them."""

    __slots__ = ("_pipeline",)

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def tell(self, method: str, path: str, body: Mapping[str, Any], *, at_once: bool = True) -> bool:
        def record() -> bytes:
            return json.dumps({"method": method, "path": path, "body": body}, default=str).encode()

        return self._pipeline.submit(RecordKind.REST, record, at_once=at_once)


class BatchSpanProcessor(SpanProcessor):
    """Sends finished spans in batches, by size and by time, and loses none without counting it.

    A true OpenTelemetry span processor: give it to our provider, to a stock ``TracerProvider``, or to any other. By
    default spans go through the journal to where the settings say (``HH_API_KEY``, ``OTEL_EXPORTER_OTLP_ENDPOINT``, or
    the backend on this machine). Starts no thread and opens no file before the first span.

    Args:
        max_batch_size: Spans in one request at most; as many waiting are sent at once.
        schedule_delay_millis: How long a span waits at most before sending it is tried; on disk it is within 50 ms.
        exporter: Somebody else's exporter to send spans through, from memory. It is shut down with the processor.
        destination: Where to send spans, instead of where the settings say.
        settings: Everything else about the way; size and delay are taken from the two arguments above.
        redactor: Sees every value before it is written or sent.
        worker: Whose threads do the work; the process's one by default.

    Raises:
        ConfigurationError: A size below 1, a negative delay, or an exporter together with a destination.
    """

    def __init__(
        self,
        max_batch_size: int = 512,
        schedule_delay_millis: float = 5000,
        *,
        exporter: SpanExporter | None = None,
        destination: Destination | None = None,
        settings: PipelineSettings | None = None,
        redactor: Redactor | None = None,
        worker: Worker | None = None,
    ) -> None:
        if max_batch_size < 1:
            raise ConfigurationError(f"max_batch_size is {max_batch_size}; it must be at least 1")
        if schedule_delay_millis < 0:
            raise ConfigurationError(f"schedule_delay_millis is {schedule_delay_millis}; it must not be negative")
        if exporter is not None and (destination is not None or redactor is not None):
            raise ConfigurationError("an exporter of your own knows its destination and gets spans as they are")
        paced = replace(
            settings or PipelineSettings(),
            max_batch_size=max_batch_size,
            schedule_delay_s=schedule_delay_millis / 1000,
        )
        self._worker = worker or process_worker()
        self._outlet = (
            self._worker.pipeline(destination or _configured_destination(), paced, redactor)
            if exporter is None
            else self._worker.exporter_queue(exporter, paced)
        )
        self._finished = self._outlet.finished
        self._is_shut = False

    def on_end(self, span: ReadableSpan) -> None:
        """Take a finished span, if it is sampled; it is queued, nothing else happens on this thread."""
        context = span.context
        if context is None or not context.trace_flags.sampled:
            return
        if self._is_shut:
            self._outlet.refuse(1, DropReason.AFTER_SHUTDOWN)
            return
        self._finished(span)

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
        self.flush(timeout_millis)
        if isinstance(self._outlet, ExporterQueue):
            self._outlet.close()

    def statistics(self) -> Statistics:
        """Return what became of the spans; shared with every processor of the same destination and settings."""
        return self._outlet.statistics()

    @property
    def pipeline(self) -> Pipeline | None:
        """The way of the spans; ``None`` if they leave through somebody else's exporter."""
        return self._outlet if isinstance(self._outlet, Pipeline) else None

    @property
    def outbox(self) -> Outbox | None:
        """The way of REST calls, where the destination takes any."""
        pipeline = self.pipeline
        return PipelineOutbox(pipeline) if pipeline is not None and pipeline.speaks_rest else None


def destination_of(backend: Backend) -> Destination:
    """Translate where the settings say that spans go."""
    if backend.kind is BackendKind.LOCAL:
        return Destination.local()
    if backend.kind is BackendKind.NONE:
        return Destination.unusable(backend.traces_url or backend.base_url, key=backend.key)
    rest_url = backend.base_url if backend.speaks_rest else ""
    return Destination.remote(backend.traces_url, key=backend.key, headers=backend.headers, rest_url=rest_url)


def pipeline_settings(settings: Settings) -> PipelineSettings:
    """Translate the user's settings, size and delay included."""
    return PipelineSettings(
        max_queue_bytes=settings.max_queue_bytes,
        pressure=settings.pressure,
        max_batch_size=1 if settings.disable_batch else settings.max_export_batch_size,
        schedule_delay_s=0.0 if settings.disable_batch else settings.flush_interval,
        request_timeout_s=settings.export_timeout,
        spool=settings.spool,
        spool_dir=None if settings.spool_dir is None else Path(settings.spool_dir),
        spool_max_bytes=settings.spool_max_bytes,
        spool_sync=settings.spool_sync,
    )


def _configured_destination() -> Destination:
    return destination_of(choose_backend(resolve({}, os.environ).settings, os.environ))
