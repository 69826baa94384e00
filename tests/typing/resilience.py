"""What a type checker knows of the helpers of `honeyhive.resilience`. Checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import assert_type

from honeyhive.resilience import CircuitBreaker, retry, timeout


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
