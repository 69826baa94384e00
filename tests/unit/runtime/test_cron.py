"""Cron expressions: which moments they mean, in any time zone, and what is no expression."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from honeyhive.runtime.cron import Cron

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.acceptance("J27")
def test_the_sixth_field_counts_seconds() -> None:
    ticks = list(Cron("* * * * * */5").between(START, START + timedelta(seconds=17)))

    assert [5, 10, 15] == [tick.second for tick in ticks]


@pytest.mark.parametrize(
    "expression, after, expected",
    [
        ("* * * * *", "2026-01-01T00:00:00", "2026-01-01T00:01:00"),
        ("*/15 9-17 * * mon-fri", "2026-01-02T17:45:00", "2026-01-05T09:00:00"),
        ("0 0 1 jan *", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("30 8 * * 7", "2026-01-01T00:00:00", "2026-01-04T08:30:00"),
        ("0 0 13 * fri", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
        ("5/20 * * * *", "2026-01-01T00:00:00", "2026-01-01T00:05:00"),
        ("0 12 * * * 30,45", "2026-01-01T12:00:30", "2026-01-01T12:00:45"),
        ("@hourly", "2026-01-01T00:00:00", "2026-01-01T01:00:00"),
        ("@midnight", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
        ("@weekly", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
        ("@monthly", "2026-01-01T00:00:00", "2026-02-01T00:00:00"),
        ("@annually", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_the_next_tick_is_the_first_that_matches(expression: str, after: str, expected: str) -> None:
    assert at(expected) == Cron(expression).next_after(at(after))


@pytest.mark.parametrize(
    "expression, words",
    [
        ("* * * *", "has 4 fields"),
        ("60 * * * *", "minute must be between 0 and 59"),
        ("* * * foo *", "month does not understand 'foo'"),
        ("*/0 * * * *", "step of minute must be at least 1"),
        ("* 5-3 * * *", "the range '5-3' of hour runs backwards"),
        ("* * * * * -1", "second does not understand ''"),
        ("0 0 31 2 *", "never comes true"),
        ("@reboot", "none of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_field(expression: str, words: str) -> None:
    with pytest.raises(ValueError, match="cron expression") as caught:
        Cron(expression)

    assert words in str(caught.value)


def test_a_time_that_comes_twice_is_one_tick() -> None:
    """In Berlin, 02:30 came twice on 25 October 2026."""
    nightly = Cron("30 2 * * *", ZoneInfo("Europe/Berlin"))

    ticks = list(nightly.between(at("2026-10-24T12:00:00"), at("2026-10-26T12:00:00")))

    assert [at("2026-10-25T00:30:00"), at("2026-10-26T01:30:00")] == ticks


def test_a_time_that_the_clock_leaps_over_is_no_tick() -> None:
    nightly = Cron("30 2 * * *", ZoneInfo("Europe/Berlin"))

    ticks = list(nightly.between(at("2026-03-28T12:00:00"), at("2026-03-30T12:00:00")))

    assert [at("2026-03-30T00:30:00")] == ticks


def test_what_runs_every_hour_leaves_out_no_hour_when_the_clock_is_put_back() -> None:
    hourly = Cron("0 * * * *", ZoneInfo("Europe/Berlin"))

    ticks = list(hourly.between(at("2026-10-24T22:30:00"), at("2026-10-25T03:30:00")))

    assert [at(f"2026-10-2{day}T{hour:02}:00:00") for day, hour in [(4, 23), (5, 0), (5, 1), (5, 2), (5, 3)]] == ticks


fields = st.sampled_from(["*", "*/7", "0", "3,17", "5-9", "10/25"])
hours = st.sampled_from(["*", "*/5", "2", "1-3", "23"])
zones = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/New_York"])
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001
changes = st.sampled_from(["2026-03-29T00:50:00", "2026-10-25T00:50:00", "2026-04-04T14:45:00", "2026-10-03T15:20:00"])


@settings(deadline=None)
@given(fields, hours, fields, zones, st.one_of(moments, changes.map(at)))
def test_no_moment_between_now_and_the_next_tick_matches(
    minute: str, hour: str, second: str, zone: str, moment: datetime
) -> None:
    """Law: looked at second by second, the next tick is the first."""
    cron = Cron(f"{minute} {hour} * * * {second}", ZoneInfo(zone))
    seconds = (moment.replace(microsecond=0) + timedelta(seconds=ahead) for ahead in range(1, 4000))
    first = next((each for each in seconds if cron.matches(each)), None)

    found = cron.next_after(moment)

    assert cron.matches(found)
    assert found > moment
    assert first is None or first == found
