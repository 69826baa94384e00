"""Points in time as a person writes them."""

from __future__ import annotations

from datetime import datetime

import click

__all__ = ["moment", "nanoseconds"]


def moment(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """Read a point in time; without a time zone it is one of this machine."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is not a time; write it as 2026-11-25T14:30 or 2026-11-25T14:30:00+01:00"
        ) from None


def nanoseconds(time: datetime) -> int:
    """Return *time* in nanoseconds since 1970."""
    return round(time.timestamp() * 1e6) * 1_000
