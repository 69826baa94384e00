"""Cron expressions as values: which seconds they mean, and which comes next.

Five fields as everywhere, and a sixth for seconds at the end::

    minute  hour  day-of-month  month  day-of-week  [second]
      */15   9-17       *         *       mon-fri         0

A field is ``*``, a number, a name (``jan``, ``mon``), a range ``a-b``, any of these with a step ``/n``, or several
with commas. Sunday is 0 or 7. If both days are restricted, either of them suffices, as in every cron since Vixie's.
``@hourly``, ``@daily`` or ``@midnight``, ``@weekly``, ``@monthly``, ``@yearly`` or ``@annually`` say what they mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

__all__ = ["Cron"]

# fmt: off
_NAMES: Final = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    "sun", "mon", "tue", "wed", "thu", "fri", "sat",
)
# fmt: on
_MONTHS: Final = dict(zip(_NAMES[:12], range(1, 13), strict=True))
_WEEKDAYS: Final = dict(zip(_NAMES[12:], range(7), strict=True))
_NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LOOK_AHEAD_YEARS: Final = 9
"""29 February comes at most eight years after the last, across a turn of the century that has none."""


@dataclass(frozen=True, slots=True)
class _Field:
    """One place of an expression: its name, its range, the words it understands."""

    name: str
    lowest: int
    highest: int
    words: dict[str, int] = field(default_factory=dict)

    def parse(self, text: str) -> frozenset[int]:
        """Return the values that *text* allows."""
        return frozenset(value for part in text.split(",") for value in self._values(part))

    def _values(self, part: str) -> range:
        span, slash, step_text = part.partition("/")
        step = self._number(step_text) if slash else 1
        if step < 1:
            raise ValueError(f"the step of {self.name} must be at least 1, not {step_text!r}")
        if span == "*":
            return range(self.lowest, self.highest + 1, step)
        first_text, dash, last_text = span.partition("-")
        first = self._inside(first_text)
        last = self._inside(last_text) if dash else self.highest if slash else first
        if last < first:
            raise ValueError(f"the range {span!r} of {self.name} runs backwards")
        return range(first, last + 1, step)

    def _inside(self, text: str) -> int:
        value = self._number(text)
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{self.name} must be between {self.lowest} and {self.highest}, not {text!r}")
        return value

    def _number(self, text: str) -> int:
        if text.lower() in self.words:
            return self.words[text.lower()]
        if not (text.isascii() and text.isdigit()):
            raise ValueError(f"{self.name} does not understand {text!r}")
        return int(text)


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _WEEKDAYS),
    _Field("second", 0, 59),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """The moments an expression means, in one time zone.

    A local time that a change of the clock leaps over does not exist, and is no tick. One that comes twice is a tick
    once, unless the expression runs every hour: then nothing is left out. In UTC, the default, neither happens.

    Args:
        expression: Five or six fields; the sixth is seconds. Or a name such as ``@daily``.
        zone: Where its hours are told.

    Raises:
        ValueError: The expression is not one, or never comes true; the message names the field.
    """

    expression: str
    zone: tzinfo = UTC
    _allowed: tuple[frozenset[int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", tuple(self._parse()))
        if next(self._dates(datetime(2024, 1, 1, tzinfo=UTC)), None) is None:
            raise ValueError(f"cron expression {self.expression!r} never comes true: no such day")

    def matches(self, moment: datetime) -> bool:
        """Whether *moment*, which must have a time zone, is a tick to the second."""
        minutes, hours, *_, seconds = self._allowed
        local = moment.astimezone(self.zone)
        told_once = local.fold == 0 or len(hours) == 24
        return (
            told_once
            and local.second in seconds
            and local.minute in minutes
            and local.hour in hours
            and self._is_day(local)
        )

    def next_after(self, moment: datetime) -> datetime:
        """Return the first tick after *moment*, in UTC; *moment* must have a time zone."""
        start = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        return next(tick for day in self._dates(start) for tick in self._ticks_of(day, start))

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the ticks after *after*, up to and including *until*, in UTC."""
        tick = self.next_after(after)
        while tick <= until:
            yield tick
            tick = self.next_after(tick)

    def _parse(self) -> Iterator[frozenset[int]]:
        texts = self._texts()
        if len(texts) == 1 and texts[0].startswith("@"):
            raise ValueError(f"cron expression {self.expression!r} is none of {', '.join(_NICKNAMES)}")
        if len(texts) not in {5, 6}:
            raise ValueError(
                f"cron expression {self.expression!r} has {len(texts)} fields; "
                "give five (minute hour day month weekday) or six (seconds last)"
            )
        for place, text in zip(_FIELDS, [*texts, "0"], strict=False):
            try:
                yield place.parse(text)
            except ValueError as error:
                raise ValueError(f"cron expression {self.expression!r}: {error}") from error

    def _texts(self) -> list[str]:
        return _NICKNAMES.get(self.expression, self.expression).split()

    def _is_day(self, local: datetime) -> bool:
        _, _, days, months, weekdays, _ = self._allowed
        if local.month not in months:
            return False
        by_date = local.day in days
        by_week = local.isoweekday() % 7 in weekdays or (local.isoweekday() == 7 and 7 in weekdays)
        _, _, date_text, _, week_text, *_ = self._texts()
        if date_text.startswith("*") or week_text.startswith("*"):
            return by_date and by_week
        return by_date or by_week

    def _dates(self, start: datetime) -> Iterator[datetime]:
        """Yield midnight of the local days, from that of *start* on, that have ticks."""
        day = start.astimezone(self.zone).replace(hour=0, minute=0, second=0, tzinfo=None, fold=0)
        for _ in range(_LOOK_AHEAD_YEARS * 366):
            if self._is_day(day):
                yield day
            day += timedelta(days=1)

    def _ticks_of(self, day: datetime, start: datetime) -> Iterator[datetime]:
        """Yield the ticks of the local *day* that are not before *start*, in order."""
        minutes, hours, *_, seconds = self._allowed
        for hour in _hours(day, self.zone):
            if hour + timedelta(hours=1) <= start or not self._may_hold(hour, hours):
                continue
            for tick in _grid(hour, start, minutes, seconds, self.zone):
                if self.matches(tick) and tick.astimezone(self.zone).date() == day.date():
                    yield tick

    def _may_hold(self, hour: datetime, hours: frozenset[int]) -> bool:
        ends = (hour, hour + timedelta(minutes=59, seconds=59))
        return any(end.astimezone(self.zone).hour in hours for end in ends)


def _hours(day: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Yield the hours of UTC that the local *day* touches: 24, and those that a change of the clock adds."""
    first = day.replace(tzinfo=zone).astimezone(UTC).replace(minute=0, second=0) - timedelta(hours=1)
    yield from (first + timedelta(hours=at) for at in range(28))


def _grid(
    hour: datetime, start: datetime, minutes: frozenset[int], seconds: frozenset[int], zone: tzinfo
) -> Iterator[datetime]:
    """Yield the moments within *hour*, in UTC, not before *start*, whose local minute and second are among those given."""
    offset = hour.astimezone(zone).utcoffset() or timedelta()
    offset_at_end = (hour + timedelta(minutes=59, seconds=59)).astimezone(zone).utcoffset()
    shift_min, shift_s = divmod(int(offset.total_seconds()) % 3600, 60)
    begin_s = max(0, int((start - hour).total_seconds()))
    if shift_s or offset != offset_at_end:
        yield from (hour + timedelta(seconds=at) for at in range(begin_s, 3600))
        return
    first_min, first_s = divmod(begin_s, 60)
    for minute in sorted((local - shift_min) % 60 for local in minutes):
        if minute >= first_min:
            earliest_s = first_s if minute == first_min else 0
            yield from (
                hour + timedelta(minutes=minute, seconds=second) for second in sorted(seconds) if second >= earliest_s
            )
