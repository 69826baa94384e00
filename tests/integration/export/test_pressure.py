"""Bursts that are larger than the queue, in the mode that drops: with a journal that takes them nothing is dropped."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanContext

from honeyhive import HoneyHiveTracer
from honeyhive.journal import Files, Journal
from honeyhive.tracer.export import Destination, PipelineSettings
from honeyhive.tracer.export.batch import BatchSpanProcessor
from honeyhive.tracer.export.storage import MemoryStorage
from honeyhive.tracer.export.worker import Worker
from honeyhive.utils import SystemClock


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
@pytest.mark.parametrize("pressure", ["block", "drop"])
def test_a_burst_of_small_spans_is_kept_while_the_backend_is_down(start, collector, eventually, pressure):
    collector.stop()
    pipeline, tracer = start(pressure=pressure)
    text = "x" * 1000

    for _ in range(40_000):
        tracer.start_span("span", attributes={"text": text}).end()

    eventually(lambda: not pipeline.statistics().in_memory)
    statistics = pipeline.statistics()
    assert 40_000 == statistics.finished == statistics.spooled + statistics.lost
    # Where the mode is to drop, a machine so busy that the journal is not written for a tenth of a second costs a few.
    assert statistics.lost <= (0 if pressure == "block" else 400)


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


@pytest.mark.fault
def test_spans_of_many_times_the_memory_allowed_are_kept_on_disk(run, collector):
    collector.stop()

    program = run("""
        import resource
        text = "x" * 1000
        work("first")
        pipeline.flush(300)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(80_000):
            tracer.start_span("span", attributes={"text": f"{number}{text}"}).end()
        wait_until(lambda: process_statistics().spooled == 80_001)
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown_kib < (32 + 4 + 8 + 20) * 1024, grown_kib  # queue, batch, segment, and the interpreter's own
    """)

    assert program.code == 0, program.errors


class SlowFiles(Files):
    """A disk that takes half a second to make anything safe."""

    def __init__(self):
        self.syncing = set()
        self.clock = SystemClock()

    def sync(self, fd):
        self.syncing.add(threading.current_thread().name)
        self.clock.sleep(0.5)
        super().sync(fd)


class SlowStorage(MemoryStorage):
    def __init__(self, folder):
        self.folder = folder
        self.files = SlowFiles()

    def open_disk(self):
        return Journal(self.folder, prefix="slow", files=self.files)


@pytest.mark.fault
def test_a_slow_disk_keeps_nobody_waiting_but_the_thread_that_syncs(collector, tmp_path, eventually):
    storage = SlowStorage(tmp_path)
    worker = Worker(storage=lambda _destination, _settings: storage)
    try:
        pipeline = worker.pipeline(Destination.remote(collector.url, key="hh_secret"))
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(pipeline=pipeline))
        moments = [time.perf_counter()]
        for _ in range(2_000):
            provider.get_tracer("tests").start_span("span").end()
            moments.append(time.perf_counter())
        eventually(lambda: storage.files.syncing and not pipeline.statistics().in_memory)

        waited = sum(after - before > 0.25 for before, after in pairwise(moments))
        assert waited <= 2  # a busy machine may pause any
        assert {"honeyhive-sync"} == storage.files.syncing
    finally:
        worker.exit()


@pytest.mark.fault
def test_spans_of_far_too_many_parts_are_cut_to_their_limits_and_say_so(collector, caplog):
    caplog.set_level("ERROR", "opentelemetry.attributes")  # it tells of each attribute that it drops
    tracer = HoneyHiveTracer(otlp_endpoint=collector.url, api_key="hh_secret", project="tests")
    attributes = {f"key {number}": number for number in range(10_000)}
    links = [Link(SpanContext(1, 1, is_remote=False))] * 3_000

    for _ in range(20):
        span = tracer.start_span("large", attributes=attributes, links=links)
        for number in range(2_000):
            span.add_event("event", {"text": f"{number} " + "x" * 1_000})
        span.end()
    assert tracer.flush(20_000)

    spans = [span for exchange in collector.exchanges for span in exchange.spans]
    assert 20 == len(spans)
    assert all(len(span.attributes) < 1_100 and span.dropped_attributes_count > 8_900 for span in spans)
    assert all(len(span.events) < 2_000 == len(span.events) + span.dropped_events_count for span in spans)
    assert all(len(span.links) < 3_000 == len(span.links) + span.dropped_links_count for span in spans)


@pytest.mark.fault
def test_five_thousand_children_of_one_span_all_arrive_below_it(start, collector):
    pipeline, tracer = start()

    with tracer.start_as_current_span("root"):
        for _ in range(5_000):
            tracer.start_span("child").end()
    assert pipeline.flush(20_000)

    assert dict(collector.delivered) == {"root": 1, "child": 5_000}
    spans = [span for exchange in collector.exchanges for span in exchange.spans]
    (root,) = [span.span_id for span in spans if span.name == "root"]
    assert {root} == {span.parent_span_id for span in spans if span.name == "child"}
