"""CircuitBreaker: closed, open, half-open, and one probe at a time; and the forms it is used in."""

from __future__ import annotations

import os
import threading

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.exceptions import CircuitOpenError
from honeyhive.resilience import CircuitBreaker, CircuitState, retry
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


class Service:
    """Fails while it is down."""

    def __init__(self) -> None:
        self.down = True
        self.calls = 0

    async def ask(self) -> str:
        return self.ask_now()

    def ask_now(self) -> str:
        self.calls += 1
        if self.down:
            raise OSError(5, "down")
        return "here"


@pytest.fixture
def service():
    return Service()


def call(breaker, service):
    return breaker.call(service.ask)


def call_with_a_coroutine(breaker, service):
    return breaker.call(service.ask())


def decorated(breaker, service):
    return breaker(service.ask)()


async def decorated_and_synchronous(breaker, service):
    return breaker(service.ask_now)()


async def in_a_block(breaker, service):
    with breaker:
        return service.ask_now()


async def in_an_async_block(breaker, service):
    async with breaker:
        return await service.ask()


FORMS = [call, call_with_a_coroutine, decorated, decorated_and_synchronous, in_a_block, in_an_async_block]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.anyio
class TestForms:
    @pytest.mark.acceptance("A18")
    async def test_repeated_failures_open_it_and_pass_as_they_are(self, form, breaker, service):
        for _ in range(3):
            with pytest.raises(OSError, match="down"):
                await form(breaker, service)

        assert breaker.state is CircuitState.OPEN

    @pytest.mark.acceptance("A19")
    async def test_while_open_it_refuses_without_asking(self, form, breaker, service, clock):
        fail(breaker, 3)
        clock.advance(4)

        with pytest.raises(CircuitOpenError, match=r"failed 3 times in a row; the next try is in 6 s") as caught:
            await form(breaker, service)

        assert service.calls == 0
        assert caught.value.retry_after_s == 6

    @pytest.mark.acceptance("A20")
    async def test_after_a_while_a_success_closes_it(self, form, breaker, service, clock):
        fail(breaker, 3)
        clock.advance(10)
        service.down = False

        assert await form(breaker, service) == "here"

        assert breaker.state is CircuitState.CLOSED
        assert breaker.failure_count == 0

    @pytest.mark.acceptance("A20")
    async def test_after_a_while_a_failure_opens_it_again(self, form, breaker, service, clock):
        fail(breaker, 3)
        clock.advance(10)

        with pytest.raises(OSError, match="down"):
            await form(breaker, service)

        assert breaker.state is CircuitState.OPEN


@pytest.mark.anyio
async def test_while_the_probe_is_under_way_others_are_refused(breaker, clock):
    fail(breaker, 3)
    clock.advance(10)

    async with breaker:
        with pytest.raises(CircuitOpenError, match="the next try is under way"):
            await breaker.call(Service().ask)


@pytest.mark.anyio
async def test_a_cancelled_call_says_nothing(breaker, clock):
    fail(breaker, 3)
    clock.advance(10)

    with anyio.move_on_after(0.01):
        await breaker.call(anyio.sleep_forever)

    assert breaker.state is CircuitState.HALF_OPEN
    assert breaker.allow()


@pytest.mark.anyio
async def test_an_error_that_is_no_failure_shows_that_somebody_is_there(clock):
    breaker = CircuitBreaker(1, timeout=10, exceptions=(OSError,), clock=clock)
    fail(breaker, 1)
    clock.advance(10)

    with pytest.raises(ValueError, match="bad question"), breaker:
        raise ValueError("bad question")

    assert breaker.state is CircuitState.CLOSED


def test_a_retry_waits_for_as_long_as_the_breaker_says(breaker, service, clock):
    fail(breaker, 3)
    clock.advance(4)
    service.down = False

    assert retry(delay=0, clock=clock)(breaker(service.ask_now))() == "here"

    assert clock.slept == [6.0]


class TestNames:
    def test_everybody_who_names_it_has_the_same_one(self):
        one = CircuitBreaker.named("shared", failure_threshold=2, timeout=9)

        assert CircuitBreaker.named("shared") is one
        assert CircuitBreaker.named("shared", timeout=9) is one
        assert CircuitBreaker.named("another") is not one
        assert (one.name, one.failure_threshold, one.timeout) == ("shared", 2, 9)

    def test_other_settings_under_the_same_name_are_refused(self):
        CircuitBreaker.named("settled", failure_threshold=2)

        with pytest.raises(ValueError, match="'settled' has failure_threshold 2, not 3; say it where"):
            CircuitBreaker.named("settled", failure_threshold=3)

    def test_reset_closes_it(self, breaker):
        fail(breaker, 3)

        breaker.reset()

        assert breaker.state is CircuitState.CLOSED
        assert repr(breaker) == "<CircuitBreaker 'circuit', closed, 0 failures in a row>"


class TestFacts:
    @pytest.mark.acceptance("H18")
    def test_refusals_and_changes_are_on_the_current_span(
        self, breaker, service, clock, recording, facts_of, events_of
    ):
        ask = breaker(service.ask_now)

        with recording() as span:
            for _ in range(4):
                with pytest.raises((OSError, CircuitOpenError)):
                    ask()
            clock.advance(10)
            service.down = False
            ask()

        assert facts_of(span) == {"circuit.refusals": 1, "events": 4}
        assert events_of(span) == [
            ("circuit.changed", change("closed", "open", "failed with OSError")),
            ("circuit.refused", {"circuit": "circuit", "retry_after_s": 10.0}),
            ("circuit.changed", change("open", "half_open", "10 s are over")),
            ("circuit.changed", change("half_open", "closed", "a call went well")),
        ]

    def test_changes_are_in_the_log(self, breaker, service, clock, caplog):
        caplog.set_level("INFO", "honeyhive.resilience")

        for _ in range(3):
            with pytest.raises(OSError, match="down"):
                breaker(service.ask_now)()

        assert caplog.messages == ["circuit 'circuit' is open now, was closed: failed with OSError"]


def change(old: str, new: str, reason: str) -> dict[str, str]:
    return {"circuit": "circuit", "old_state": old, "new_state": new, "reason": reason}


class TestMisuse:
    def test_a_generator_function_is_refused(self, breaker):
        with pytest.raises(TypeError, match="generator function"):

            @breaker
            def numbers():
                yield 1

    @pytest.mark.anyio
    async def test_what_cannot_be_awaited_is_refused_and_does_not_count(self, breaker):
        with pytest.raises(TypeError, match="something to await or to call, not str"):
            await breaker.call("text")

        assert breaker.failure_count == 0

    def test_the_failures_are_exception_classes(self):
        with pytest.raises(TypeError, match=r"exceptions is .* tuple of Exception classes"):
            CircuitBreaker(exceptions=(BaseException,))

    def test_an_unknown_option_is_refused(self):
        with pytest.raises(TypeError, match="limt"):
            CircuitBreaker.named("typo", limt=3)
