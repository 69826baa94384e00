"""Queue, pace and counters of one destination, without threads."""

from __future__ import annotations

import json
import threading

import pytest

from honeyhive.exceptions import JournalError
from honeyhive.models.wire import RecordKind
from honeyhive.tracer.export.destination import Destination
from honeyhive.tracer.export.intake import weigh
from honeyhive.tracer.export.statistics import DropReason, Statistics


def test_a_finished_span_is_queued_and_the_sleeping_worker_woken(make_pipeline, make_spans, staff):
    pipeline = make_pipeline()

    for span in make_spans("a", "b"):
        pipeline.finished(span)

    assert pipeline.statistics() == Statistics(finished=2, in_memory=2)
    assert staff.wakes == 2


def test_nobody_is_woken_who_is_at_work(make_pipeline, make_spans, staff):
    staff.asleep = False

    make_pipeline().finished(make_spans("a")[0])

    assert staff.wakes == 0


def test_spans_are_on_disk_before_the_first_request(make_pipeline, make_spans, backend):
    pipeline = make_pipeline()
    pipeline.finished(make_spans("a")[0])

    pipeline.drain()

    assert pipeline.statistics() == Statistics(finished=1, spooled=1)
    assert backend.requests == []


@pytest.mark.acceptance("S23")
def test_a_request_is_due_when_the_first_span_has_waited_for_the_delay(make_pipeline, make_spans, clock, backend):
    pipeline = make_pipeline(schedule_delay_s=5.0)
    pipeline.finished(make_spans("a")[0])
    pipeline.drain()
    started = clock.now_s

    clock.now_s += 3
    pipeline.finished(make_spans("b")[0])
    pipeline.drain()

    assert pipeline.due() == pytest.approx(started + 5)
    clock.now_s = pipeline.due()
    pipeline.send()
    assert backend.names == [["a", "b"]]


@pytest.mark.acceptance("S23")
def test_a_full_batch_is_due_at_once_and_no_request_holds_more(make_pipeline, make_spans, clock, backend):
    pipeline = make_pipeline(max_batch_size=3, schedule_delay_s=5.0)
    for span in make_spans(*"abcdefg"):
        pipeline.finished(span)

    pipeline.drain()
    while pipeline.due() <= clock.now_s:
        pipeline.send()

    assert backend.names == [["a", "b", "c"], ["d", "e", "f"]]
    clock.now_s = pipeline.due()
    pipeline.send()
    assert backend.names[-1] == ["g"]


def test_what_is_too_much_for_a_full_request_waits_for_the_next(make_pipeline, make_spans, clock, backend):
    pipeline = make_pipeline(max_batch_size=3, schedule_delay_s=5.0)
    for names in ("ab", "cd"):
        for span in make_spans(*names):
            pipeline.finished(span)
        pipeline.drain()
    full_at = clock.now_s

    while pipeline.due() <= clock.now_s:
        pipeline.send()

    assert backend.names == [["a", "b"]]
    assert pipeline.due() == pytest.approx(full_at + 5)
    clock.now_s = pipeline.due()
    pipeline.send()
    assert backend.names[-1] == ["c", "d"]


def test_a_record_that_fills_a_request_by_itself_waits_for_no_other(make_pipeline, make_spans, clock, backend):
    pipeline = make_pipeline(max_batch_size=3, schedule_delay_s=5.0)
    for names in ("a", "bcd"):
        for span in make_spans(*names):
            pipeline.finished(span)
        pipeline.drain()

    while (due := pipeline.due()) is not None and due <= clock.now_s:
        pipeline.send()

    assert backend.names == [["a"], ["b", "c", "d"]]


def test_nothing_is_due_when_nothing_waits(make_pipeline, make_spans, clock):
    pipeline = make_pipeline(schedule_delay_s=0.0)
    pipeline.finished(make_spans("a")[0])
    pipeline.drain()

    for _ in range(3):
        pipeline.send()

    assert pipeline.due() is None


def test_a_full_queue_drops_the_newest_and_counts_it(make_pipeline, make_spans, backend):
    spans = make_spans(*"abcd")
    pipeline = make_pipeline(max_queue_bytes=3 * weigh(spans[0]))

    for span in spans:
        pipeline.finished(span)
    result = pipeline.flush()

    assert backend.names == [["a", "b", "c"]]
    assert pipeline.statistics() == Statistics(finished=4, delivered=3, dropped={"queue_full": 1})
    assert not result
    assert result.dropped == 1


def test_losses_are_told_once_a_minute(make_pipeline, make_spans, clock, caplog):
    (span,) = make_spans("a")
    pipeline = make_pipeline(max_queue_bytes=weigh(span))
    for _ in range(2):
        pipeline.finished(span)
        pipeline.finished(span)
        pipeline.drain()
    clock.now_s += 60

    pipeline.drain()

    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == [
        "1 queue_full.",
        "2 queue_full.",
    ]


def test_bytes_in_memory_count_as_held_until_they_are_delivered(make_pipeline, make_spans, storage, backend, clock):
    storage.failure = JournalError("no disk")
    backend.is_there = False
    spans = make_spans(*"abcdefgh" * 8)
    pipeline = make_pipeline(max_queue_bytes=4 * weigh(spans[0]))

    for span in spans:
        pipeline.finished(span)
        pipeline.drain()

    dropped = pipeline.statistics().dropped
    assert dropped.keys() == {"spool_unavailable"}
    backend.is_there = True
    clock.now_s += 10
    pipeline.flush()
    pipeline.finished(make_spans("again")[0])
    assert pipeline.statistics().dropped == dropped


def test_block_makes_the_caller_wait_and_drops_nothing(make_pipeline, make_spans, staff):
    spans = make_spans("a", "b")
    pipeline = make_pipeline(max_queue_bytes=weigh(spans[0]), pressure="block")
    pipeline.finished(spans[0])
    staff.wake = lambda: threading.Thread(target=pipeline.drain).start()

    pipeline.finished(spans[1])

    pipeline.drain()
    assert pipeline.statistics() == Statistics(finished=2, spooled=2)


def test_spans_that_cannot_be_encoded_are_counted(make_pipeline, make_spans, caplog):
    pipeline = make_pipeline()

    def broken(_spans):
        raise ZeroDivisionError

    pipeline._encode = broken
    pipeline.finished(make_spans("a")[0])
    pipeline.drain()

    assert pipeline.statistics() == Statistics(finished=1, dropped={"internal_error": 1})


def test_a_flush_is_true_when_everything_is_delivered(make_pipeline, make_spans):
    pipeline = make_pipeline()
    for span in make_spans(*"abc"):
        pipeline.finished(span)

    result = pipeline.flush()

    assert result
    assert (result.delivered, result.spooled, result.dropped, result.in_memory) == (3, 0, 0, 0)


def test_a_flush_to_nobody_is_true_once_spans_are_safe_on_disk(make_pipeline, make_spans, backend):
    backend.is_there = False
    pipeline = make_pipeline(Destination.local())
    pipeline.finished(make_spans("a")[0])

    result = pipeline.flush()

    assert result
    assert (result.delivered, result.spooled) == (0, 1)


def test_a_flush_is_false_while_spans_are_in_memory_only(make_pipeline, make_spans, backend, storage):
    storage.failure = JournalError("no disk")
    backend.rule = lambda _payload: backend.refuse()
    pipeline = make_pipeline()
    pipeline.finished(make_spans("a")[0])

    result = pipeline.flush(5_000)

    assert not result
    assert result.in_memory == 1


def test_a_loss_makes_one_flush_false_not_all_that_follow(make_pipeline, make_spans):
    pipeline = make_pipeline()
    pipeline.refuse(1, DropReason.TOO_LARGE)
    assert not pipeline.flush()

    pipeline.finished(make_spans("a")[0])

    assert pipeline.flush()


def test_rest_calls_keep_their_place_among_the_spans(make_pipeline, make_spans, backend):
    pipeline = make_pipeline(Destination.remote("https://c.example/v1/traces", key="k", rest_url="https://c.example"))

    assert pipeline.submit(RecordKind.REST, lambda: b'{"method": "POST", "path": "/session/start", "body": {}}')
    pipeline.finished(make_spans("a")[0])

    assert pipeline.statistics() == Statistics(finished=1, in_memory=1)
    pipeline.flush()
    assert [kind for kind, _payload in backend.requests] == [RecordKind.REST, RecordKind.SPANS]


def test_rest_calls_are_refused_where_nobody_takes_them(make_pipeline):
    assert not make_pipeline().submit(RecordKind.REST, lambda: b"{}")


def test_a_forked_child_begins_with_nothing(make_pipeline, make_spans, storage):
    pipeline = make_pipeline()
    pipeline.finished(make_spans("parent's")[0])
    pipeline.drain()
    pipeline.finished(make_spans("parent's too")[0])
    storage.disk = type(storage.disk)(storage)

    pipeline.renew()

    assert pipeline.statistics() == Statistics()
    pipeline.finished(make_spans("child's")[0])
    assert pipeline.flush().delivered == 1


def reports_in(backend):
    calls = [json.loads(payload) for kind, payload in backend.requests if kind is RecordKind.REST]
    return [call["body"]["dropped"] for call in calls if call["path"] == "/v1/client-reports"]


@pytest.fixture
def lossy(make_pipeline):
    """A pipeline that has lost three spans, and left one out because it was asked to."""
    pipeline = make_pipeline(Destination.local())
    pipeline.refuse(3, DropReason.QUEUE_FULL)
    pipeline.refuse(1, DropReason.SAMPLED)
    return pipeline


def test_our_backend_is_told_once_what_was_lost(lossy, make_spans, backend, answer):
    backend.rule = lambda _payload: answer(headers={"x-honeyhive-backend": "1"})

    for name in "abc":
        lossy.finished(make_spans(name)[0])
        lossy.flush()

    assert reports_in(backend) == [{"queue_full": 3}]
    lossy.refuse(2, DropReason.QUEUE_FULL)
    lossy.finished(make_spans("d")[0])
    lossy.flush()
    lossy.flush()
    assert reports_in(backend) == [{"queue_full": 3}, {"queue_full": 2}]


def test_other_backends_are_told_nothing(lossy, make_spans, backend):
    for name in "ab":
        lossy.finished(make_spans(name)[0])
        lossy.flush()

    assert reports_in(backend) == []
