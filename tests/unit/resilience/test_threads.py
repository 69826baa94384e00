"""process_in_threads: the same for functions that block."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from honeyhive.resilience import process_in_threads

where: ContextVar[str] = ContextVar("where", default="nowhere")

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.mark.acceptance("H14")
@pytest.mark.parametrize("source", [list, iter, lambda items: (item for item in items)])
def test_results_are_in_the_order_of_the_items(source):
    assert process_in_threads(str, source(range(50)), max_concurrency=4) == [str(number) for number in range(50)]


def test_items_are_worked_on_at_the_same_time_within_the_bound():
    together = threading.Barrier(3)
    under_way, peak = [], []

    def work(number: int) -> None:
        under_way.append(number)
        peak.append(len(under_way))
        together.wait(10)
        under_way.remove(number)

    process_in_threads(work, range(9), max_concurrency=3)

    assert max(peak) <= 3


def test_items_do_not_see_each_others_context():
    seen = []

    def work(number: int) -> None:
        seen.append(where.get())
        where.set(f"item {number}")

    where.set("outside")
    process_in_threads(work, range(9), max_concurrency=2)

    assert seen == ["outside"] * 9


def test_errors_can_take_the_places_of_results():
    theirs = ValueError("two")

    def work(number: int) -> int:
        if number == 2:
            raise theirs
        return number

    assert process_in_threads(work, range(4), stop_on_error=False) == [0, 1, theirs, 3]


def test_the_first_error_is_raised_and_no_more_items_are_taken():
    taken = []

    def work(number: int) -> None:
        taken.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        process_in_threads(work, range(100), max_concurrency=1)

    assert taken == [0]


def test_an_error_of_the_source_is_raised():
    def source() -> Iterator[int]:
        yield from range(5)
        raise OSError("the source")

    with pytest.raises(OSError, match="the source"):
        process_in_threads(str, source(), max_concurrency=2, stop_on_error=False)


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
def test_a_request_to_stop_reaches_the_caller(stop):
    def work(number: int) -> None:
        raise stop

    with pytest.raises(stop):
        process_in_threads(work, range(3), stop_on_error=False)


def test_a_generator_is_closed_at_the_end():
    closed = []

    def source() -> Iterator[int]:
        try:
            yield from range(9)
        finally:
            closed.append(True)

    with pytest.raises(ZeroDivisionError):
        process_in_threads(lambda number: 1 // number, source(), max_concurrency=2)

    assert closed == [True]


@pytest.mark.acceptance("H18")
def test_what_was_done_is_on_the_current_span(recording, facts_of, events_of):
    with recording() as span:
        process_in_threads(lambda number: 1 // number, range(3), stop_on_error=False)
    facts = facts_of(span)

    assert facts.pop("items.queue_s") >= 0
    assert facts == {"items.done": 2, "items.failed": 1, "events": 1}
    assert [name for name, _ in events_of(span)] == ["items.item_failed"]


class TestMisuse:
    def test_a_coroutine_function_is_refused_with_the_fix(self):
        async def work(number: int) -> None: ...

        with pytest.raises(TypeError, match=r"use process_concurrently\(\) for it"):
            process_in_threads(work, [1])

    def test_no_threads_are_refused(self):
        with pytest.raises(ValueError, match="max_concurrency is 0"):
            process_in_threads(str, [1], max_concurrency=0)

    def test_arguments_in_the_other_order_are_noticed(self):
        with pytest.raises(TypeError, match=r"the order is process_in_threads\(function, items\)"):
            process_in_threads([1], str)
