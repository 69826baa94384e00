"""By age everything older goes, by size the oldest goes until the rest fits; and what cannot be held is refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from honeyhive.exceptions import ConfigurationError, JournalFullError
from honeyhive.journal import Position
from honeyhive.server.retention.forgetting import JournalForgetter
from honeyhive.server.retention.keeping import Retention
from honeyhive.server.stores import SQLiteDatabase
from kept_data import Kept

HOUR = 3_600.0
EMPTY = SQLiteDatabase.least_bytes


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path, segment_bytes=20_000, rows=200)
    yield kept
    kept.close()


def by_age(kept: Kept, keep_s: float) -> Retention:
    return Retention(kept.forgetter, keep_s=keep_s, clock=kept.clock)


def by_size(kept: Kept, keep_bytes: int) -> Retention:
    return Retention(kept.forgetter, keep_bytes=EMPTY + keep_bytes, clock=kept.clock)


def size_of(kept: Kept) -> int:
    return kept.forgetter.size().total_bytes - EMPTY


def fill(kept: Kept, start: int, count: int) -> None:
    for number in range(start, start + count):
        kept.span(f"{number:06d}", trace=number + 1)
    kept.project()


def test_by_default_everything_is_kept(kept: Kept) -> None:
    retention = Retention(kept.forgetter, clock=kept.clock)
    kept.span("old")
    kept.project()
    kept.clock.advance(1e9)

    retention.sweep()

    assert kept.names() == {"old"}
    assert not retention.has_bounds


def test_what_is_older_goes_and_what_is_younger_stays(kept: Kept) -> None:
    retention = by_age(kept, HOUR)
    kept.span("old")
    kept.clock.advance(HOUR / 2)
    kept.span("young")
    kept.project()

    retention.sweep()
    assert kept.names() == {"old", "young"}
    kept.clock.advance(HOUR / 2)
    retention.sweep()

    assert kept.names() == {"young"}


def test_a_quiet_backend_gives_back_what_is_old_soon(kept: Kept) -> None:
    """One span an hour fills no segment for months; still no file keeps a span much longer than the rule says."""
    retention = by_age(kept, 24 * HOUR)
    for number in range(100):
        kept.span(f"{number:06d}")
        kept.clock.advance(HOUR)
        kept.project()
        retention.sweep()

    assert kept.names() == {f"{number:06d}" for number in range(77, 100)}
    files = b"".join(path.read_bytes() for path in (kept.data / "journal").glob("*.seg"))
    assert b"000072" not in files
    assert len(kept.journal.extents()) < 12


def test_marks_are_rare_however_often_one_looks(kept: Kept) -> None:
    retention = by_age(kept, HOUR)
    fill(kept, 0, 100)
    kept.clock.advance(HOUR - 100)
    before = kept.journal.size_bytes

    for _ in range(100):
        kept.clock.advance(1)
        retention.sweep()

    assert kept.journal.size_bytes - before < 500


def test_the_oldest_goes_until_the_rest_fits(kept: Kept) -> None:
    retention = by_size(kept, 500_000)
    fill(kept, 0, 1_500)
    assert size_of(kept) > 700_000

    retention.sweep()

    assert size_of(kept) <= 500_000
    names = sorted(kept.names())
    assert names == [f"{number:06d}" for number in range(int(names[0]), 1_500)]
    assert size_of(kept) > 350_000


def test_a_bound_is_held_while_more_comes_in(kept: Kept) -> None:
    retention = by_size(kept, 500_000)

    for round_ in range(40):
        fill(kept, round_ * 100, 100)
        retention.sweep()
        assert size_of(kept) <= 500_000

    names = sorted(kept.names())
    assert names == [f"{number:06d}" for number in range(int(names[0]), 4_000)]
    assert kept.tables_made_anew() == kept.tables()


def test_no_more_goes_than_must(kept: Kept) -> None:
    retention = by_size(kept, 2_000_000)
    fill(kept, 0, 1_000)
    last = kept.journal.last

    retention.sweep()

    assert len(kept.names()) == 1_000
    assert kept.journal.last == last


@pytest.mark.parametrize("keep_s", [0, -1, float("nan"), float("inf")])
def test_a_time_in_which_nothing_can_be_kept_is_refused(kept: Kept, keep_s: float) -> None:
    with pytest.raises(ConfigurationError, match="Give more than 0, or nothing to keep it for ever"):
        by_age(kept, keep_s)


@pytest.mark.parametrize("keep_bytes", [0, -1, 19_999, 80_000 + EMPTY - 1])
def test_a_size_that_no_file_fits_in_is_refused(kept: Kept, keep_bytes: int) -> None:
    with pytest.raises(ConfigurationError, match=f"Give {80_000 + EMPTY:,} or more, or nothing to keep everything"):
        Retention(kept.forgetter, keep_bytes=keep_bytes)
    Retention(kept.forgetter, keep_bytes=80_000 + EMPTY)


def test_what_is_dated_in_the_future_is_kept_and_said_once(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    """A clock that was wrong for a while does not take what came after it with it."""
    retention = by_size(kept, 300_000)
    now_ns = kept.clock.time_ns()
    kept.clock.advance(1e6)
    fill(kept, 0, 1_000)
    kept.journal.begin_afresh()
    kept.clock.set_time(now_ns)

    with caplog.at_level(logging.WARNING, "honeyhive.server"):
        retention.sweep()
        retention.sweep()

    assert len(kept.names()) == 1_000
    assert [record.message for record in caplog.records if "none of it is old enough" in record.message]
    assert len(caplog.records) == 1


def test_a_full_disk_ends_the_sweep_and_not_the_backend(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    kept.span("old")
    kept.project()
    kept.clock.advance(2 * HOUR)
    refuses = True

    def append(kind: int, payload: bytes, items: int = 1) -> Position:
        if refuses:
            raise JournalFullError("no space left")
        return kept.log.append(kind, payload, items)  # type: ignore[arg-type] # as given

    forgetter = JournalForgetter(kept.journal, append, kept.database, settle=kept.settle)
    retention = Retention(forgetter, keep_s=HOUR, clock=kept.clock)

    retention.sweep()
    assert kept.names() == {"old"}
    assert "could not be forgotten now: no space left" in caplog.text
    refuses = False
    retention.sweep()

    assert kept.names() == set()


def test_a_projection_that_is_behind_is_waited_for_the_next_time(kept: Kept) -> None:
    kept.span("old")
    kept.project()
    kept.clock.advance(2 * HOUR)

    def too_slow(_: Position) -> NoReturn:
        raise TimeoutError

    slow = JournalForgetter(kept.journal, kept.log.append, kept.database, settle=too_slow)

    Retention(slow, keep_s=HOUR, clock=kept.clock).sweep()
    assert kept.names() == {"old"}
    by_age(kept, HOUR).sweep()

    assert kept.names() == set()
