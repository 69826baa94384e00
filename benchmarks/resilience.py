"""What the helpers of the resilience room cost, as ratios to what one would write by hand, and to haiway where it is.

    python benchmarks/resilience.py [ROUNDS]    fails above the promised limits

Compared are ``asyncio.Semaphore`` with ``gather`` in chunks of 1,000, ``cachetools.cached`` without a lock and with
untyped keys (the cheapest it can be) and with both as we have them, and, if it can be imported, the public haiway
package: ``PYTHONPATH=.../haiway/site-packages python benchmarks/resilience.py``. Both sides take turns within each
round, in CPU of this thread; the median of the rounds' ratios is shown. Memory is what tracemalloc sees while a million
items are worked on, beyond the list of results.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import tracemalloc
from collections.abc import Awaitable, Callable, Coroutine
from statistics import median
from threading import Lock
from time import thread_time_ns
from typing import Any

from cachetools import TTLCache, cached
from cachetools.keys import typedkey
from parts.promises import kept

from honeyhive.resilience import cache, process_concurrently, retry, stream_concurrently, timeout

ITEMS = 20_000
CALLS = 20_000
MANY = 1_000_000
AT_ONCE = 100
CHUNK = 1_000

PROMISED = {
    "process_concurrently / semaphore and gather, items that do not wait": 2.0,
    "process_concurrently / semaphore and gather, items that wait once": 2.0,
    "stream_concurrently / semaphore and gather, items that wait once": 2.0,
    "cache hit / cachetools alone": 3.0,
    "cache hit / cachetools with lock and typed keys": 3.0,
    "cache hit of a coroutine function / cachetools alone": 3.0,
    "process_concurrently / haiway's execute_concurrently": 1.0,
    "stream_concurrently / haiway's process_concurrently": 1.0,
    "cache hit / haiway's": 1.0,
    "retry, no failure / haiway's": 1.05,  # both are one try around the call: there is nothing to be ahead in
    "timeout, in time / haiway's": 1.0,
    "MB beyond the results, process_concurrently over a million items": 1.0,
    "MB in all, stream_concurrently over a million items": 1.0,
}

Work = Callable[[], Coroutine[Any, Any, object]]


async def at_once(item: int) -> int:
    return item


async def after_a_turn(item: int) -> int:
    await asyncio.sleep(0)
    return item


async def gathered(function: Callable[[int], Awaitable[int]], items: range) -> list[int]:
    """Do what people write by hand: a semaphore for the bound, chunks for the memory."""
    semaphore = asyncio.Semaphore(AT_ONCE)
    results: list[int] = []

    async def one(item: int) -> int:
        async with semaphore:
            return await function(item)

    for start in range(0, len(items), CHUNK):
        results += await asyncio.gather(*(one(item) for item in items[start : start + CHUNK]))
    return results


async def streamed(function: Callable[[int], Awaitable[int]], items: range) -> int:
    count = 0
    async with stream_concurrently(function, items, max_concurrency=AT_ONCE) as results:
        async for _ in results:
            count += 1
    return count


def comparisons() -> dict[str, tuple[Work, Work]]:
    """Return our work and the other's, by what is compared."""
    items = range(ITEMS)

    def ours(function: Callable[[int], Awaitable[int]]) -> Work:
        return lambda: process_concurrently(function, items, max_concurrency=AT_ONCE)

    def by_hand(function: Callable[[int], Awaitable[int]]) -> Work:
        return lambda: gathered(function, items)

    plain = cached(TTLCache(1000, 300))(lambda first, second: first)
    careful = cached(TTLCache(1000, 300), key=typedkey, lock=Lock())(lambda first, second: first)
    hit = cache(ttl=300, max_size=1000)(lambda first, second: first)

    @cache(ttl=300, max_size=1000)
    async def hit_later(first: int, second: int) -> int:
        return first

    table = {
        "process_concurrently / semaphore and gather, items that do not wait": (ours(at_once), by_hand(at_once)),
        "process_concurrently / semaphore and gather, items that wait once": (
            ours(after_a_turn),
            by_hand(after_a_turn),
        ),
        "stream_concurrently / semaphore and gather, items that wait once": (
            lambda: streamed(after_a_turn, items),
            by_hand(after_a_turn),
        ),
        "cache hit / cachetools alone": (called(hit), called(plain)),
        "cache hit / cachetools with lock and typed keys": (called(hit), called(careful)),
        "cache hit of a coroutine function / cachetools alone": (awaited(hit_later), called(plain)),
    }
    if importlib.util.find_spec("haiway") is not None:
        table |= with_haiway(items, hit_later)
    return table


def with_haiway(items: range, hit: Callable[[int, int], Awaitable[int]]) -> dict[str, tuple[Work, Work]]:
    import haiway

    async def handled(item: int) -> None:
        await asyncio.sleep(0)

    async def theirs() -> object:
        async with haiway.ctx.scope("benchmark"):
            return await haiway.execute_concurrently(after_a_turn, items, concurrent_tasks=AT_ONCE)

    async def their_stream() -> object:
        async with haiway.ctx.scope("benchmark"):
            return await haiway.process_concurrently(iter(items), handled, concurrent_tasks=AT_ONCE)

    async def work(first: int, second: int) -> int:
        return first

    return {
        "process_concurrently / haiway's execute_concurrently": (
            lambda: process_concurrently(after_a_turn, items, max_concurrency=AT_ONCE),
            theirs,
        ),
        "stream_concurrently / haiway's process_concurrently": (lambda: streamed(after_a_turn, items), their_stream),
        "cache hit / haiway's": (awaited(hit), awaited(haiway.cache(limit=1000, expiration=300)(work))),
        "retry, no failure / haiway's": (
            awaited(retry(max_attempts=3)(work)),
            awaited(haiway.retry(limit=2)(work)),
        ),
        "timeout, in time / haiway's": (awaited(timeout(30)(work)), awaited(haiway.timeout(30)(work))),
    }


def called(function: Callable[[int, int], object]) -> Work:
    async def calls() -> None:
        for _ in range(CALLS):
            function(1, 2)

    return calls


def awaited(function: Callable[[int, int], Awaitable[object]]) -> Work:
    async def calls() -> None:
        for _ in range(CALLS):
            await function(1, 2)

    return calls


def cost(work: Work) -> int:
    """Nanoseconds of this thread's CPU."""

    async def measured() -> int:
        began = thread_time_ns()
        await work()
        return thread_time_ns() - began

    return asyncio.run(measured())


def peak_mb(work: Work) -> float:
    """Megabytes that *work* holds at its peak, its result included."""
    tracemalloc.start()
    asyncio.run(work())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6


async def nothing(item: int) -> None:
    """Return what takes no memory."""


def memory() -> dict[str, float]:
    results_mb = peak_mb(_a_list)
    in_all = peak_mb(lambda: process_concurrently(nothing, range(MANY), max_concurrency=AT_ONCE))
    return {
        "MB beyond the results, process_concurrently over a million items": in_all - results_mb,
        "MB in all, stream_concurrently over a million items": peak_mb(lambda: streamed(nothing, range(MANY))),
    }


async def _a_list() -> None:
    results: list[None] = []
    for _ in range(MANY):
        results.append(None)  # noqa: PERF401 -- grows as a list of results does


def main() -> int:
    """Measure, print a table, and return 1 where a promise is broken."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    table = comparisons()
    ratios: dict[str, list[float]] = {name: [] for name in table}
    for number in range(rounds + 1):
        for name, (ours, others) in table.items():
            ratio = cost(ours) / cost(others)
            if number:  # the first round warms up
                ratios[name].append(ratio)
    print(f"Python {sys.version.split()[0]}, {rounds} rounds\n")
    measured = {name: median(found) for name, found in ratios.items()} | memory()
    return int(not kept(measured, PROMISED))


if __name__ == "__main__":
    sys.exit(main())
