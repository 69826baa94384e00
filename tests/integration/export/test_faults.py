"""Every way in which a backend can misbehave, over real sockets and with the real threads."""

from __future__ import annotations

import random
import threading
import time

import pytest
from opentelemetry.sdk.trace import TracerProvider

from honeyhive.models.wire import ServerFile, server_file_path
from honeyhive.tracer.export import Destination, PipelineSettings
from honeyhive.tracer.export.batch import BatchSpanProcessor
from honeyhive.tracer.export.worker import Worker


@pytest.fixture
def worker():
    worker = Worker(random=random.Random(7).random)
    yield worker
    worker.exit()


@pytest.fixture
def pipeline(worker, collector, spool_dir):
    settings = PipelineSettings(spool_dir=spool_dir, request_timeout_s=3.0, schedule_delay_s=0.05)
    return worker.pipeline(Destination.remote(collector.url, key="hh_secret"), settings)


@pytest.fixture
def work(pipeline, eventually):
    """Trace spans of the given names and return when they are written or sent; how soon that is depends on the disk."""
    end_spans = tracing(pipeline)

    def work_and_wait(*names, **attributes):
        end_spans(*names, **attributes)
        eventually(lambda: not pipeline.statistics().in_memory)

    return work_and_wait


def tracing(pipeline):
    provider = TracerProvider(shutdown_on_exit=False)
    settings = pipeline.settings
    provider.add_span_processor(
        BatchSpanProcessor(settings.max_batch_size, settings.schedule_delay_s * 1000, pipeline=pipeline)
    )
    tracer = provider.get_tracer("tests")

    def end_spans(*names, **attributes):
        for name in names:
            tracer.start_span(name, attributes=attributes).end()

    return end_spans


def balanced(statistics):
    entered = statistics.finished + statistics.adopted
    present = statistics.delivered + statistics.spooled + statistics.in_memory + sum(statistics.dropped.values())
    return entered == present


NAMES = tuple(f"span {number}" for number in range(20))


def test_spans_arrive_by_themselves(work, collector, eventually):
    work(*NAMES)

    eventually(lambda: set(collector.delivered) == set(NAMES))


def test_a_healthy_backend_gets_each_span_once_with_the_key(work, pipeline, collector):
    work(*NAMES)

    result = pipeline.flush(15_000)

    assert result
    assert result.delivered == 20
    assert set(collector.delivered.values()) == {1}
    assert collector.exchanges[0].handler.headers["authorization"] == "Bearer hh_secret"


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_passing_failure_loses_and_repeats_nothing(work, pipeline, collector, answering, status):
    collector.planned = [answering(status), answering(status)]
    work(*NAMES)

    assert pipeline.flush(15_000)
    assert dict(collector.delivered) == dict.fromkeys(NAMES, 1)


@pytest.mark.parametrize("fault", ["reset", "hang"])
def test_a_connection_that_breaks_loses_and_repeats_nothing(work, pipeline, collector, fault):
    collector.planned = [lambda exchange: getattr(exchange, fault)()]
    work(*NAMES)

    assert pipeline.flush(15_000)
    assert dict(collector.delivered) == dict.fromkeys(NAMES, 1)


def test_an_outage_is_survived(work, pipeline, collector, eventually):
    collector.stop()
    work(*NAMES)
    result = pipeline.flush(500)
    assert (result.delivered, result.spooled) == (0, 20)

    collector.start()

    eventually(lambda: dict(collector.delivered) == dict.fromkeys(NAMES, 1))


def test_retry_after_is_kept_even_by_a_flush(work, pipeline, collector, answering):
    collector.planned = [answering(429, retry_after="2")]
    work(*NAMES)

    assert pipeline.flush(15_000)
    first, second, *_ = collector.exchanges
    assert second.at - first.at >= 2


def test_a_request_too_large_is_split(work, pipeline, collector):
    collector.behave = lambda exchange: exchange.answer(413 if len(exchange.body) > 25_000 else 200)
    work(*NAMES, pad="x" * 5_000)

    assert pipeline.flush(15_000)
    assert dict(collector.delivered) == dict.fromkeys(NAMES, 1)


def test_a_refused_key_keeps_spans_until_it_is_right(work, pipeline, collector, answering, caplog):
    collector.behave = answering(401)
    work(*NAMES)
    assert pipeline.flush(300).spooled == 20

    collector.behave = answering(200)

    assert pipeline.flush(15_000)
    assert dict(collector.delivered) == dict.fromkeys(NAMES, 1)
    assert "hh_secret" not in caplog.text


def test_a_redirect_takes_neither_key_nor_spans_elsewhere(work, pipeline, collector, answering):
    collector.behave = answering(307, location=collector.url.replace("/v1/", "/elsewhere/"))
    work(*NAMES)

    pipeline.flush(500)

    assert {exchange.handler.path for exchange in collector.exchanges} == {"/v1/traces"}
    assert pipeline.statistics().spooled == 20


def test_a_garbage_answer_with_a_good_status_is_success(work, pipeline, collector, answering):
    collector.behave = answering(200, b"\xff\x00<html>" * 50, content_type="application/x-protobuf")
    work(*NAMES)

    assert pipeline.flush(15_000)
    assert dict(collector.delivered) == dict.fromkeys(NAMES, 1)


def test_a_login_page_is_no_delivery(work, pipeline, collector, answering):
    collector.behave = answering(200, b"<html>please sign in", content_type="text/html")
    work(*NAMES)

    result = pipeline.flush(500)

    assert (result.delivered, result.spooled) == (0, 20)


def test_a_poison_span_goes_alone(work, pipeline, collector):
    collector.behave = lambda exchange: exchange.answer(400 if "poison" in exchange.names else 200)
    work(*NAMES, "poison")

    result = pipeline.flush(15_000)

    assert not result
    assert set(collector.delivered) == set(NAMES)
    assert pipeline.statistics().dropped == {"rejected_by_backend": 1}


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_a_flush_ends_in_time_whatever_the_backend_does(work, pipeline, collector, fault):
    collector.behave = lambda exchange: getattr(exchange, fault)()
    work(*NAMES)
    started = time.monotonic()

    result = pipeline.flush(1_000)

    assert time.monotonic() - started < 10
    assert result.spooled == 20
    assert result, "what is safe on disk is not lost"
    assert balanced(pipeline.statistics())


def test_one_hanging_destination_does_not_stop_another(worker, collector, spool_dir, eventually):
    hanging = [Destination.remote(collector.url, key=f"hanging {number}") for number in range(10)]
    settings = PipelineSettings(spool_dir=spool_dir, schedule_delay_s=0.0, request_timeout_s=60.0)
    healthy = worker.pipeline(Destination.remote(collector.url, key="healthy"), settings)
    tracing(healthy)("before")
    assert healthy.flush(15_000)

    def behave(exchange):
        is_healthy = exchange.handler.headers["authorization"] == "Bearer healthy"
        return exchange.answer() if is_healthy else exchange.hang()

    collector.behave = behave
    for destination in hanging:
        tracing(worker.pipeline(destination, settings))("never")
    eventually(lambda: len(collector.exchanges) > 1)
    tracing(healthy)("after")

    eventually(lambda: "after" in collector.delivered, within_s=15)


def test_fifty_destinations_need_six_threads(worker, collector, spool_dir):
    settings = PipelineSettings(spool_dir=spool_dir, schedule_delay_s=0.0)
    pipelines = [worker.pipeline(Destination.remote(collector.url, key=str(key)), settings) for key in range(50)]
    before = set(threading.enumerate())

    for pipeline in pipelines:
        tracing(pipeline)("a")
    result = worker.flush(pipelines, 15_000)

    ours = {thread for thread in set(threading.enumerate()) - before if thread.name.startswith("honeyhive-")}
    assert result
    assert result.delivered == 50
    assert len(ours) <= 6


def test_spans_for_the_local_backend_wait_until_it_runs(worker, collector, spool_dir, tmp_path, eventually):
    pipeline = worker.pipeline(Destination.local(), PipelineSettings(spool_dir=spool_dir, schedule_delay_s=0.05))
    started = time.monotonic()
    tracing(pipeline)(*NAMES)
    result = pipeline.flush(15_000)
    assert result
    assert (result.delivered, result.spooled) == (0, 20)
    assert time.monotonic() - started < 10, "nobody waits for a backend that does not run"

    (tmp_path / "token").write_text("the token\n")
    server_file_path().parent.mkdir(parents=True, exist_ok=True)
    ServerFile(collector.url.removesuffix("/v1/traces"), str(tmp_path / "token"), 1).write(server_file_path())

    eventually(lambda: dict(collector.delivered) == dict.fromkeys(NAMES, 1))
    assert collector.exchanges[0].handler.headers["authorization"] == "Bearer the token"


def test_without_a_disk_spans_are_delivered_from_memory(worker, collector, tmp_path, caplog):
    (tmp_path / "file").touch()
    settings = PipelineSettings(spool_dir=tmp_path / "file" / "spool", schedule_delay_s=0.05)
    pipeline = worker.pipeline(Destination.remote(collector.url), settings)

    tracing(pipeline)(*NAMES)

    assert pipeline.flush(15_000)
    assert dict(collector.delivered) == dict.fromkeys(NAMES, 1)
    assert sum("in memory only" in record.getMessage() for record in caplog.records) == 1


def test_a_burst_loses_nothing(work, pipeline, collector):
    for number in range(100):
        work(*[f"{number}"] * 50)

    result = pipeline.flush(20_000)

    assert result
    assert sum(collector.delivered.values()) == 5_000
    assert balanced(pipeline.statistics())
