"""Whole traces are kept or left out, once it is known how they went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from honeyhive.exceptions import ConfigurationError
from honeyhive.testing import ManualClock
from honeyhive.tracer.processing.tail import TailSampler, TailSampling

MS = 1_000_000


def span_of(trace_id, number=1, *, root=False, remote=False, failed=False, took_ms=1.0):
    context = SpanContext(trace_id, number, False, TraceFlags(1))
    parent = None if root else SpanContext(trace_id, 999, remote, TraceFlags(1))
    status = Status(StatusCode.ERROR) if failed else Status()
    return ReadableSpan(
        f"{trace_id}/{number}", context, parent, status=status, start_time=0, end_time=int(took_ms * MS)
    )


@dataclass
class Bench:
    """A sampler, its clock, and what came out of it."""

    sampling: TailSampling
    clock: ManualClock = field(default_factory=ManualClock)
    kept: list[ReadableSpan] = field(default_factory=list)
    left_out: int = 0
    holds: int = 0
    weigh: Callable[[ReadableSpan], int] = lambda _span: 1

    def __post_init__(self):
        self.sampler = TailSampler(
            self.sampling,
            keep=self.kept.append,
            leave_out=self._leave_out,
            on_hold=self._hold,
            weigh=self.weigh,
            clock=self.clock,
        )

    def _leave_out(self, count):
        self.left_out += count

    def _hold(self):
        self.holds += 1

    def end(self, *spans):
        for span in spans:
            self.sampler.finished(span)
        return self

    @property
    def names(self):
        return [span.name for span in self.kept]


def none_of_the_rest(**bounds):
    return Bench(TailSampling(0.0, **bounds))


def test_spans_wait_for_their_root():
    bench = none_of_the_rest().end(span_of(1, 1), span_of(1, 2))

    assert (bench.names, bench.left_out, bench.sampler.waiting, bench.holds) == ([], 0, 2, 1)


def test_a_trace_with_an_error_is_kept_whole():
    bench = none_of_the_rest().end(span_of(1, 1, failed=True), span_of(1, 2), span_of(1, 3, root=True))

    assert (bench.names, bench.left_out, bench.sampler.waiting) == (["1/1", "1/2", "1/3"], 0, 0)


def test_a_slow_trace_is_kept():
    bench = none_of_the_rest(slow_ms=500).end(span_of(1, root=True, took_ms=499), span_of(2, root=True, took_ms=500))

    assert (bench.names, bench.left_out) == (["2/1"], 1)


def test_the_rest_is_left_out_and_counted():
    bench = none_of_the_rest().end(span_of(1, 1), span_of(1, 2, root=True))

    assert (bench.names, bench.left_out, bench.sampler.waiting) == ([], 2, 0)


def test_the_share_is_that_of_the_trace_ids():
    bench = Bench(TailSampling(0.3))

    bench.end(*(span_of(number * 7919 + 1, root=True) for number in range(4_000)))

    assert 0.27 < len(bench.kept) / 4_000 < 0.33


def test_the_share_is_independent_of_that_of_head_sampling():
    low_ids = range(1, 4_000)

    kept = sum(TailSampling(0.5).draws(number << 50) for number in low_ids)

    assert 0.45 < kept / len(low_ids) < 0.55


def test_a_parent_in_another_process_makes_a_local_root():
    bench = none_of_the_rest().end(span_of(1, 1), span_of(1, 2, remote=True))

    assert bench.left_out == 2


@pytest.mark.parametrize("failed", [True, False])
def test_what_ends_after_the_root_follows_it(failed):
    bench = none_of_the_rest().end(span_of(1, 1, root=True, failed=failed))

    bench.end(span_of(1, 2, failed=not failed))

    assert (len(bench.kept), bench.left_out) == ((2, 0) if failed else (0, 2))


def test_a_trace_that_does_not_end_in_time_is_kept():
    bench = none_of_the_rest(max_age_s=60).end(span_of(1, 1))
    assert bench.sampler.due == bench.clock.monotonic() + 60
    bench.clock.advance(61)

    bench.sampler.release(everything=False)

    assert bench.names == ["1/1"]
    assert bench.end(span_of(1, 2, root=True)).names == ["1/1", "1/2"]


def test_the_oldest_trace_makes_room_and_is_kept():
    bench = none_of_the_rest(max_bytes=2).end(span_of(1, 1), span_of(2, 1), span_of(3, 1))

    assert (bench.names, bench.sampler.waiting) == (["1/1"], 2)


def test_a_flush_keeps_what_waits():
    bench = none_of_the_rest().end(span_of(1, 1), span_of(2, 1))

    bench.sampler.release(everything=True)

    assert (bench.names, bench.sampler.waiting) == (["1/1", "2/1"], 0)


def test_a_span_that_ends_while_others_are_sorted_is_not_forgotten():
    bench = none_of_the_rest()
    late = [span_of(2, 1, root=True, failed=True)]

    def weigh(_span):
        if late:
            bench.sampler.finished(late.pop())  # as a finaliser may
        return 1

    bench.sampler._weigh = weigh
    bench.end(span_of(1, 1, root=True, failed=True))

    assert sorted(bench.names) == ["1/1", "2/1"]


def test_a_forked_child_forgets_what_its_parent_holds():
    bench = none_of_the_rest().end(span_of(1, 1))

    bench.sampler.renew()

    assert (bench.sampler.waiting, bench.kept, bench.left_out) == (0, [], 0)


@pytest.mark.parametrize("wrong", [{"rate": 1.1}, {"rate": 0.5, "slow_ms": 0}, {"rate": 0.5, "max_bytes": 0}])
def test_wrong_numbers_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        TailSampling(**wrong)


SPAN = st.tuples(st.integers(1, 6), st.booleans(), st.booleans(), st.floats(0.1, 1000))
STEP = st.one_of(
    st.tuples(st.just("end"), SPAN),
    st.tuples(st.just("wait"), st.floats(0, 40)),
    st.tuples(st.just("release"), st.booleans()),
)


@given(
    steps=st.lists(STEP, max_size=60),
    rate=st.sampled_from([0.0, 0.5, 1.0]),
    slow_ms=st.sampled_from([None, 500.0]),
    max_bytes=st.integers(1, 20),
)
def test_no_trace_is_half_kept_and_every_span_is_in_one_place(steps, rate, slow_ms, max_bytes):
    bench = Bench(TailSampling(rate, slow_ms, max_bytes=max_bytes))
    ended: Counter[int] = Counter()

    for number, (action, value) in enumerate(steps, start=1):
        if action == "end":
            trace_id, root, failed, took_ms = value
            bench.end(span_of(trace_id, number, root=root, failed=failed, took_ms=took_ms))
            ended[trace_id] += 1
        elif action == "wait":
            bench.clock.advance(value)
        else:
            bench.sampler.release(everything=value)
        assert sum(ended.values()) == len(bench.kept) + bench.left_out + bench.sampler.waiting
        assert bench.sampler.waiting <= max_bytes
    bench.sampler.release(everything=True)

    kept = Counter(span.context.trace_id for span in bench.kept)
    assert all(kept[trace_id] in (0, count) for trace_id, count in ended.items())
    assert sum(ended.values()) == len(bench.kept) + bench.left_out
