"""buffered_stream: batches by size and by time, and no item is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import anyio
import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.resilience import buffered_stream


async def data_stream(most: int = 10) -> AsyncIterator[str]:
    for number in range(most):
        await anyio.lowlevel.checkpoint()
        yield f"data-{number}"


async def plain(source, size):
    return [batch async for batch in buffered_stream(source, buffer_size=size)]


async def timed(source, size):
    async with buffered_stream(source, buffer_size=size, max_wait=30) as batches:
        return [batch async for batch in batches]


FORMS = pytest.mark.parametrize("read", [plain, timed])


@pytest.mark.acceptance("A14")
@FORMS
@pytest.mark.anyio
async def test_items_are_grouped_and_the_rest_is_flushed(read):
    assert await read(data_stream(), 4) == [
        ["data-0", "data-1", "data-2", "data-3"],
        ["data-4", "data-5", "data-6", "data-7"],
        ["data-8", "data-9"],
    ]


@FORMS
@pytest.mark.anyio
async def test_a_source_that_is_used_up_exactly_leaves_no_empty_batch(read):
    assert await read(range(4), 2) == [[0, 1], [2, 3]]
    assert await read([], 2) == []


async def one_by_one(source, size, batches):
    async for batch in buffered_stream(source, buffer_size=size):
        batches.append(batch)


async def one_by_one_timed(source, size, batches):
    async with buffered_stream(source, buffer_size=size, max_wait=30) as stream:
        async for batch in stream:
            batches.append(batch)


@pytest.mark.parametrize("read_into", [one_by_one, one_by_one_timed])
@pytest.mark.anyio
async def test_what_came_before_an_error_is_handed_out_first(read_into):
    async def failing() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise OSError("the source")

    batches = []

    with pytest.raises(OSError, match="the source"):
        await read_into(failing(), 5, batches)

    assert batches == [[1, 2]]


@pytest.mark.anyio
async def test_without_a_time_no_item_is_asked_for_early():
    taken = []

    def source() -> Iterator[int]:
        for number in range(9):
            taken.append(number)
            yield number

    async with aclosing(buffered_stream(source(), buffer_size=3)) as batches:
        await anext(batches)

    assert taken == [0, 1, 2]


@pytest.mark.anyio
async def test_a_generator_is_closed_with_the_stream():
    closed = []

    async def source() -> AsyncIterator[int]:
        try:
            for number in range(100):
                yield number
        finally:
            closed.append("async")

    def source_too() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append("sync")

    for items in (source(), source_too()):
        async with aclosing(buffered_stream(items, 3)) as batches:
            await anext(batches)
    for items in (source(), source_too()):
        async with buffered_stream(items, 3, max_wait=30) as batches:
            await anext(batches)

    assert closed == ["async", "sync"] * 2


def on_mock_time(function, *args):
    return trio.run(function, *args, clock=trio.testing.MockClock(autojump_threshold=0))


class TestTime:
    def test_a_batch_that_does_not_fill_is_handed_out_when_its_time_is_over(self):
        async def slow() -> AsyncIterator[int]:
            for number in range(4):
                yield number
                await trio.sleep(0 if number % 2 == 0 else 100)

        async def read() -> list[tuple[float, list[int]]]:
            begun = trio.current_time()
            async with buffered_stream(slow(), buffer_size=50, max_wait=5) as batches:
                return [(trio.current_time() - begun, batch) async for batch in batches]

        assert on_mock_time(read) == [(pytest.approx(5), [0, 1]), (pytest.approx(105), [2, 3])]

    def test_a_full_batch_does_not_wait(self):
        async def endless() -> AsyncIterator[int]:
            yield 1
            yield 2
            await trio.sleep_forever()

        async def read() -> tuple[float, list[int]]:
            begun = trio.current_time()
            async with buffered_stream(endless(), buffer_size=2, max_wait=5) as batches:
                return trio.current_time() - begun, await anext(batches)

        assert on_mock_time(read) == (pytest.approx(0), [1, 2])

    def test_the_source_is_read_at_most_one_batch_ahead(self):
        taken = []

        def source() -> Iterator[int]:
            for number in range(50):
                taken.append(number)
                yield number

        async def read() -> list[int]:
            ahead, given = [], 0
            async with buffered_stream(source(), buffer_size=4, max_wait=5) as batches:
                async for batch in batches:
                    given += len(batch)
                    await trio.sleep(60)
                    ahead.append(len(taken) - given)
            return ahead

        assert max(on_mock_time(read)) <= 5

    def test_a_reader_that_gave_up_waiting_loses_nothing(self):
        async def slow() -> AsyncIterator[int]:
            yield 1
            await trio.sleep(10)
            yield 2

        async def read() -> list[list[int]]:
            async with buffered_stream(slow(), buffer_size=5, max_wait=60) as batches:
                with trio.move_on_after(3):
                    await anext(batches)
                return [batch async for batch in batches]

        assert on_mock_time(read) == [[1, 2]]

    @given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 5), st.integers(1, 9))
    def test_no_item_waits_longer_and_none_is_lost(self, pauses, size, most):
        async def slow() -> AsyncIterator[float]:
            for pause in pauses:
                await trio.sleep(pause)
                yield trio.current_time()

        async def read() -> list[list[float]]:
            async with buffered_stream(slow(), buffer_size=size, max_wait=most) as batches:
                return [[trio.current_time() - item for item in batch] async for batch in batches]

        waits = on_mock_time(read)

        assert sum(map(len, waits)) == len(pauses)
        assert all(1 <= len(batch) <= size and max(batch) <= most + 1e-6 for batch in waits)


@given(st.lists(st.integers()), st.integers(1, 7))
def test_batches_put_together_are_the_source(items, size):
    batches = asyncio.run(plain(items, size))

    assert [item for batch in batches for item in batch] == items
    assert all(len(batch) == size for batch in batches[:-1])


@pytest.mark.anyio
async def test_the_number_of_batches_is_on_the_current_span(recording, facts_of):
    with recording() as span:
        await plain(range(10), 4)
        await timed(range(10), 4)

    assert facts_of(span) == {"items.batches": 6}


class TestMisuse:
    @pytest.mark.parametrize("options", [{"buffer_size": 0}, {"max_wait": 0}, {"max_wait": -1}])
    def test_a_number_out_of_range_is_refused(self, options):
        with pytest.raises(ValueError, match=next(iter(options))):
            buffered_stream([1], **options)

    def test_what_has_no_items_is_refused(self):
        with pytest.raises(TypeError, match="from an iterable or an async iterable, not int"):
            buffered_stream(5)

    @pytest.mark.anyio
    async def test_a_stream_that_reads_ahead_is_opened_first(self):
        with pytest.raises(RuntimeError, match="open the stream first: `async with buffered_stream"):
            async for _ in buffered_stream([1], max_wait=1):
                pass
