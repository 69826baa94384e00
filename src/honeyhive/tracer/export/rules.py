"""What an answer to an export request means, as one table, and how long to pause after it.

============================================ =============== ===============================================
answer                                       action          then
============================================ =============== ===============================================
2xx, OTLP or empty body                      ``DELIVERED``   partial success: the rejected spans are counted
2xx, some other document (a login page)      ``WAIT``        as for a refused key
network error, 408, 425, 429, 5xx            ``RETRY``       full jitter, 0.5 s doubling to 30 s, or Retry-After
400, 422                                     ``ISOLATE``     bisect until the poison span stands alone, drop it
413                                          ``SHRINK``      halve; a single span loses length
1xx, 3xx, every other 4xx                    ``WAIT``        keep; probe after 2, 4, 8 ... 60 s
============================================ =============== ===============================================

A REST record stands alone, and so does a request of logs: there is nothing to bisect or halve, and a 4xx beyond 401,
403, 407, 408, 425 and 429 is about its content or an endpoint that a backend does not have: ``ISOLATE``, which drops
it, so that no span waits behind it for ever.

Nothing in here sends, waits or counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from honeyhive.resilience.policy import RetryPolicy
from honeyhive.resilience.retry_after import retry_after_s

__all__ = ["Action", "Reply", "Verdict", "judge", "judge_status", "pause_s", "unanswered"]

_RETRIED = frozenset({408, 425, 429})
_POISONED = frozenset({400, 422})
_UNWELCOME = frozenset({401, 403, 407})
_OTLP_TYPES = frozenset({"", "application/x-protobuf", "application/protobuf", "application/json"})
_RETRIES = RetryPolicy(max_attempts=None, delay=0.5, backoff_factor=2.0, max_delay=30.0)
_PROBES = RetryPolicy(max_attempts=None, delay=2.0, backoff_factor=2.0, max_delay=60.0, jitter=0.0)


class Action(Enum):
    """What to do with the spans of a request."""

    DELIVERED = auto()
    RETRY = auto()
    WAIT = auto()
    """Keep the spans and probe now and then: only a person can mend this."""
    SHRINK = auto()
    ISOLATE = auto()


class Reply(Protocol):
    """An answer of a backend; header names are lower case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means for the spans of its request."""

    action: Action
    reason: str
    """For people: what was answered. Never holds a key or a payload."""
    retry_after_s: float | None = None
    """Seconds that the backend asked to wait."""
    rejected: int = 0
    """Spans that the backend took no part of, although it accepted the request."""


def judge(reply: Reply, *, now_ns: int, alone: bool = False) -> Verdict:
    """Decide what *reply* means.

    Args:
        reply: What came back.
        now_ns: The wall time, for dates in ``Retry-After``.
        alone: The request held no spans: a REST record, or logs.
    """
    action = judge_status(reply.status, alone=alone)
    reason = f"HTTP {reply.status}"
    if action is not Action.DELIVERED:
        return Verdict(action, reason, retry_after_s(reply.headers.get("retry-after"), now_ns=now_ns))
    content_type = _content_type(reply.headers)
    if reply.body and content_type not in _OTLP_TYPES:
        return Verdict(Action.WAIT, f"{reason} with a document of type {content_type[:60]!r}, not an OTLP answer")
    return Verdict(action, reason, rejected=_rejected_spans(reply.body, content_type))


def judge_status(status: int, *, alone: bool = False) -> Action:
    """Return the action that the table gives for *status*."""
    if 200 <= status < 300:
        return Action.DELIVERED
    if status in _RETRIED or status >= 500:
        return Action.RETRY
    if status in _POISONED or (alone and status >= 400 and status not in _UNWELCOME):
        return Action.ISOLATE
    return Action.SHRINK if status == 413 else Action.WAIT


def unanswered(error: Exception) -> Verdict:
    """Decide what a request without an answer means: the network may be better next time."""
    return Verdict(Action.RETRY, str(error)[:200] or type(error).__name__)


def pause_s(verdict: Verdict, failures: int, random: Callable[[], float]) -> float:
    """Return the seconds to wait after the *failures*-th failure in a row, the first being 1.

    A retry waits a random part of ``0.5 * 2**(failures - 1)``, at most 30 (full jitter); a probe exactly
    ``2 * 2**(failures - 1)``, at most 60; and never less than the backend asked for.

    Args:
        random: Draws a number from 0 up to 1.
    """
    policy = _PROBES if verdict.action is Action.WAIT else _RETRIES
    pause = policy.pause(failures, lambda: 1.0 - random())
    if verdict.retry_after_s is None:
        return pause
    # A little later than asked, so that many processes do not come back in the same moment.
    return max(pause, verdict.retry_after_s * (1 + 0.1 * random()))


def _content_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _rejected_spans(body: bytes, content_type: str) -> int:
    """Read ``partial_success.rejected_spans``; a body that cannot be read rejects nothing."""
    if not body:
        return 0
    from honeyhive.tracer.export.payload import rejected_spans

    return rejected_spans(body, json_body=content_type == "application/json")
