"""What a type checker knows of the helpers of `honeyhive.resilience`. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import assert_type

from honeyhive.resilience import (
    Cached,
    CircuitBreaker,
    ResourcePool,
    buffered_stream,
    cache,
    process_concurrently,
    process_in_threads,
    retry,
    stream_concurrently,
    timeout,
)


async def load(path: str) -> int:
    return len(path)


def load_now(path: str) -> int:
    return len(path)


@timeout(seconds=2)
async def limited(path: str, *, depth: int = 1) -> int:
    return len(path) * depth


@timeout(2)
async def limited_too(path: str) -> int:
    return len(path)


@retry(max_attempts=3, backoff_factor=2.0, exceptions=(OSError,))
def retried(path: str) -> int:
    return len(path)


@retry(max_attempts=3)
async def retried_async(path: str) -> int:
    return len(path)


breaker = CircuitBreaker.named("typing", failure_threshold=3)


@breaker
async def guarded(path: str) -> int:
    return len(path)


@cache(ttl=300)
async def cached(path: str, *, depth: int = 1) -> int:
    return len(path) * depth


@cache
def cached_bare(path: str) -> int:
    return len(path)


class Service:
    @cache(ttl=lambda: 5.0, max_size=10)
    def ask(self, question: str) -> int:
        return len(question)

    @cache
    async def ask_later(self, question: str) -> int:
        return len(question)

    @retry(max_attempts=2)
    @timeout(seconds=2)
    @breaker
    async def ask_carefully(self, question: str) -> int:
        return len(question)


async def caches_keep_signatures() -> None:
    assert_type(await cached("x", depth=2), int)
    assert_type(cached_bare("x"), int)
    keeps: Cached[[str], int] = cached_bare
    assert_type(keeps("x"), int)
    assert_type(cached_bare.invalidate("x"), bool)
    assert_type(cached.info().hits, int)
    cached_bare(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cached_bare.invalidate(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def methods_stay_methods() -> None:
    service = Service()
    assert_type(service.ask("x"), int)
    assert_type(await service.ask_later("x"), int)
    assert_type(service.ask.invalidate("x"), bool)
    assert_type(await service.ask_carefully("x"), int)
    service.ask(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def timeouts_keep_signatures() -> None:
    assert_type(await timeout(load("x"), seconds=2), int)
    assert_type(await timeout(lambda: load("x"), seconds=2), int)
    assert_type(await limited("x", depth=2), int)
    assert_type(await limited_too("x"), int)
    await limited(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    timeout(seconds=2)(load_now)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


async def retry_keeps_signatures() -> None:
    assert_type(retried("x"), int)
    assert_type(await retried_async("x"), int)
    assert_type(await retry(lambda: load("x"), max_attempts=3, delay=1.0), int)
    assert_type(await retry(load("x"), max_attempts=3, delay=1.0), int)
    retried(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def breakers_keep_signatures() -> None:
    assert_type(await guarded("x"), int)
    assert_type(await breaker.call(lambda: load("x")), int)
    assert_type(await breaker.call(load("x")), int)
    CircuitBreaker.named("typing", limt=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def items_and_results_keep_their_types(paths: AsyncIterator[str]) -> None:
    assert_type(await process_concurrently(load, ["x"], max_concurrency=3, timeout_per_item=5.0), list[int])
    assert_type(await process_concurrently(load, paths, stop_on_error=False), list[int | Exception])
    assert_type(process_in_threads(load_now, ["x"]), list[int])
    assert_type(process_in_threads(load_now, ["x"], stop_on_error=False), list[int | Exception])
    async with stream_concurrently(load, paths, max_concurrency=3) as results:
        async for result in results:
            assert_type(result, int)
    async with stream_concurrently(load, paths, stop_on_error=False) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome, int | Exception)
    async for batch in buffered_stream(paths, buffer_size=3):
        assert_type(batch, list[str])
    async with buffered_stream(paths, buffer_size=3, max_wait=1.0) as batches:
        async for timed_batch in batches:
            assert_type(timed_batch, list[str])
    await process_concurrently(load, [3])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Connection:
    pass


async def connect() -> Connection:
    return Connection()


@asynccontextmanager
async def session() -> AsyncGenerator[Connection, None]:
    yield Connection()


async def pools_know_what_they_lend() -> None:
    async with ResourcePool(connect, max_size=5, min_size=1) as pool, pool.acquire() as connection:
        assert_type(connection, Connection)
    async with ResourcePool(session) as sessions, sessions.acquire(timeout=2) as opened:
        assert_type(opened, Connection)
    async with ResourcePool(Connection, check=lambda one: True) as plain, plain.acquire() as made:
        assert_type(made, Connection)
        plain.discard("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
