"""timeout: an operation ends in time or is cut off, and nobody else's cancellation is taken for ours."""

from __future__ import annotations

import asyncio
import contextlib

import anyio
import pytest

from honeyhive.resilience import timeout


async def forever() -> None:
    await anyio.sleep_forever()


async def quick(answer: str = "done") -> str:
    await anyio.lowlevel.checkpoint()
    return answer


@pytest.mark.acceptance("A1")
@pytest.mark.acceptance("H17")
@pytest.mark.anyio
async def test_what_ends_in_time_has_its_result():
    assert await timeout(quick(), seconds=30) == "done"


@pytest.mark.acceptance("A1")
@pytest.mark.acceptance("H17")
@pytest.mark.anyio
async def test_what_takes_too_long_is_cut_off():
    ended = []

    async def slow_operation() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    with pytest.raises(asyncio.TimeoutError, match=r"slow_operation took longer than 0\.01 s"):
        await timeout(slow_operation(), seconds=0.01)

    assert ended == [True]


@pytest.mark.anyio
async def test_a_callable_is_called_and_awaited():
    assert await timeout(quick, seconds=30) == "done"
    assert await timeout(lambda: quick("yes"), 30) == "yes"


@pytest.mark.parametrize("decorator", [timeout(seconds=0.01), timeout(0.01)])
@pytest.mark.anyio
async def test_a_decorated_function_has_the_limit_for_each_call(decorator):
    @decorator
    async def work(seconds: float) -> str:
        """Work."""
        await anyio.sleep(seconds)
        return "done"

    assert await work(0) == "done"
    with pytest.raises(TimeoutError, match="work took longer"):
        await work(30)
    assert (work.__name__, work.__doc__) == ("work", "Work.")


@pytest.mark.anyio
async def test_methods_can_be_limited():
    class Service:
        @timeout(seconds=30)
        async def ask(self, question: str) -> str:
            return question.upper()

    assert await Service().ask("why?") == "WHY?"


@pytest.mark.parametrize("outer, inner, named", [(0.01, 30, "outside"), (30, 0.01, "inside")])
@pytest.mark.anyio
async def test_nested_timeouts_raise_for_their_own_time_only(outer, inner, named):
    async def inside() -> None:
        await anyio.sleep_forever()

    async def outside() -> None:
        await timeout(inside(), seconds=inner)

    with pytest.raises(TimeoutError, match=f"{named} took longer"):
        await timeout(outside(), seconds=outer)


@pytest.mark.anyio
async def test_an_operations_own_timeout_error_passes_as_it_is():
    theirs = TimeoutError("theirs")

    async def fail() -> None:
        raise theirs

    with pytest.raises(TimeoutError) as caught:
        await timeout(fail(), seconds=30)

    assert caught.value is theirs


@pytest.mark.anyio
async def test_a_result_that_comes_in_spite_of_the_limit_counts():
    async def stubborn() -> str:
        with contextlib.suppress(BaseException):
            await anyio.sleep_forever()
        return "done all the same"

    assert await timeout(stubborn(), seconds=0.01) == "done all the same"


@pytest.mark.anyio
async def test_a_cancellation_from_outside_passes():
    with anyio.move_on_after(0.01) as scope:
        await timeout(forever(), seconds=30)

    assert scope.cancelled_caught


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_cancelled_task_stays_cancelled():
    task = asyncio.create_task(timeout(forever(), seconds=30))
    await anyio.lowlevel.checkpoint()

    task.cancel("from outside")

    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_task_under_a_timeout_is_cancelled_by_it():
    task = asyncio.create_task(forever())

    with pytest.raises(TimeoutError):
        await timeout(task, seconds=0.01)

    assert task.cancelled()


@pytest.mark.acceptance("H18")
@pytest.mark.anyio
async def test_an_expiry_is_on_the_current_span(recording, facts_of, events_of):
    with recording() as span, contextlib.suppress(TimeoutError):
        await timeout(forever(), seconds=0.01)

    assert facts_of(span) == {"timeout.expiries": 1, "events": 1}
    assert events_of(span) == [("timeout.expired", {"operation": "forever", "limit_s": 0.01})]


class TestMisuse:
    @pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
    def test_a_limit_that_is_none_is_refused_and_the_coroutine_closed(self, seconds):
        with pytest.raises(ValueError, match=r"seconds is .*; it must be more than 0 and finite"):
            timeout(quick(), seconds=seconds)
        with pytest.raises(ValueError, match="leave the timeout out"):
            timeout(seconds)

    @pytest.mark.parametrize("seconds", [None, "2", True])
    def test_a_limit_is_a_number(self, seconds):
        with pytest.raises(TypeError, match=r"seconds is .* must be a number of seconds"):
            timeout(quick(), seconds=seconds)

    def test_a_synchronous_function_is_refused_with_what_can_be_had_instead(self):
        with pytest.raises(TypeError, match=r"anyio\.to_thread\.run_sync\(read, abandon_on_cancel=True\)"):

            @timeout(seconds=2)
            def read() -> None: ...

    def test_a_synchronous_operation_is_refused(self):
        with pytest.raises(TypeError, match="returned str"):
            timeout(lambda: "text", seconds=2)

    def test_what_cannot_be_awaited_is_refused(self):
        with pytest.raises(TypeError, match="something to await or to call, not str"):
            timeout("text", seconds=2)

    def test_a_generator_function_is_refused(self):
        with pytest.raises(TypeError, match="generator function"):

            @timeout(seconds=2)
            async def numbers():
                yield 1

    def test_a_function_with_arguments_is_refused_in_the_call_form(self):
        async def load(url: str) -> str:
            return url

        with pytest.raises(TypeError, match="calls load without arguments"):
            timeout(load, seconds=2)
