"""The interceptor that lets only so many executions begin in a time."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import anyio

from honeyhive.exceptions import RefusedError
from honeyhive.runtime.execution import Execution
from honeyhive.runtime.interceptors import NOTHING
from honeyhive.utils import Clock, SystemClock

__all__ = ["RateLimit"]


def _one_for_all(_: Execution) -> str:
    return ""


@dataclass(slots=True)
class _Bucket:
    """Tokens that come back with time; it may owe some."""

    tokens: float
    at_s: float


class RateLimit:
    """Lets *rate* executions a second begin in this process, and *burst* at once.

    A request beyond that is refused with 429 and told when to come back. A message or a tick waits for its turn: it must
    not be lost, and its redelivery would only add to the load.

    Args:
        rate: Executions a second.
        burst: How many may begin at once after a quiet time; *rate* by default, at least one.
        key: Names whose share an execution takes: ``lambda execution: execution.carrier.get("x-api-key", "")``.
        max_keys: How many keys are told apart; of more the one that was quiet longest is forgotten.
        clock: Measures the time.

    Raises:
        ValueError: *rate* or *burst* is not positive.
    """

    def __init__(
        self,
        rate: float,
        *,
        burst: int | None = None,
        key: Callable[[Execution], str] = _one_for_all,
        max_keys: int = 10_000,
        clock: Clock | None = None,
    ) -> None:
        if rate <= 0 or (burst is not None and burst < 1):
            raise ValueError(f"RateLimit needs a positive rate and burst, not {rate!r} and {burst!r}")
        self._rate = rate
        self._burst = burst or max(1, math.ceil(rate))
        self._key = key
        self._max_keys = max_keys
        self._clock = clock or SystemClock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def intercept(self, execution: Execution) -> AbstractAsyncContextManager[object]:
        """Let *execution* begin, at once or in its turn.

        Raises:
            RefusedError: It is a request or a connection, and too many came before it.
        """
        bucket = self._filled(self._key(execution))
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return NOTHING
        wait_s = (1 - bucket.tokens) / self._rate
        if execution.kind in {"http", "websocket"}:
            raise RefusedError(f"too many requests; try again in {wait_s:.1f} s", retry_after_s=wait_s)
        bucket.tokens -= 1
        return _waited(wait_s)

    def _filled(self, key: str) -> _Bucket:
        now_s = self._clock.monotonic()
        bucket = self._buckets.get(key)
        if bucket is None:
            return self._new(key, now_s)
        self._buckets.move_to_end(key)
        tokens = bucket.tokens + (now_s - bucket.at_s) * self._rate
        bucket.tokens = tokens if tokens < self._burst else self._burst  # noqa: FURB136 -- a call would be dearer
        bucket.at_s = now_s
        return bucket

    def _new(self, key: str, now_s: float) -> _Bucket:
        bucket = self._buckets[key] = _Bucket(self._burst, now_s)
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)
        return bucket


@asynccontextmanager
async def _waited(wait_s: float) -> AsyncGenerator[None]:
    await anyio.sleep(wait_s)
    yield
