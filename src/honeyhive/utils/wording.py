"""Figures for people: durations, times, counts and money, as short as they can be said; nothing where nobody knows."""

from __future__ import annotations

from datetime import datetime
from typing import Final

__all__ = ["cost", "count", "counted", "duration", "moment", "tokens"]

_HOUR_S: Final = 3_600


def duration(nanoseconds: int) -> str:
    """Say how long: ``340 µs``, ``12.3 ms``, ``4.56 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if nanoseconds <= 0:
        return "0 ms"
    if nanoseconds < 999_500:
        return f"{nanoseconds / 1e3:.0f} µs"
    if nanoseconds < 999_500_000:
        return f"{nanoseconds / 1e6:.3g} ms"
    seconds = nanoseconds / 1e9
    if seconds < 59.995:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < _HOUR_S:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // _HOUR_S} h {whole % _HOUR_S // 60} min"


def moment(nanoseconds: int) -> str:
    """Say when, in this machine's time zone: ``2026-11-21 01:31:15``."""
    if nanoseconds <= 0:
        return ""
    try:
        return f"{datetime.fromtimestamp(nanoseconds // 1_000_000_000).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return "far in the future"


def count(number: int | None) -> str:
    """Say how many: ``1,234``."""
    return "" if number is None else f"{number:,}"


def counted(number: int, thing: str) -> str:
    """Say how many of what: ``1 span``, ``1,234 spans``."""
    return f"{number:,} {thing if number == 1 else f'{thing}s'}"


def tokens(tokens_in: int | None, tokens_out: int | None) -> str:
    """Say how many tokens went in and came out: ``120 → 33``; ``?`` for the side that nobody told."""
    if tokens_in is None and tokens_out is None:
        return ""
    return f"{count(tokens_in) or '?'} → {count(tokens_out) or '?'}"


def cost(dollars: float | None) -> str:
    """Say what it cost: ``$0.0123``."""
    if dollars is None:
        return ""
    return f"${dollars:,.2f}" if abs(dollars) >= 1 else f"${dollars:.4f}"
