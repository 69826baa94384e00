"""From settings to the way out: which destination, which redaction, which processor, which outbox."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from honeyhive.config import Backend, Settings
from honeyhive.models.wire import RecordKind
from honeyhive.tracer.export import Destination, PipelineSettings, pipeline_for
from honeyhive.tracer.interfaces import Outbox
from honeyhive.utils.capture import capture, captured_bytes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter

    from honeyhive.tracer.export import Pipeline
    from honeyhive.tracer.processing.tail import TailSampling
    from honeyhive.utils.redact import Redactor

__all__ = ["PipelineOutbox", "outbox_of", "redactor_of", "span_processor_for"]


def span_processor_for(settings: Settings, backend: Backend) -> SpanProcessor:
    """Return what spans leave through; starts no thread and opens no file."""
    from honeyhive.tracer.export.batch import BatchSpanProcessor

    size = 1 if settings.disable_batch else settings.max_export_batch_size
    delay_millis = 0.0 if settings.disable_batch else settings.flush_interval * 1000
    if backend.protocol == "grpc" and backend.traces_url:
        return BatchSpanProcessor(
            size, delay_millis, exporter=_grpc_exporter(backend, settings), tail=_tail_sampling(settings)
        )
    tail = _tail_sampling(settings)
    wanted = PipelineSettings(
        max_queue_bytes=settings.max_queue_bytes - (0 if tail is None else tail.max_bytes),
        pressure=settings.pressure,
        max_batch_size=size,
        schedule_delay_s=delay_millis / 1000,
        request_timeout_s=settings.export_timeout,
        max_span_bytes=settings.max_span_size,
        spool=settings.spool,
        spool_dir=None if settings.spool_dir is None else Path(settings.spool_dir),
        spool_max_bytes=settings.spool_max_bytes,
        spool_sync=settings.spool_sync,
    )
    redactor = redactor_of(settings)
    pipeline = pipeline_for(Destination.of(backend), wanted, redactor)
    _prepare(redactor)
    return BatchSpanProcessor(size, delay_millis, pipeline=pipeline, tail=tail)


def _tail_sampling(settings: Settings) -> TailSampling | None:
    """Return the tail sampling that *settings* ask for; its spans wait in a quarter of the queue's bytes."""
    if settings.tail_sample_rate is None:
        return None
    from honeyhive.tracer.processing.tail import TailSampling

    return TailSampling(
        settings.tail_sample_rate, settings.tail_slow_ms, max_bytes=max(1, settings.max_queue_bytes // 4)
    )


def _prepare(redactor: Redactor | None) -> None:
    """Load and compile now what the first span would otherwise wait for: it is to be on disk within 50 ms."""
    from honeyhive.tracer.processing.event_types import usual_event_types
    from honeyhive.utils.render import render

    usual_event_types()
    render(capture(["", {}]))
    if redactor is not None:
        redactor.attribute("prepare", "password=prepared and no secret")


def redactor_of(settings: Settings) -> Redactor | None:
    """Return the redaction that *settings* ask for; the same object for the same rules."""
    if not settings.redact:
        return None
    return _redactor(tuple(settings.redact_keys), tuple(settings.redact_patterns), settings.mask)


@functools.lru_cache(maxsize=64)
def _redactor(
    keys: tuple[str, ...], patterns: tuple[str, ...], mask: Callable[[str, object], object] | None
) -> Redactor:
    from honeyhive.utils.redact import Redactor

    return Redactor(keys=keys, patterns=patterns, mask=mask)


def _grpc_exporter(backend: Backend, settings: Settings) -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # type: ignore[import-not-found,unused-ignore]
            OTLPSpanExporter,
        )
    except ImportError as error:
        from honeyhive.exceptions import ConfigurationError

        raise ConfigurationError("otlp_protocol=grpc needs the extra: pip install 'honeyhive[grpc]'") from error
    exporter: SpanExporter = OTLPSpanExporter(
        endpoint=backend.traces_url, headers=dict(backend.headers), timeout=settings.export_timeout
    )
    return exporter


class PipelineOutbox(Outbox):
    """Sends calls of the REST API through the pipeline of the spans, in line with them.

    Bodies are copied when they are told and written as JSON, without secrets, on the
    export thread.
    """

    __slots__ = ("_pipeline", "_redactor")

    def __init__(self, pipeline: Pipeline, redactor: Redactor | None) -> None:
        self._pipeline = pipeline
        self._redactor = redactor

    def tell(self, method: str, path: str, body: Mapping[str, Any], *, at_once: bool = True) -> bool:
        captured = capture(body)

        def payload() -> bytes:
            return self._written(method, path, captured)

        return self._pipeline.submit(RecordKind.REST, payload, weight=256 + captured_bytes(captured), wake=at_once)

    def _written(self, method: str, path: str, captured: object) -> bytes:
        from honeyhive.utils.render import json_text, tree

        body = tree(captured)
        if self._redactor is not None:
            body = self._redactor.tree(body)
        return json.dumps({"method": method, "path": path, "body": json.loads(json_text(body))}).encode()


def outbox_of(processor: object, settings: Settings) -> Outbox | None:
    """Return the way to the REST API beside *processor*, if it has one."""
    pipeline = getattr(processor, "pipeline", None)
    return None if pipeline is None else PipelineOutbox(pipeline, redactor_of(settings))
