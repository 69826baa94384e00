"""A queue that fills up: when the spooler is hurried, who waits for room and for how long."""

from __future__ import annotations

import pytest

from honeyhive.exceptions import JournalError
from honeyhive.tracer.export.intake import weigh
from honeyhive.tracer.export.statistics import Statistics


@pytest.fixture
def awake(staff):
    """A worker that is at work."""
    staff.asleep = False
    return staff


def test_the_spooler_is_hurried_once_a_quarter_is_full(make_pipeline, make_spans, awake):
    spans = make_spans(*"abcd")
    pipeline = make_pipeline(max_queue_bytes=8 * weigh(spans[0]))

    for span in spans[:2]:
        pipeline.finished(span)
    before = awake.hurries
    pipeline.finished(spans[2])

    assert (before, awake.hurries) == (0, 1)


def test_a_full_queue_waits_for_the_slice_in_hand(make_pipeline, make_spans, awake, clock):
    spans = make_spans(*"ab")
    pipeline = make_pipeline(max_queue_bytes=weigh(spans[0]))
    pipeline.finished(spans[0])
    started, clock.sleep = clock.now_s, lambda seconds: pipeline.drain() if seconds > 0.01 else None

    pipeline.finished(spans[1])

    assert clock.now_s == started
    pipeline.drain()
    assert pipeline.statistics() == Statistics(finished=2, spooled=2)


def test_a_spooler_that_has_just_lain_down_is_woken_to_make_room(make_pipeline, make_spans, staff, clock):
    """It does so between two drains, for a moment, also while spans keep coming."""
    staff.gets_up = True
    spans = make_spans(*"ab")
    pipeline = make_pipeline(max_queue_bytes=weigh(spans[0]))
    pipeline.finished(spans[0])
    staff.asleep, clock.sleep = True, lambda seconds: pipeline.drain() if seconds > 0.01 else None

    pipeline.finished(spans[1])

    pipeline.drain()
    assert pipeline.statistics() == Statistics(finished=2, spooled=2)


def test_nobody_waits_where_no_spooler_gets_up(make_pipeline, make_spans, staff, clock):
    spans = make_spans(*"ab")
    pipeline = make_pipeline(max_queue_bytes=weigh(spans[0]))
    pipeline.finished(spans[0])
    started = clock.now_s

    pipeline.finished(spans[1])

    assert clock.now_s == started
    assert pipeline.statistics().dropped == {"queue_full": 1}


def test_one_span_waits_a_tenth_of_a_second_at_most_and_all_together_one(make_pipeline, make_spans, awake, clock):
    spans = make_spans(*"abcdefghijklmnopqrst")
    pipeline = make_pipeline(max_queue_bytes=weigh(spans[0]))
    pipeline.finished(spans[0])
    started = clock.now_s

    waits = []
    for span in spans[1:]:
        before = clock.now_s
        pipeline.finished(span)
        waits.append(clock.now_s - before)

    assert max(waits) == pytest.approx(0.1, abs=0.001)
    assert waits[-1] == 0
    assert clock.now_s - started == pytest.approx(1.0, abs=0.01)
    assert pipeline.statistics().dropped == {"queue_full": 19}


def test_nobody_waits_while_the_journal_refuses_records(make_pipeline, make_spans, awake, clock, storage):
    storage.failure = JournalError("no disk")
    spans = make_spans(*"ab")
    pipeline = make_pipeline(max_queue_bytes=weigh(spans[0]))
    pipeline.finished(spans[0])
    pipeline.drain()
    started = clock.now_s

    pipeline.finished(spans[1])

    assert clock.now_s == started
    assert pipeline.statistics().dropped == {"spool_unavailable": 1}


def test_a_span_larger_than_the_whole_queue_is_cut_and_taken_at_once(make_pipeline, make_spans, backend, awake, clock):
    pipeline = make_pipeline(max_queue_bytes=2 * 1024 * 1024)
    (large,), (small,) = make_spans("large", text="x" * 5_000_000, short="kept"), make_spans("small")
    started = clock.now_s

    pipeline.finished(small)
    pipeline.finished(large)

    assert clock.now_s == started
    assert pipeline.statistics() == Statistics(finished=2, in_memory=2)
    assert pipeline.flush()
    (request,) = [payload for _kind, payload in backend.requests]
    assert 1_000_000 < len(request) < 1_100_000
    assert b"<capture budget exceeded: 5000000 characters" in request
    assert b"kept" in request


def test_a_span_that_no_cut_makes_small_enough_waits_for_an_empty_queue(make_pipeline, make_spans, awake, clock):
    pipeline = make_pipeline(max_queue_bytes=1_000)
    small, large = make_spans("small"), make_spans("large", text="x" * 5_000)
    pipeline.finished(small[0])
    started, clock.sleep = clock.now_s, lambda seconds: pipeline.drain() if seconds > 0.01 else None

    pipeline.finished(large[0])

    assert clock.now_s == started
    pipeline.drain()
    assert pipeline.statistics() == Statistics(finished=2, spooled=2)


def test_what_has_left_the_queue_makes_room_also_while_spans_keep_coming(make_pipeline, make_spans, awake, clock):
    (span,) = make_spans("a")
    pipeline = make_pipeline(max_queue_bytes=4 * weigh(span))
    clock.sleep = lambda _seconds: pipeline.finished(span)  # another one comes amid every drain: it is never empty

    pipeline.finished(span)
    for _ in range(20):
        pipeline.drain()

    assert {} == pipeline.statistics().dropped
