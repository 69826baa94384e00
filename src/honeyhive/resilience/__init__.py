"""Standing failure: trying again, giving up in time, and knowing when to stop asking.

Names are looked up on first use: the tracer's exporter stands on the policy and the breaker and must not pay for
event loops and caches.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.resilience.breaker import CircuitBreaker, CircuitState
    from honeyhive.resilience.caching import Cached, CacheInfo, cache
    from honeyhive.resilience.concurrency import ConcurrentStream, process_concurrently, stream_concurrently
    from honeyhive.resilience.policy import Attempts, RetryPolicy
    from honeyhive.resilience.pools import PoolInfo, ResourcePool
    from honeyhive.resilience.retrying import retry
    from honeyhive.resilience.streams import BufferedStream, buffered_stream
    from honeyhive.resilience.threads import process_in_threads
    from honeyhive.resilience.timeouts import timeout

__all__ = [
    "Attempts",
    "BufferedStream",
    "CacheInfo",
    "Cached",
    "CircuitBreaker",
    "CircuitState",
    "ConcurrentStream",
    "PoolInfo",
    "ResourcePool",
    "RetryPolicy",
    "buffered_stream",
    "cache",
    "process_concurrently",
    "process_in_threads",
    "retry",
    "stream_concurrently",
    "timeout",
]

_HOMES = {
    "Attempts": "policy",
    "BufferedStream": "streams",
    "CacheInfo": "caching",
    "Cached": "caching",
    "CircuitBreaker": "breaker",
    "CircuitState": "breaker",
    "ConcurrentStream": "concurrency",
    "PoolInfo": "pools",
    "ResourcePool": "pools",
    "RetryPolicy": "policy",
    "buffered_stream": "streams",
    "cache": "caching",
    "process_concurrently": "concurrency",
    "process_in_threads": "threads",
    "retry": "retrying",
    "stream_concurrently": "concurrency",
    "timeout": "timeouts",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'honeyhive.resilience' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"honeyhive.resilience.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
