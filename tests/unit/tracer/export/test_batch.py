"""The export as a span processor on a stock OpenTelemetry provider."""

from __future__ import annotations

from itertools import chain

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from honeyhive.exceptions import ConfigurationError
from honeyhive.tracer.export.batch import BatchSpanProcessor
from honeyhive.tracer.export.statistics import Statistics
from honeyhive.tracer.export.storage import MemoryStorage
from honeyhive.tracer.export.worker import Worker


class RecordingExporter(SpanExporter):
    """Keeps the names of each batch, and gives the planned results in turn."""

    def __init__(self, *planned: SpanExportResult | Exception) -> None:
        self.batches: list[list[str]] = []
        self.is_shut = False
        self._planned = list(planned)

    def export(self, spans):
        self.batches.append([span.name for span in spans])
        result = self._planned.pop(0) if self._planned else SpanExportResult.SUCCESS
        if isinstance(result, Exception):
            raise result
        return result

    def shutdown(self) -> None:
        self.is_shut = True


@pytest.fixture
def worker():
    worker = Worker(storage=lambda _destination, _settings: MemoryStorage())
    yield worker
    worker.exit()


@pytest.fixture
def traced_by():
    def end_spans(processor, *names, **provider):
        tracer_provider = TracerProvider(shutdown_on_exit=False, **provider)
        tracer_provider.add_span_processor(processor)
        for name in names:
            tracer_provider.get_tracer("tests").start_span(name).end()

    return end_spans


@pytest.mark.acceptance("S23")
def test_the_defaults_are_512_spans_and_five_seconds(worker):
    pipeline = BatchSpanProcessor(worker=worker).pipeline

    assert pipeline is not None
    assert (pipeline.settings.max_batch_size, pipeline.settings.schedule_delay_s) == (512, 5.0)


@pytest.mark.acceptance("C5")
def test_it_is_an_opentelemetry_span_processor(worker):
    assert isinstance(BatchSpanProcessor(worker=worker), SpanProcessor)


@pytest.mark.acceptance("C5")
def test_spans_leave_through_a_foreign_exporter_in_batches(worker, traced_by):
    exporter = RecordingExporter()
    processor = BatchSpanProcessor(3, 60_000, exporter=exporter, worker=worker)

    traced_by(processor, *"abcdefg")

    assert processor.force_flush(5_000)
    assert list(chain.from_iterable(exporter.batches)) == list("abcdefg")
    assert max(map(len, exporter.batches)) == 3
    assert processor.statistics() == Statistics(finished=7, delivered=7)


def test_a_foreign_exporter_gets_the_spans_themselves(worker, traced_by):
    exporter = InMemorySpanExporter()
    processor = BatchSpanProcessor(exporter=exporter, worker=worker)

    traced_by(processor, "a")

    assert processor.force_flush(5_000)
    assert [span.name for span in exporter.get_finished_spans()] == ["a"]


@pytest.mark.parametrize(
    "result, reason",
    [(SpanExportResult.FAILURE, "rejected_by_backend"), (RuntimeError("theirs"), "internal_error")],
)
def test_what_a_foreign_exporter_fails_to_export_is_counted_and_the_flush_false(worker, traced_by, result, reason):
    processor = BatchSpanProcessor(exporter=RecordingExporter(result), worker=worker)
    traced_by(processor, "a", "b")

    assert not processor.force_flush(5_000)
    assert processor.statistics() == Statistics(finished=2, dropped={reason: 2})


def test_spans_after_the_shutdown_are_counted(worker, traced_by):
    exporter = RecordingExporter()
    processor = BatchSpanProcessor(exporter=exporter, worker=worker)
    traced_by(processor, "before")
    processor.shutdown(5_000)

    traced_by(processor, "after")

    assert exporter.batches == [["before"]]
    assert exporter.is_shut
    assert processor.statistics() == Statistics(finished=2, delivered=1, dropped={"after_shutdown": 1})


def test_spans_that_are_not_sampled_are_none_of_our_business(worker, traced_by):
    exporter = RecordingExporter()
    processor = BatchSpanProcessor(exporter=exporter, worker=worker)

    traced_by(processor, "a", sampler=ALWAYS_OFF)

    assert processor.force_flush(5_000)
    assert exporter.batches == []


def test_processors_with_equal_settings_share_one_pipeline(worker):
    one, two, other = (BatchSpanProcessor(size, worker=worker) for size in (512, 512, 100))

    assert one.pipeline is two.pipeline
    assert one.pipeline is not other.pipeline


def test_without_settings_spans_go_to_the_backend_on_this_machine(worker):
    pipeline = BatchSpanProcessor(worker=worker).pipeline

    assert pipeline is not None
    assert pipeline.destination.is_local


def test_the_environment_says_where_spans_go(worker, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example")

    pipeline = BatchSpanProcessor(worker=worker).pipeline

    assert pipeline is not None
    assert pipeline.destination.traces_url == "https://collector.example/v1/traces"


@pytest.mark.parametrize("size, delay", [(0, 5_000), (-1, 5_000), (512, -1)])
def test_impossible_settings_are_refused(worker, size, delay):
    with pytest.raises(ConfigurationError):
        BatchSpanProcessor(size, delay, worker=worker)


def test_a_pipeline_keeps_its_own_pace(worker):
    pipeline = BatchSpanProcessor(100, 1_000, worker=worker).pipeline

    with pytest.raises(ConfigurationError, match="size or delay"):
        BatchSpanProcessor(512, 5_000, pipeline=pipeline, worker=worker)
