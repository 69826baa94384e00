"""Bursts that are larger than the queue, in the mode that drops: with a journal that takes them nothing is dropped."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from opentelemetry.sdk.trace import TracerProvider

from honeyhive.tracer.export import Destination, PipelineSettings
from honeyhive.tracer.export.batch import BatchSpanProcessor
from honeyhive.tracer.export.worker import Worker


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.exit()


@pytest.fixture
def start(worker, collector, spool_dir):
    """Return a pipeline to the collector, and a tracer that exports through it."""

    def start_with(**settings):
        chosen = PipelineSettings(spool_dir=spool_dir, **settings)
        pipeline = worker.pipeline(Destination.remote(collector.url, key="hh_secret"), chosen)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(pipeline=pipeline))
        return pipeline, provider.get_tracer("tests")

    return start_with


@pytest.mark.fault
def test_fifty_spans_of_two_megabytes_at_once_all_arrive(start, collector):
    pipeline, tracer = start()
    prompts = [f"{number} " + "word " * 400_000 for number in range(50)]

    for number, prompt in enumerate(prompts):
        tracer.start_span(f"span {number}", attributes={"prompt": prompt}).end()
    result = pipeline.flush(20_000)

    assert result, pipeline.statistics()
    assert dict(collector.delivered) == {f"span {number}": 1 for number in range(50)}


@pytest.mark.fault
def test_a_burst_of_small_spans_is_kept_while_the_backend_is_down(start, collector, eventually):
    collector.stop()
    pipeline, tracer = start()
    text = "x" * 1000

    for _ in range(40_000):
        tracer.start_span("span", attributes={"text": text}).end()

    eventually(lambda: not pipeline.statistics().in_memory)
    statistics = pipeline.statistics()
    assert (statistics.finished, statistics.spooled, dict(statistics.dropped)) == (40_000, 40_000, {})


@pytest.mark.fault
def test_with_queue_and_spool_full_spans_are_dropped_at_once_and_counted(start, collector, eventually):
    collector.stop()
    pipeline, tracer = start(max_queue_bytes=4 * 1024 * 1024, spool_max_bytes=2 * 1024 * 1024)
    text = "x" * 10_000
    while not pipeline.statistics().dropped:
        tracer.start_span("filler", attributes={"text": text}).end()

    moments = [time.perf_counter()]
    for _ in range(200):
        tracer.start_span("late", attributes={"text": text}).end()
        moments.append(time.perf_counter())

    waited = sum(after - before > 0.04 for before, after in pairwise(moments))
    assert waited <= 2  # none waits out its patience; a busy machine may pause any
    statistics = pipeline.statistics()
    kept = statistics.delivered + statistics.spooled + statistics.in_memory
    assert statistics.finished == kept + sum(statistics.dropped.values())
    assert statistics.dropped.keys() <= {"spool_full", "queue_full"}
