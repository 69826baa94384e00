"""retry: a pure policy, and two drivers that add nothing to what the operation does."""

from __future__ import annotations

import itertools
import subprocess
import sys

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.exceptions import RateLimitError
from honeyhive.resilience import RetryPolicy, retry


class Flaky:
    """Fails with the given errors, one for each call, then returns "done"."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def later(self) -> str:
        return self()


@pytest.mark.acceptance("S20")
@pytest.mark.acceptance("H16")
def test_a_decorated_function_is_tried_until_it_works(clock):
    work = Flaky(ValueError("first"), ValueError("second"))

    @retry(max_attempts=3, backoff_factor=2.0, exceptions=(ValueError,), jitter=0, clock=clock)
    def load(prefix: str) -> str:
        return prefix + work()

    assert load("all ") == "all done"
    assert clock.slept == [1.0, 2.0]


@pytest.mark.acceptance("S20")
@pytest.mark.anyio
async def test_a_decorated_coroutine_function_is_tried_until_it_works(clock, pause):
    work = Flaky(ValueError("first"), ValueError("second"))

    @retry(max_attempts=3, backoff_factor=3.0, exceptions=(ValueError,), jitter=0, pause=pause)
    async def load(prefix: str) -> str:
        return prefix + await work.later()

    assert await load("all ") == "all done"
    assert clock.slept == [1.0, 3.0]


@pytest.mark.acceptance("S20")
@pytest.mark.anyio
async def test_the_call_form_takes_a_callable_and_awaits_it(clock, pause):
    work = Flaky(ValueError("first"))

    result = await retry(work.later, max_attempts=3, delay=1.0, jitter=0, pause=pause)

    assert result == "done"
    assert clock.slept == [1.0]


@pytest.mark.acceptance("A3")
@pytest.mark.anyio
async def test_the_call_form_raises_the_last_error_when_all_attempts_failed(clock, pause):
    first, last = ValueError("first"), ValueError("last")
    work = Flaky(first, ValueError("second"), last)

    with pytest.raises(ValueError, match="last") as caught:
        await retry(work.later, max_attempts=3, delay=1.0, pause=pause)

    assert caught.value is last
    assert work.calls == 3


@pytest.mark.acceptance("A4")
@pytest.mark.anyio
async def test_pauses_grow_by_the_factor(clock, pause):
    work = Flaky(*[ValueError(str(n)) for n in range(3)])

    await retry(work.later, max_attempts=4, delay=2.0, backoff_factor=2.0, jitter=0, pause=pause)

    assert clock.slept == [2.0, 4.0, 8.0]


@pytest.mark.anyio
async def test_a_real_pause_lets_time_pass():
    work = Flaky(ValueError("first"))
    started = anyio.current_time()

    await retry(work.later, delay=0.02, jitter=0)

    assert anyio.current_time() - started >= 0.02


def test_the_last_error_is_raised_as_it_is(clock):
    first, last = ValueError("first"), ValueError("last")
    work = retry(max_attempts=2, clock=clock)(Flaky(first, last).__call__)

    with pytest.raises(ValueError, match="last") as caught:
        work()

    assert caught.value is last
    assert last.__context__ is None
    assert not hasattr(last, "__notes__")


@pytest.mark.acceptance("A5")
def test_an_error_outside_the_filter_passes_at_once(clock):
    work = Flaky(KeyError("no"), ValueError("never"))

    with pytest.raises(KeyError):
        retry(exceptions=(ValueError,), clock=clock)(work.__call__)()

    assert work.calls == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_request_to_stop_is_never_retried(stop, clock):
    work = Flaky(stop())

    with pytest.raises(stop):
        retry(clock=clock)(work.__call__)()

    assert work.calls == 1


@pytest.mark.anyio
async def test_cancelling_ends_the_attempts_during_a_pause():
    work = Flaky(*[ValueError(str(n)) for n in range(9)])

    with anyio.move_on_after(0.05) as scope:
        await retry(work.later, max_attempts=9, delay=30, jitter=0)

    assert scope.cancelled_caught
    assert work.calls == 1


@pytest.mark.anyio
async def test_cancelling_ends_the_attempts_during_a_try():
    calls = []

    async def hang() -> None:
        calls.append(1)
        await anyio.sleep(30)

    with anyio.move_on_after(0.05) as scope:
        await retry(hang, max_attempts=9)

    assert scope.cancelled_caught
    assert calls == [1]


@pytest.mark.parametrize("asked, waited", [(7.5, 7.5), (1e9, 300.0), (-1, 1.0), (float("nan"), 1.0), (None, 1.0)])
def test_a_service_that_names_a_time_is_left_alone_until_then(asked, waited, clock):
    work = Flaky(RateLimitError("slow down", retry_after_s=asked))

    retry(delay=1.0, jitter=0, clock=clock)(work.__call__)()

    assert clock.slept == [waited]


def error_with(**attributes: object) -> Exception:
    error = Exception("slow down")
    vars(error).update(attributes)
    return error


def answer(**headers: str) -> httpx.Response:
    return httpx.Response(503, headers=headers)


@pytest.mark.parametrize(
    "error, waited",
    [
        (error_with(retry_after=5), 5.0),
        (httpx.HTTPStatusError("", request=httpx.Request("GET", "/"), response=answer(**{"Retry-After": "7"})), 7.0),
        (error_with(response=answer(**{"retry-after": "Thu, 01 Jan 2026 00:00:09 GMT"})), 9.0),
        (error_with(headers={"Retry-After": "8"}), 8.0),
        (error_with(headers={"Retry-After": "soon"}), 1.0),
        (error_with(headers=None, response=None), 1.0),
    ],
)
def test_errors_of_other_libraries_can_name_a_time_too(error, waited, clock):
    retry(delay=1.0, jitter=0, clock=clock)(Flaky(error).__call__)()

    assert clock.slept == [waited]


def test_no_try_starts_after_the_greatest_age(clock):
    work = Flaky(*[ValueError(str(n)) for n in range(9)])

    with pytest.raises(ValueError, match="3"):
        retry(max_attempts=None, delay=1.0, max_age=10, jitter=0, clock=clock)(work.__call__)()

    assert clock.slept == [1.0, 2.0, 4.0]


class TestCoroutineObjects:
    @pytest.mark.anyio
    async def test_one_that_works_needs_no_second_try(self):
        assert await retry(Flaky().later(), max_attempts=3, delay=1.0) == "done"

    @pytest.mark.anyio
    async def test_one_that_fails_is_named_with_the_fix_from_its_error(self):
        theirs = ValueError("first")

        with pytest.raises(TypeError, match=r"retry\(later, \.\.\.\) or retry\(lambda: later\(\.\.\.\), ") as caught:
            await retry(Flaky(theirs).later(), max_attempts=3)

        assert caught.value.__cause__ is theirs

    @pytest.mark.parametrize("options", [{"max_attempts": 1}, {"exceptions": (OSError,)}])
    @pytest.mark.anyio
    async def test_one_that_would_not_be_tried_again_fails_as_it_does(self, options):
        theirs = ValueError("first")

        with pytest.raises(ValueError, match="first") as caught:
            await retry(Flaky(theirs).later(), **options)

        assert caught.value is theirs

    @pytest.mark.anyio
    async def test_the_same_one_twice_is_refused_at_once(self):
        coroutine = Flaky().later()
        await retry(coroutine)

        with pytest.raises(TypeError, match=r"has been awaited already; give it the function: retry\(later, "):
            retry(coroutine)

    def test_one_beside_a_wrong_option_is_closed(self):
        with pytest.raises(ValueError, match="delay"):
            retry(Flaky().later(), delay=-1)


class TestFacts:
    @pytest.mark.acceptance("H18")
    def test_attempts_and_pauses_are_on_the_current_span(self, clock, recording, facts_of, events_of):
        work = retry(max_attempts=3, jitter=0, clock=clock)(Flaky(OSError(5, "broken"), ValueError("bad")).__call__)

        with recording() as span:
            work()

        assert facts_of(span) == {"retry.attempts": 3, "retry.wait_s": 3.0, "events": 2}
        assert events_of(span) == [
            (
                "retry.attempt_failed",
                {"operation": "__call__", "attempt": 1, "wait_s": 1.0, "reason": "OSError: broken"},
            ),
            (
                "retry.attempt_failed",
                {"operation": "__call__", "attempt": 2, "wait_s": 2.0, "reason": "ValueError: bad"},
            ),
        ]

    def test_several_uses_add_up(self, clock, recording, facts_of):
        with recording() as span:
            for _ in range(2):
                retry(clock=clock)(Flaky(ValueError("x")).__call__)()

        assert facts_of(span)["retry.attempts"] == 4

    def test_events_are_bounded_and_the_rest_counted(self, clock, recording, facts_of, events_of):
        work = retry(max_attempts=50, jitter=0, clock=clock)(Flaky(*[ValueError() for _ in range(49)]).__call__)

        with recording() as span:
            work()

        assert len(events_of(span)) == 32
        assert facts_of(span)["events"] == 49

    def test_every_failed_attempt_is_in_the_log(self, clock, caplog):
        caplog.set_level("INFO", "honeyhive.resilience")

        with pytest.raises(ValueError, match="b"):
            retry(max_attempts=2, jitter=0, clock=clock)(Flaky(ValueError("a"), ValueError("b")).__call__)()

        assert caplog.messages == [
            "__call__ failed at attempt 1 with ValueError; the next is due in 1 s",
            "__call__ failed at attempt 2 with ValueError; no more will follow",
        ]

    def test_the_text_of_an_error_is_not_asked_for(self, clock, recording, events_of):
        class SecretiveError(Exception):
            def __str__(self):
                raise AssertionError("asked")

        with recording() as span:
            retry(clock=clock)(Flaky(SecretiveError()).__call__)()

        assert events_of(span)[0][1]["reason"] == "SecretiveError"


class TestMisuse:
    @pytest.mark.anyio
    async def test_a_synchronous_operation_in_the_call_form_is_refused_with_the_fix(self):
        with pytest.raises(TypeError, match=r"returned str; decorate a synchronous function"):
            await retry(Flaky())

    def test_forgotten_parentheses_are_noticed(self):
        with pytest.raises(TypeError, match=r"write @retry\(\) with parentheses"):

            @retry
            async def load(url: str) -> str:
                return url

    def test_a_generator_function_is_refused(self):
        with pytest.raises(TypeError, match="generator function"):

            @retry()
            def numbers():
                yield 1

    def test_an_unknown_option_is_refused(self):
        with pytest.raises(TypeError, match="attempts"):
            retry(attempts=3)

    @pytest.mark.parametrize(
        "option",
        [
            {"max_attempts": 0},
            {"delay": -1},
            {"delay": float("nan")},
            {"backoff_factor": 0.5},
            {"max_delay": float("inf")},
            {"jitter": 1.5},
            {"max_age": -1},
        ],
    )
    def test_a_number_out_of_range_is_refused(self, option):
        with pytest.raises(ValueError, match=next(iter(option))):
            RetryPolicy(**option)

    @pytest.mark.parametrize("exceptions", [ValueError, [ValueError], (BaseException,), ("ValueError",)])
    def test_the_filter_is_a_tuple_of_exception_classes(self, exceptions):
        with pytest.raises(TypeError, match="tuple of Exception classes"):
            RetryPolicy(exceptions=exceptions)


class TestDelays:
    def test_there_is_one_pause_fewer_than_attempts(self):
        assert list(RetryPolicy(max_attempts=1).delays()) == []
        assert len(list(RetryPolicy(max_attempts=5).delays())) == 4

    def test_without_a_limit_they_go_on_and_stay_finite(self):
        policy = RetryPolicy(max_attempts=None, delay=0.5, backoff_factor=10, max_delay=30, jitter=0)

        assert next(itertools.islice(policy.delays(), 5000, None)) == 30

    @given(
        delay=st.floats(0, 1e6),
        factor=st.floats(1, 10),
        longest=st.floats(0, 1e6),
        jitter=st.floats(0, 1),
        randomness=st.floats(0, 1, exclude_max=True),
    )
    def test_every_pause_is_within_its_bounds(self, delay, factor, longest, jitter, randomness):
        policy = RetryPolicy(max_attempts=8, delay=delay, backoff_factor=factor, max_delay=longest, jitter=jitter)

        pauses = list(policy.delays(lambda: randomness))

        assert all(0 <= pause <= longest for pause in pauses)
        assert pauses == sorted(pauses)

    def test_full_jitter_spreads_over_the_whole_pause(self):
        policy = RetryPolicy(max_attempts=3, delay=4.0)

        assert list(policy.delays(lambda: 0.0)) == [4.0, 8.0]
        assert list(policy.delays(lambda: 0.75)) == [1.0, 2.0]


def test_a_decorated_function_keeps_its_name():
    @retry()
    async def load() -> None:
        """Load it."""

    assert (load.__name__, load.__doc__) == ("load", "Load it.")


def test_importing_the_room_loads_no_event_loop():
    script = "import sys, honeyhive.resilience; from honeyhive.resilience import CircuitBreaker, RetryPolicy; print([m for m in ('asyncio', 'anyio', 'cachetools', 'httpx') if m in sys.modules])"

    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"
