"""A log of dated records: its segments tell when what is in them was taken in."""

from __future__ import annotations

from pathlib import Path

import pytest

from honeyhive.events.log import DatedSegment, DatedSegments, DurableLog
from honeyhive.journal import Journal, JournalReader
from honeyhive.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def write(journal: Journal, clock: ManualClock, *ages_s: int) -> list[int]:
    """Append a record of 100 bytes at each of *ages_s* after the start, and return the dates."""
    log, start_ns = DurableLog(journal, clock=clock), clock.time_ns()
    for age_s in ages_s:
        log.write(1, bytes(92), recorded_ns=start_ns + age_s * 10**9)
    return [start_ns + age_s * 10**9 for age_s in ages_s]


def test_segments_are_dated_by_their_first_and_last_record(tmp_path: Path, clock: ManualClock) -> None:
    with Journal(tmp_path, keep=True, segment_bytes=300) as journal:
        dates = write(journal, clock, 0, 10, 20)

        for segments in (DatedSegments(journal), DatedSegments(JournalReader(tmp_path))):
            assert segments.read() == [
                DatedSegment("0000000001", 248, sealed=True, oldest_ns=dates[0], newest_ns=dates[1]),
                DatedSegment("0000000002", 124, sealed=False, oldest_ns=dates[2], newest_ns=dates[2]),
            ]


def test_segments_are_followed_while_they_grow_and_go(tmp_path: Path, clock: ManualClock) -> None:
    with Journal(tmp_path, keep=True, segment_bytes=300) as journal:
        segments = DatedSegments(journal)
        dates = write(journal, clock, 0)
        assert [segment.newest_ns for segment in segments.read()] == dates

        dates += write(journal, clock, 10, 20)
        assert [segment.newest_ns for segment in segments.read()] == dates[1:]
        journal.forget(["0000000001"])

        assert [segment.oldest_ns for segment in segments.read()] == dates[2:]


def test_what_has_no_date_is_older_than_any(tmp_path: Path) -> None:
    with Journal(tmp_path, keep=True) as journal:
        journal.append(1, b"from before there were dates")
        journal.begin_afresh()

        assert [(segment.oldest_ns, segment.newest_ns) for segment in DatedSegments(journal).read()] == [(0, 0)]
