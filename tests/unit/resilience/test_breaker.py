"""CircuitBreaker: closed, open, half-open, and one probe at a time."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.resilience import CircuitBreaker, CircuitState
from honeyhive.testing import ManualClock


@pytest.fixture
def breaker(clock):
    return CircuitBreaker(failure_threshold=3, timeout=10, clock=clock)


def fail(breaker, times):
    for _ in range(times):
        breaker.failed()


def test_calls_pass_until_enough_have_failed_in_a_row(breaker):
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)

    assert breaker.allow()
    assert breaker.state is CircuitState.CLOSED


def test_an_open_breaker_refuses_and_says_for_how_long(breaker, clock):
    fail(breaker, 3)
    clock.advance(4)

    assert not breaker.allow()
    assert breaker.state is CircuitState.OPEN
    assert breaker.retry_in_s == 6


def test_after_the_timeout_one_caller_is_the_probe(breaker, clock):
    fail(breaker, 3)
    clock.advance(10)

    assert breaker.state is CircuitState.HALF_OPEN
    assert [breaker.allow() for _ in range(3)] == [True, False, False]


def test_a_good_probe_closes_and_forgets(breaker, clock):
    fail(breaker, 3)
    clock.advance(10)
    breaker.allow()
    breaker.succeeded()

    assert breaker.state is CircuitState.CLOSED
    assert breaker.failure_count == 0


def test_a_failed_probe_opens_again_at_once(breaker, clock):
    fail(breaker, 3)
    clock.advance(10)
    breaker.allow()
    breaker.failed()

    assert breaker.state is CircuitState.OPEN
    assert breaker.retry_in_s == 10


def test_late_failures_of_calls_made_before_do_not_prolong_it(breaker, clock):
    fail(breaker, 3)
    clock.advance(9)
    breaker.failed()

    assert breaker.retry_in_s == 1


def test_a_cancelled_probe_makes_room_for_another(breaker, clock):
    fail(breaker, 3)
    clock.advance(10)
    breaker.allow()
    breaker.abandoned()

    assert breaker.allow()


def test_a_probe_that_never_reports_is_given_up(breaker, clock):
    fail(breaker, 3)
    clock.advance(10)
    breaker.allow()
    clock.advance(10)

    assert breaker.allow()


def test_of_many_threads_one_is_the_probe(breaker, clock):
    fail(breaker, 3)
    clock.advance(10)
    barrier = threading.Barrier(8)
    allowed = []

    def ask():
        barrier.wait()
        allowed.append(breaker.allow())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(allowed) == 1


def test_a_child_forked_in_the_middle_of_a_call_is_not_stuck(breaker):
    with breaker._lock:
        child = os.fork()
        if child == 0:
            breaker.failed()
            os._exit(0 if breaker.allow() else 1)

    assert os.waitpid(child, 0)[1] == 0


@given(st.lists(st.sampled_from(["allow", "ok", "fail", "wait", "cancel"]), max_size=60))
def test_whatever_happens_calls_pass_again_in_the_end(steps):
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=2, timeout=5, clock=clock)
    actions = {
        "allow": breaker.allow,
        "ok": breaker.succeeded,
        "fail": breaker.failed,
        "cancel": breaker.abandoned,
        "wait": lambda: clock.advance(2),
    }

    for step in steps:
        actions[step]()
    clock.advance(6)

    assert breaker.allow()


@pytest.mark.parametrize("wrong", [{"failure_threshold": 0}, {"timeout": -1}, {"timeout": float("nan")}])
def test_a_number_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CircuitBreaker(**wrong)
