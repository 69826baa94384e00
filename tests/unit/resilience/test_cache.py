"""cache: results are kept for a while, within bounds, and computed once however many ask."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import weakref
from dataclasses import dataclass

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from honeyhive import State
from honeyhive.resilience import cache
from honeyhive.testing import ManualClock


class Counted:
    """Doubles, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def double(self, number):
        self.calls.append(number)
        return number * 2

    async def double_later(self, number):
        await anyio.lowlevel.checkpoint()
        return self.double(number)


@pytest.fixture
def counted():
    return Counted()


@pytest.mark.acceptance("A10")
@pytest.mark.acceptance("H15")
@pytest.mark.anyio
async def test_a_coroutine_function_is_keyed_by_its_arguments(counted):
    double = cache(ttl=300)(counted.double_later)

    assert [await double(1), await double(1), await double(2)] == [2, 2, 4]

    assert counted.calls == [1, 2]


@pytest.mark.acceptance("H15")
def test_a_function_is_keyed_by_its_arguments(counted):
    double = cache(ttl=300)(counted.double)

    assert [double(1), double(1), double(number=1), double(2)] == [2, 2, 2, 4]

    assert counted.calls == [1, 1, 2]


def test_a_bare_decorator_keeps_results_for_good(counted):
    @cache
    def double(number: int) -> int:
        """Double it."""
        return counted.double(number)

    assert [double(3), double(3)] == [6, 6]
    assert counted.calls == [3]
    assert (double.__name__, double.__doc__) == ("double", "Double it.")
    assert list(inspect.signature(double).parameters) == ["number"]


def test_none_is_a_result_like_any_other():
    calls = []
    nothing = cache(lambda: calls.append(1))

    assert [nothing(), nothing()] == [None, None]
    assert calls == [1]


def test_a_cached_coroutine_function_is_seen_as_one():
    @cache
    async def work() -> None: ...

    assert inspect.iscoroutinefunction(work) or inspect.iscoroutinefunction(work.__call__)


class TestTime:
    def test_a_result_is_forgotten_when_its_time_is_over(self, counted, clock):
        double = cache(ttl=300, clock=clock)(counted.double)

        double(1)
        clock.advance(299)
        double(1)
        clock.advance(1)
        double(1)

        assert counted.calls == [1, 1]

    def test_the_time_may_be_asked_for_each_result(self, counted, clock):
        times = iter([10, None, 30])
        double = cache(ttl=lambda: next(times), clock=clock)(counted.double)
        for number in range(3):
            double(number)

        clock.advance(20)
        for number in range(3):
            double(number) if number else None

        assert counted.calls == [0, 1, 2]

    def test_it_is_asked_after_the_result_was_computed(self, clock):
        ttl = [5]

        def work() -> None:
            ttl[0] = 50

        kept = cache(ttl=lambda: ttl[0], clock=clock)(work)
        kept()
        clock.advance(20)
        kept()

        assert kept.info().hits == 1

    @pytest.mark.parametrize("wrong", [0, -3, float("nan")])
    def test_a_time_that_is_none_is_refused_when_it_is_told(self, wrong, counted):
        double = cache(ttl=lambda: wrong)(counted.double)

        with pytest.raises(ValueError, match=r"ttl is .*; it must be more than 0"):
            double(1)

        assert double.info().size == 0


class TestRoom:
    @pytest.mark.acceptance("A12")
    def test_what_was_used_longest_ago_makes_room(self, counted):
        double = cache(max_size=2)(counted.double)

        for number in (1, 2, 1, 3, 1, 2):
            double(number)

        assert counted.calls == [1, 2, 3, 2]
        assert double.info().size == 2

    @given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 5))
    def test_there_are_never_more_than_allowed_and_always_the_right_ones(self, numbers, most):
        double = cache(max_size=most)(lambda number: number * 2)

        results = [double(number) for number in numbers]

        assert results == [number * 2 for number in numbers]
        assert double.info().size == min(most, len(set(numbers)))
        assert double.info().hits + double.info().misses == len(numbers)


class TestKeys:
    @pytest.mark.parametrize(
        "arguments",
        [
            (1, True, 1.0),
            ("1", b"1", 1),
            ((1,), (True,), (1.0,)),
            (frozenset({1}), frozenset({True})),
            ((1, (2,)), (1, (2.0,))),
            (0, False, None),
        ],
    )
    def test_what_is_equal_but_of_another_type_is_something_else(self, arguments):
        kept = cache(repr)

        assert [kept(argument) for argument in arguments] == [repr(argument) for argument in arguments]
        assert kept.info().hits == 0

    def test_names_and_values_are_not_mixed_up(self):
        kept = cache(lambda *args, **kwargs: (args, kwargs))

        calls = [kept("a", 1), kept(a=1), kept("a", a=1), kept(b=1), kept(a=1, b=1)]

        assert len({repr(call) for call in calls}) == 5
        assert kept.info().misses == 5

    @pytest.mark.anyio
    async def test_an_argument_without_a_hash_is_refused_with_the_fix(self, counted):
        message = (
            r"double.* is cached by its arguments, and one of them cannot be hashed \(.*list.*\); give @cache a key="
        )

        with pytest.raises(TypeError, match=message):
            cache(counted.double)([1])
        with pytest.raises(TypeError, match=message):
            await cache(counted.double_later)([1])
        with pytest.raises(TypeError, match=message):
            cache(counted.double).invalidate([1])

    def test_a_key_of_ones_own_tells_calls_apart(self, counted):
        double = cache(key=len)(counted.double)

        assert [double([1]), double([2]), double([1, 2])] == [[1, 1], [1, 1], [1, 2, 1, 2]]

    def test_a_type_error_of_an_arguments_own_passes_as_it_is(self):
        class Odd:
            def __hash__(self):
                return 1

            def __eq__(self, other):
                raise TypeError("theirs")

        kept = cache(lambda value: 1)
        kept(Odd())

        with pytest.raises(TypeError, match="theirs"):
            kept(Odd())


class TestFlights:
    @pytest.mark.anyio
    async def test_many_who_ask_at_once_have_one_result(self, recording, facts_of):
        calls, results = [], []

        @cache(ttl=300)
        async def load(name: str) -> object:
            calls.append(name)
            await anyio.wait_all_tasks_blocked()
            return object()

        async def ask() -> None:
            results.append(await load("a"))

        with recording() as span:
            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(ask)

        assert calls == ["a"]
        assert len(results) == 100
        assert len(set(results)) == 1
        assert facts_of(span) == {"cache.misses": 100, "cache.joined": 99}

    @pytest.mark.anyio
    async def test_when_the_first_is_cancelled_the_next_begins_anew(self):
        calls, results = [], []
        begun = anyio.Event()

        @cache(ttl=300)
        async def load() -> int:
            calls.append(1)
            begun.set()
            if len(calls) == 1:
                await anyio.sleep_forever()
            await anyio.lowlevel.checkpoint()
            return len(calls)

        async def ask() -> None:
            results.append(await load())

        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as first:
                async with anyio.create_task_group() as inner:
                    inner.start_soon(load)
                    await begun.wait()
                    for _ in range(5):
                        group.start_soon(ask)
                    await anyio.wait_all_tasks_blocked()
                    first.cancel()

        assert results == [2] * 5
        assert len(calls) == 2

    @pytest.mark.anyio
    async def test_a_cancelled_waiter_disturbs_nobody(self):
        release = anyio.Event()
        results = []

        @cache
        async def load() -> str:
            await release.wait()
            return "done"

        async def ask() -> None:
            results.append(await load())

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(0.01):
                await load()
            release.set()

        assert results == ["done"]

    @pytest.mark.anyio
    async def test_an_error_reaches_all_who_wait_and_is_not_kept(self):
        theirs = OSError("down")
        caught = []

        @cache
        async def load() -> str:
            await anyio.wait_all_tasks_blocked()
            if len(caught) < 3:
                raise theirs
            return "up"

        async def ask() -> None:
            try:
                await load()
            except OSError as error:
                caught.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)

        assert caught == [theirs] * 3
        assert await load() == "up"

    @pytest.mark.parametrize("forget", [lambda kept: kept.invalidate(), lambda kept: kept.cache_clear()])
    @pytest.mark.anyio
    async def test_a_result_that_was_forgotten_on_its_way_is_not_kept(self, forget):
        release = anyio.Event()
        answers = ["old", "new"]
        first = []

        @cache
        async def load() -> str:
            answer = answers.pop(0)
            await release.wait()
            return answer

        async def ask() -> None:
            first.append(await load())

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            forget(load)
            release.set()

        assert first == ["old"]
        assert await load() == "new"

    def test_threads_wait_for_the_one_that_computes(self):
        calls, results = [], []
        everybody = threading.Barrier(8)

        @cache
        def load() -> object:
            calls.append(1)
            return object()

        def ask() -> None:
            everybody.wait()
            results.append(load())

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(set(results)) == 1
        assert calls == [1]

    def test_a_thread_that_looked_too_early_takes_what_has_landed_since(self):
        class Meddler(NonRecordingSpan):
            """Told of our miss, it has another thread compute before we do."""

            def is_recording(self) -> bool:
                return True

            def set_attribute(self, key, value) -> None:
                other = threading.Thread(target=load)
                other.start()
                other.join()

        calls = []

        @cache
        def load() -> int:
            calls.append(1)
            return len(calls)

        with use_span(Meddler(SpanContext(1, 1, is_remote=False))):
            assert load() == 1

        assert calls == [1]

    def test_threads_share_the_error_of_the_one_that_computes(self):
        theirs = OSError("down")
        inside, caught = threading.Event(), []

        @cache
        def load() -> None:
            inside.set()
            joined.wait(10)
            raise theirs

        joined = threading.Event()

        def ask() -> None:
            try:
                load()
            except OSError as error:
                caught.append(error)

        first = threading.Thread(target=ask)
        first.start()
        inside.wait(10)
        second = threading.Thread(target=ask)
        second.start()
        joined.set()
        first.join()
        second.join()

        assert caught == [theirs, theirs]

    def test_a_function_that_calls_itself_is_not_stuck(self):
        @cache
        def factorial(number: int) -> int:
            return number * factorial(number - 1) if number else 1

        @cache
        def endless() -> int:
            return endless()

        assert factorial(20) == 2432902008176640000
        with pytest.raises(RecursionError):
            endless()


class TestLoops:
    def test_results_outlive_an_event_loop(self):
        calls = []

        @cache(ttl=300)
        async def load() -> str:
            calls.append(1)
            await asyncio.sleep(0)
            return "done"

        assert [asyncio.run(load()), asyncio.run(load())] == ["done", "done"]
        assert calls == [1]

    def test_a_loop_that_ends_in_the_middle_leaves_nobody_waiting(self):
        @cache
        async def load(seconds: float = 30) -> str:
            await asyncio.sleep(seconds if not ended else 0)
            return "done"

        ended = []
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(load(), 0.01))
        ended.append(True)

        assert asyncio.run(load()) == "done"

    def test_loops_in_several_threads_do_not_wait_for_one_another(self):
        inside, results = threading.Barrier(2), []

        @cache
        async def load() -> str:
            await asyncio.to_thread(inside.wait, 10)
            return threading.current_thread().name

        def run() -> None:
            results.append(asyncio.run(load()))

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(set(results)) == 2

    @pytest.mark.parametrize("in_a_change, kept", [(False, True), (True, False)])
    def test_a_forked_child_has_what_was_kept_unless_it_was_being_changed(self, in_a_change, kept):
        load = cache(os.getpid)
        load()
        holding, release = threading.Event(), threading.Event()

        def hold() -> None:
            with load._results._lock:
                holding.set()
                release.wait(10)

        holder = threading.Thread(target=hold)
        if in_a_change:
            holder.start()
            holding.wait(10)
        parent, child = os.getpid(), os.fork()
        if child == 0:
            os._exit(0 if (load() == parent) is kept else 1)
        release.set()
        if in_a_change:
            holder.join()

        assert os.waitpid(child, 0)[1] == 0

    def test_a_forked_child_does_not_wait_for_what_its_parent_computes(self):
        inside, release = threading.Event(), threading.Event()

        @cache
        def load() -> int:
            inside.set()
            release.wait(10)
            return 1

        computing = threading.Thread(target=load)
        computing.start()
        inside.wait(10)
        child = os.fork()
        if child == 0:
            release.set()
            os._exit(0 if load() == 1 else 1)
        release.set()
        computing.join()

        assert os.waitpid(child, 0)[1] == 0


class TestMethods:
    def test_each_instance_has_its_own_results(self):
        class Shop:
            def __init__(self, name: str) -> None:
                self.name = name

            def __eq__(self, other: object) -> bool:
                return True

            __hash__ = None

            @cache(ttl=300)
            def price(self, item: str) -> str:
                calls.append(item)
                return f"{item} of {self.name}"

        calls: list[str] = []
        one, other = Shop("one"), Shop("other")

        assert [one.price("tea"), other.price("tea"), one.price("tea")] == ["tea of one", "tea of other", "tea of one"]
        assert calls == ["tea", "tea"]
        one.price.cache_clear()
        assert (one.price.info().size, other.price.info().size) == (0, 1)
        assert other.price.invalidate("tea")
        assert not other.price.invalidate("tea")

    @pytest.mark.anyio
    async def test_coroutine_methods_are_cached_too(self):
        class Shop:
            @cache(ttl=300)
            async def price(self, item: str) -> str:
                calls.append(item)
                return item

        calls: list[str] = []
        shop = Shop()

        assert [await shop.price("tea"), await shop.price("tea")] == ["tea", "tea"]
        assert calls == ["tea"]

    def test_a_cache_keeps_no_instance_alive(self):
        class Shop:
            @cache
            def price(self, item: str) -> str:
                return item

        shop = Shop()
        shop.price("tea")
        gone = weakref.ref(shop)
        del shop

        assert gone() is None
        assert Shop.price._of_instances == {}

    def test_a_method_of_a_state_can_be_cached(self):
        class Shop(State):
            tax: int

            @cache
            def price(self, item: str) -> str:
                calls.append(item)
                return f"{item} + {self.tax} %"

        calls: list[str] = []
        shop = Shop(tax=7)

        assert [shop.price("tea"), shop.price("tea"), shop.updated(tax=9).price("tea")] == [
            "tea + 7 %",
            "tea + 7 %",
            "tea + 9 %",
        ]
        assert calls == ["tea", "tea"]

    def test_an_instance_that_cannot_be_watched_is_refused_with_the_fix(self):
        @dataclass(slots=True)
        class Shop:
            @cache
            def price(self, item: str) -> str:
                return item

        with pytest.raises(TypeError, match=r"price is cached for each Shop, .*weakref_slot=True"):
            Shop().price("tea")

    def test_class_methods_and_static_methods_can_be_cached(self):
        class Shop:
            @classmethod
            @cache
            def price(cls, item: str) -> str:
                calls.append(cls.__name__)
                return item

            @staticmethod
            @cache
            def tax(item: str) -> str:
                calls.append(item)
                return item

        class Corner(Shop):
            pass

        calls: list[str] = []
        for _ in range(2):
            Shop.price("tea")
            Corner.price("tea")
            Shop.tax("tea")

        assert calls == ["Shop", "Corner", "tea"]


class TestCare:
    def test_one_result_can_be_forgotten(self, counted):
        double = cache(counted.double)
        double(1)
        double(2)

        assert double.invalidate(1)
        assert not double.invalidate(3)

        assert [double(1), double(2)] == [2, 4]
        assert counted.calls == [1, 2, 1]

    def test_all_can_be_forgotten_and_counts_stay(self, counted):
        double = cache(max_size=10)(counted.double)
        double(1)
        double(1)

        double.cache_clear()

        assert double.info()._asdict() == {"hits": 1, "misses": 1, "size": 0, "max_size": 10}
        assert repr(double).startswith("<cached <bound method Counted.double")

    @pytest.mark.acceptance("H18")
    def test_hits_and_misses_are_on_the_current_span(self, counted, recording, facts_of):
        double = cache(counted.double)

        with recording() as span:
            for number in (1, 1, 1, 2):
                double(number)

        assert facts_of(span) == {"cache.hits": 2, "cache.misses": 2}

    @given(st.lists(st.tuples(st.sampled_from(["call", "wait", "forget", "clear"]), st.integers(0, 3)), max_size=50))
    def test_no_result_is_ever_older_than_its_time(self, steps):
        clock = ManualClock()
        kept = cache(ttl=10, clock=clock, max_size=3)(lambda number: clock.monotonic())
        actions = {
            "wait": lambda number: clock.advance(number * 3),
            "forget": kept.invalidate,
            "clear": lambda number: kept.cache_clear(),
        }

        for action, number in steps:
            if action == "call":
                assert clock.monotonic() - kept(number) < 10
            else:
                actions[action](number)


class TestMisuse:
    @pytest.mark.parametrize("options", [{"ttl": 0}, {"ttl": -1}, {"ttl": float("inf")}, {"max_size": 0}])
    def test_a_number_out_of_range_is_refused(self, options):
        with pytest.raises(ValueError, match=next(iter(options))):
            cache(**options)

    @pytest.mark.parametrize("options", [{"ttl": "5"}, {"max_size": 2.5}, {"max_size": None}, {"key": "name"}])
    def test_a_wrong_type_is_refused(self, options):
        with pytest.raises(TypeError, match=next(iter(options))):
            cache(**options)

    def test_a_number_in_place_of_a_function_is_refused_with_the_fix(self):
        with pytest.raises(TypeError, match=r"@cache\(ttl=300\)"):
            cache(300)

    def test_an_unknown_option_is_refused(self):
        with pytest.raises(TypeError, match="expiration"):
            cache(expiration=3)

    def test_generator_functions_are_refused(self):
        with pytest.raises(TypeError, match="generator function"):

            @cache
            async def numbers():
                yield 1
