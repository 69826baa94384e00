"""Retry-After: seconds or a date, within bounds; what errors carry of it is tried in test_retry.py."""

from __future__ import annotations

import pytest

from honeyhive.resilience.retry_after import retry_after_s

NOON_NS = 1_800_000_000_000_000_000  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    "header, seconds",
    [
        ("3", 3.0),
        ("0", 0.0),
        (" 2.5 ", 2.5),
        ("-1", 0.0),
        ("1e9", 300.0),
        ("inf", 300.0),
        ("Fri, 15 Jan 2027 08:00:20 GMT", 20.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300.0),
        ("soon", None),
        ("nan", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_bounds(header, seconds):
    assert retry_after_s(header, now_ns=NOON_NS) == seconds
