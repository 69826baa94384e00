"""What the helpers of `honeyhive.resilience` leave on the current span: one vocabulary, as data.

Attributes are sums over everything that happened while the span was the current one; events tell single occurrences,
at most `MOST_EVENTS` of them on one span. Helpers write these names, the backend's pages read them, and the reference
page is checked against both tables.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

__all__ = [
    "ATTRIBUTES",
    "CACHE_HITS",
    "CACHE_JOINED",
    "CACHE_MISSES",
    "CIRCUIT_CHANGED",
    "CIRCUIT_REFUSALS",
    "CIRCUIT_REFUSED",
    "EVENTS",
    "EVENTS_SEEN",
    "ITEMS_BATCHES",
    "ITEMS_DONE",
    "ITEMS_FAILED",
    "ITEMS_QUEUE_S",
    "ITEM_FAILED",
    "MOST_EVENTS",
    "POOL_ACQUIRED",
    "POOL_DISCARDED",
    "POOL_OPENED",
    "POOL_QUEUE_S",
    "PREFIX",
    "RETRY_ATTEMPTS",
    "RETRY_FAILED",
    "RETRY_WAIT_S",
    "TIMEOUT_EXPIRED",
    "TIMEOUT_EXPIRIES",
]

PREFIX: Final = "honeyhive.resilience."

MOST_EVENTS: Final = 32
"""Further occurrences on the same span are only counted, under `EVENTS_SEEN`."""

RETRY_ATTEMPTS: Final = PREFIX + "retry.attempts"
RETRY_WAIT_S: Final = PREFIX + "retry.wait_s"
TIMEOUT_EXPIRIES: Final = PREFIX + "timeout.expiries"
CACHE_HITS: Final = PREFIX + "cache.hits"
CACHE_MISSES: Final = PREFIX + "cache.misses"
CACHE_JOINED: Final = PREFIX + "cache.joined"
ITEMS_DONE: Final = PREFIX + "items.done"
ITEMS_FAILED: Final = PREFIX + "items.failed"
ITEMS_QUEUE_S: Final = PREFIX + "items.queue_s"
ITEMS_BATCHES: Final = PREFIX + "items.batches"
CIRCUIT_REFUSALS: Final = PREFIX + "circuit.refusals"
POOL_ACQUIRED: Final = PREFIX + "pool.acquired"
POOL_QUEUE_S: Final = PREFIX + "pool.queue_s"
POOL_OPENED: Final = PREFIX + "pool.opened"
EVENTS_SEEN: Final = PREFIX + "events"

RETRY_FAILED: Final = PREFIX + "retry.attempt_failed"
TIMEOUT_EXPIRED: Final = PREFIX + "timeout.expired"
ITEM_FAILED: Final = PREFIX + "items.item_failed"
CIRCUIT_CHANGED: Final = PREFIX + "circuit.changed"
CIRCUIT_REFUSED: Final = PREFIX + "circuit.refused"
POOL_DISCARDED: Final = PREFIX + "pool.discarded"

ATTRIBUTES: Final = MappingProxyType(
    {
        RETRY_ATTEMPTS: "tries of what has failed at least once, the first and the last included",
        RETRY_WAIT_S: "seconds that `retry` paused between tries",
        TIMEOUT_EXPIRIES: "operations that `timeout` cut off",
        CACHE_HITS: "results taken from a `cache`",
        CACHE_MISSES: "looks into a `cache` that found nothing",
        CACHE_JOINED: "of these, the ones that waited for somebody who was already computing it",
        ITEMS_DONE: "items worked off by `process_concurrently`, `process_in_threads` or `stream_concurrently`",
        ITEMS_FAILED: "items that raised an error, timeouts included",
        ITEMS_QUEUE_S: "seconds until the last item of `process_concurrently` or `process_in_threads` had its turn",
        ITEMS_BATCHES: "batches made by `buffered_stream`",
        CIRCUIT_REFUSALS: "calls that an open `CircuitBreaker` did not let through",
        POOL_ACQUIRED: "members handed out by a `ResourcePool`",
        POOL_QUEUE_S: "seconds waited for members of a `ResourcePool`",
        POOL_OPENED: "members that a `ResourcePool` had to open",
        EVENTS_SEEN: f"occurrences below; the first {MOST_EVENTS} are events on the span",
    }
)
"""Every attribute and what it counts."""

EVENTS: Final = MappingProxyType(
    {
        RETRY_FAILED: ("operation", "attempt", "wait_s", "reason"),
        TIMEOUT_EXPIRED: ("operation", "limit_s"),
        ITEM_FAILED: ("operation", "index", "reason"),
        CIRCUIT_CHANGED: ("circuit", "old_state", "new_state", "reason"),
        CIRCUIT_REFUSED: ("circuit", "retry_after_s"),
        POOL_DISCARDED: ("pool", "reason"),
    }
)
"""Every event and the attributes it may have; what is not known is left out."""
