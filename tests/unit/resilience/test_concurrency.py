"""process_concurrently and stream_concurrently: bounded, in order, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar

import anyio
import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.resilience import process_concurrently, stream_concurrently

where: ContextVar[str] = ContextVar("where", default="nowhere")


class Bench:
    """Work that counts how many items are under way."""

    def __init__(self) -> None:
        self.under_way = 0
        self.most = 0
        self.begun: list[object] = []
        self.ended: list[object] = []

    async def work(self, item):
        self.begun.append(item)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
        finally:
            self.under_way -= 1
            self.ended.append(item)
        return f"processed-{item}"


@pytest.fixture
def bench():
    return Bench()


async def gathered(function, items, **options):
    return await process_concurrently(function, items, **options)


async def streamed(function, items, **options):
    async with stream_concurrently(function, items, **options) as results:
        return [result async for result in results]


async def streamed_as_ready(function, items, **options):
    async with stream_concurrently(function, items, ordered=False, **options) as results:
        return [result async for result in results]


def lazily(items) -> Iterator[object]:
    yield from items


async def asynchronously(items) -> AsyncIterator[object]:
    for item in items:
        await anyio.lowlevel.checkpoint()
        yield item


ALL = pytest.mark.parametrize("process", [gathered, streamed, streamed_as_ready])
IN_ORDER = pytest.mark.parametrize("process", [gathered, streamed])
SOURCES = pytest.mark.parametrize("source", [list, lazily, asynchronously])


@pytest.mark.acceptance("A7")
@pytest.mark.acceptance("H14")
@IN_ORDER
@SOURCES
@pytest.mark.anyio
async def test_results_are_in_the_order_of_the_items(process, source, bench):
    results = await process(bench.work, source(range(20)), max_concurrency=3)

    assert results == [f"processed-{number}" for number in range(20)]


@IN_ORDER
@pytest.mark.anyio
async def test_later_items_that_are_ready_earlier_wait_for_their_turn(process):
    first = anyio.Event()

    async def work(number: int) -> int:
        if number:
            first.set()
        else:
            await first.wait()
        return number

    assert await process(work, [0, 1, 2], max_concurrency=2) == [0, 1, 2]


@pytest.mark.anyio
async def test_without_order_what_is_ready_comes_first():
    last_is_done = anyio.Event()

    async def work(number: int) -> int:
        if number == 2:
            last_is_done.set()
        if number == 0:
            await last_is_done.wait()
            await anyio.wait_all_tasks_blocked()
        return number

    assert await streamed_as_ready(work, [0, 1, 2], max_concurrency=3) == [1, 2, 0]


@ALL
@SOURCES
@pytest.mark.anyio
async def test_no_more_items_than_allowed_are_under_way(process, source, bench):
    await process(bench.work, source(range(30)), max_concurrency=4)

    assert bench.most <= 4
    assert bench.under_way == 0


@ALL
@SOURCES
@pytest.mark.anyio
async def test_as_many_items_as_allowed_are_under_way(process, source):
    under_way = []
    together = anyio.Event()

    async def work(number: int) -> None:
        under_way.append(number)
        if len(under_way) == 4:
            together.set()
        await together.wait()

    await process(work, source(range(4)), max_concurrency=4)

    assert len(under_way) == 4


@ALL
@SOURCES
@pytest.mark.anyio
async def test_no_items_give_no_results(process, source, bench):
    assert await process(bench.work, source([]), max_concurrency=3) == []


@ALL
@pytest.mark.anyio
async def test_anything_that_can_be_awaited_will_do(process):
    class Answer:
        def __await__(self):
            yield from anyio.lowlevel.checkpoint().__await__()
            return "answer"

    assert await process(lambda item: Answer(), [1, 2]) == ["answer", "answer"]


@ALL
@pytest.mark.anyio
async def test_items_do_not_see_each_others_context(process):
    seen = []

    async def work(number: int) -> None:
        seen.append(where.get())
        where.set(f"item {number}")
        await anyio.lowlevel.checkpoint()
        assert where.get() == f"item {number}"

    where.set("outside")
    await process(work, range(9), max_concurrency=2)

    assert seen == ["outside"] * 9
    assert where.get() == "outside"


class TestTimeouts:
    @pytest.mark.acceptance("A8")
    @ALL
    @pytest.mark.anyio
    async def test_each_item_has_its_own_limit(self, process):
        async def work(seconds: float) -> float:
            await anyio.sleep(seconds)
            return seconds

        results = await process(work, [0, 30, 0], timeout_per_item=0.02, max_concurrency=1, stop_on_error=False)

        assert [0, 0] == [result for result in results if not isinstance(result, Exception)]
        assert ["work took longer than 0.02 s"] == [str(error) for error in results if isinstance(error, TimeoutError)]

    @ALL
    @pytest.mark.anyio
    async def test_what_takes_too_long_stops_all_unless_told_otherwise(self, process):
        with pytest.raises(TimeoutError):
            await process(lambda item: anyio.sleep_forever(), [1, 2], timeout_per_item=0.01)


class TestErrors:
    @pytest.mark.acceptance("A9")
    @IN_ORDER
    @SOURCES
    @pytest.mark.anyio
    async def test_errors_can_take_the_places_of_results(self, process, source):
        theirs = ValueError("Cannot process bad")

        async def work(item: str) -> str:
            await anyio.lowlevel.checkpoint()
            if item == "bad":
                raise theirs
            return item.upper()

        results = await process(work, source(["a", "bad", "b", "c"]), max_concurrency=2, stop_on_error=False)

        assert results == ["A", theirs, "B", "C"]

    @ALL
    @SOURCES
    @pytest.mark.anyio
    async def test_the_first_error_is_raised_and_ends_all_others(self, process, source, bench):
        theirs = ValueError("no")

        async def work(number: int) -> None:
            if number == 3:
                raise theirs
            if number > 0:
                bench.under_way += 1
                try:
                    await anyio.sleep_forever()
                finally:
                    bench.under_way -= 1

        with pytest.raises(ValueError, match="no") as caught:
            await process(work, source(range(100)), max_concurrency=4)

        assert caught.value is theirs
        assert bench.under_way == 0

    @ALL
    @pytest.mark.anyio
    async def test_after_an_error_no_item_is_taken(self, process):
        taken = []

        def source() -> Iterator[int]:
            for number in range(1000):
                taken.append(number)
                yield number

        async def work(number: int) -> None:
            raise ValueError(number)

        with pytest.raises(ValueError, match="0"):
            await process(work, source(), max_concurrency=1)

        assert taken == [0]

    @ALL
    @pytest.mark.anyio
    async def test_an_error_of_the_source_is_raised_even_where_items_may_fail(self, process, bench):
        def source() -> Iterator[int]:
            yield 1
            raise OSError("the source")

        with pytest.raises(OSError, match="the source"):
            await process(bench.work, source(), stop_on_error=False)

        assert bench.under_way == 0

    @ALL
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    @pytest.mark.anyio
    async def test_a_cancellation_that_nobody_asked_for_is_not_lost(self, process):
        async def work(number: int) -> None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        with pytest.raises(asyncio.CancelledError):
            await process(work, range(3), stop_on_error=False)


class TestEnds:
    @ALL
    @SOURCES
    @pytest.mark.anyio
    async def test_a_cancellation_from_outside_leaves_nothing_running(self, process, source, bench):
        async def work(number: int) -> None:
            bench.under_way += 1
            try:
                await anyio.sleep_forever()
            finally:
                bench.under_way -= 1

        with anyio.move_on_after(0.02) as scope:
            await process(work, source(range(100)), max_concurrency=5)

        assert scope.cancelled_caught
        assert bench.under_way == 0

    @ALL
    @pytest.mark.anyio
    async def test_items_that_never_wait_do_not_hold_a_cancellation_up(self, process):
        done = []

        async def work(number: int) -> None:
            done.append(number)
            if number == 500:
                scope.cancel()

        with anyio.CancelScope() as scope:
            await process(work, range(100_000), max_concurrency=3)

        assert scope.cancelled_caught
        assert len(done) < 1000

    @ALL
    @pytest.mark.parametrize("fails", [False, True])
    @pytest.mark.anyio
    async def test_a_generator_is_closed_at_the_end(self, process, fails):
        closed = []

        async def source() -> AsyncIterator[int]:
            try:
                for number in range(10):
                    yield number
            finally:
                closed.append("async")

        def source_too() -> Iterator[int]:
            try:
                yield from range(10)
            finally:
                closed.append("sync")

        async def work(number: int) -> None:
            if fails:
                raise ValueError

        for items in (source(), source_too()):
            try:
                await process(work, items, max_concurrency=2)
            except ValueError:
                assert fails

        assert closed == ["async", "sync"]

    @pytest.mark.anyio
    async def test_leaving_the_block_early_ends_what_is_under_way(self, bench):
        closed = []

        async def numbers() -> AsyncIterator[int]:
            number = 0
            try:
                while True:
                    yield number
                    number += 1
            finally:
                closed.append(True)

        async with stream_concurrently(bench.work, numbers(), max_concurrency=3) as results:
            async for result in results:
                if result == "processed-7":
                    break

        assert bench.under_way == 0
        assert closed == [True]

    @pytest.mark.anyio
    async def test_the_blocks_own_error_passes_as_it_is(self, bench):
        theirs = KeyError("theirs")

        async def read() -> None:
            async with stream_concurrently(bench.work, range(10), max_concurrency=3) as results:
                async for _ in results:
                    raise theirs

        with pytest.raises(KeyError) as caught:
            await read()

        assert caught.value is theirs
        assert bench.under_way == 0

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    @pytest.mark.anyio
    async def test_no_task_is_left_behind(self, bench):
        before = asyncio.all_tasks()

        await gathered(bench.work, range(10), max_concurrency=3)
        async with stream_concurrently(bench.work, range(10), max_concurrency=3) as results:
            await anext(results)

        assert asyncio.all_tasks() == before


class TestBackPressure:
    @SOURCES
    @pytest.mark.parametrize("ordered", [True, False])
    @pytest.mark.anyio
    async def test_a_slow_consumer_slows_the_source_down(self, source, ordered, bench):
        given = ahead = 0

        async with stream_concurrently(bench.work, source(range(50)), max_concurrency=3, ordered=ordered) as results:
            async for _ in results:
                given += 1
                await anyio.wait_all_tasks_blocked()
                ahead = max(ahead, len(bench.begun) - given)

        assert given == 50
        assert ahead <= 6

    @pytest.mark.anyio
    async def test_results_that_are_ready_do_not_wait_for_those_that_are_not(self):
        async def work(number: int) -> int:
            if number == 2:
                await anyio.sleep_forever()
            return number

        async with stream_concurrently(work, range(3), max_concurrency=3) as results:
            assert [await anext(results), await anext(results)] == [0, 1]

    @pytest.mark.anyio
    async def test_a_reader_that_gave_up_waiting_can_come_back(self):
        release = anyio.Event()

        async def work(number: int) -> int:
            await release.wait()
            return number

        async with stream_concurrently(work, range(2), max_concurrency=2) as results:
            with anyio.move_on_after(0.01):
                await anext(results)
            release.set()
            assert [result async for result in results] == [0, 1]


durations = st.lists(st.integers(0, 5), max_size=15)


@given(durations, st.integers(1, 6), st.booleans())
def test_whatever_items_take_all_results_come_within_the_bounds(seconds, most, ordered):
    under_way = peak = 0

    async def work(item: tuple[int, int]) -> int:
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        await trio.sleep(item[1])
        under_way -= 1
        return item[0]

    async def both() -> tuple[list[int], list[int]]:
        items = list(enumerate(seconds))
        all_at_once = await process_concurrently(work, items, max_concurrency=most)
        async with stream_concurrently(work, items, max_concurrency=most, ordered=ordered) as results:
            return all_at_once, [result async for result in results]

    all_at_once, one_by_one = trio.run(both, clock=trio.testing.MockClock(autojump_threshold=0))

    assert all_at_once == list(range(len(seconds)))
    assert sorted(one_by_one) == all_at_once
    assert one_by_one == all_at_once or not ordered
    assert peak <= most


@given(durations, st.integers(1, 4), st.integers(0, 12))
def test_whenever_it_is_cancelled_nothing_goes_on(seconds, most, after):
    under_way = 0

    async def work(duration: int) -> None:
        nonlocal under_way
        under_way += 1
        try:
            await trio.sleep(duration)
        finally:
            under_way -= 1

    async def cut_off() -> None:
        with trio.move_on_after(after):
            await process_concurrently(work, seconds, max_concurrency=most)
        with trio.move_on_after(after):
            async with stream_concurrently(work, seconds, max_concurrency=most) as results:
                async for _ in results:
                    pass

    trio.run(cut_off, clock=trio.testing.MockClock(autojump_threshold=0))

    assert under_way == 0


class TestFacts:
    @pytest.mark.acceptance("H18")
    @pytest.mark.anyio
    async def test_what_was_done_is_on_the_current_span(self, recording, facts_of, events_of):
        async def work(number: int) -> None:
            if number == 2:
                raise ValueError("two")

        with recording() as span:
            await process_concurrently(work, range(5), stop_on_error=False)
        facts = facts_of(span)

        assert facts.pop("items.queue_s") >= 0
        assert facts == {"items.done": 5, "items.failed": 1, "events": 1}
        assert events_of(span) == [
            ("items.item_failed", {"operation": "work", "index": 2, "reason": "ValueError: two"})
        ]


class TestMisuse:
    @ALL
    @pytest.mark.anyio
    async def test_a_function_that_blocks_is_refused_with_the_fix(self, process):
        def work(number: int) -> int:
            return number

        with pytest.raises(TypeError, match=r"work returned int; use process_in_threads\(\)"):
            await process(work, range(3), stop_on_error=False)

    @ALL
    @pytest.mark.parametrize("options", [{"max_concurrency": 0}, {"timeout_per_item": 0}, {"timeout_per_item": -1}])
    @pytest.mark.anyio
    async def test_a_limit_that_is_none_is_refused(self, process, options, bench):
        with pytest.raises(ValueError, match=next(iter(options))):
            await process(bench.work, [], **options)

    @ALL
    @pytest.mark.anyio
    async def test_arguments_in_the_other_order_are_noticed(self, process, bench):
        with pytest.raises(TypeError, match=r"the order is (process|stream)_concurrently\(function, items\)"):
            await process([1, 2], bench.work)

    @ALL
    @pytest.mark.anyio
    async def test_what_has_no_items_is_refused(self, process, bench):
        with pytest.raises(TypeError, match="from an iterable or an async iterable, not int"):
            await process(bench.work, 5)

    @pytest.mark.anyio
    async def test_a_stream_is_opened_before_it_is_read(self, bench):
        with pytest.raises(RuntimeError, match="open the stream first: `async with stream_concurrently"):
            async for _ in stream_concurrently(bench.work, [1]):
                pass

    @pytest.mark.anyio
    async def test_a_stream_is_opened_once(self, bench):
        stream = stream_concurrently(bench.work, [1])

        async with stream:
            with pytest.raises(RuntimeError, match="has been opened before"):
                async with stream:
                    pass
