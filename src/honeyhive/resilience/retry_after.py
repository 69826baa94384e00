"""How long a failing service asks to be left alone: the ``Retry-After`` header, and errors that carry it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from honeyhive.utils.clock import Clock
from honeyhive.utils.guard import guard

__all__ = ["LONGEST_RETRY_AFTER_S", "asked_wait_s", "retry_after_s"]

LONGEST_RETRY_AFTER_S = 300.0
"""Whoever asks for more is asked again after this time all the same."""


def retry_after_s(value: str | None, *, now_ns: int) -> float | None:
    """Read a ``Retry-After`` header, seconds or HTTP date, as seconds from 0 to 300; ``None`` for what is neither.

    Args:
        value: The header.
        now_ns: The wall time in nanoseconds since 1970, for dates.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _bounded(_seconds_until(value.strip(), now_ns))
    return _bounded(seconds)


def asked_wait_s(error: Exception, clock: Clock) -> float:
    """Return the seconds, from 0 to 300, that *error* asks to wait; zero if it does not ask.

    It may say so itself, with ``retry_after_s`` as our own errors do or ``retry_after`` as many clients' errors do, or
    carry an answer whose headers say it: ``error.response.headers`` (httpx, requests) or ``error.headers`` (aiohttp).
    """
    asked: float | None = None
    with guard("read Retry-After"):
        asked = _told(error) or _in_headers(error, clock)
    return asked or 0.0


def _told(error: Exception) -> float | None:
    for name in ("retry_after_s", "retry_after"):
        told = getattr(error, name, None)
        if isinstance(told, int | float):
            return _bounded(float(told))
    return None


def _in_headers(error: Exception, clock: Clock) -> float | None:
    headers = getattr(getattr(error, "response", error), "headers", None)
    if not isinstance(headers, Mapping):
        return None
    value = headers.get("retry-after") or headers.get("Retry-After")
    return retry_after_s(value, now_ns=clock.time_ns()) if isinstance(value, str) else None


def _bounded(seconds: float | None) -> float | None:
    if seconds is None or math.isnan(seconds):
        return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER_S)


def _seconds_until(value: str, now_ns: int) -> float | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, IndexError, TypeError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return (date - datetime.fromtimestamp(now_ns / 1e9, UTC)).total_seconds()
