"""From the log to the read model."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from honeyhive.events.following import Following
from honeyhive.events.log import DatedRecord
from honeyhive.events.steps import run
from honeyhive.journal import Position
from honeyhive.server.index.projector import ReadModel
from honeyhive.server.records.rows import Row
from honeyhive.testing import ManualClock
from read_models import MakeRecords, MakeSpan, Table


class _Source:
    def __init__(self, records: list[DatedRecord]) -> None:
        self._records = records

    def read(self, after: Position | None) -> list[DatedRecord]:
        return [record for record in self._records if after is None or record.position > after]


def test_records_are_not_to_blame_for_news_that_cannot_be_told(
    index: Path, records: MakeRecords, make_span: MakeSpan, table: Table
) -> None:
    """What is committed stays so, and is applied once."""

    def fail(_: object) -> NoReturn:
        raise RuntimeError("the event loop is closed")

    clock = ManualClock()
    made = [record._replace(recorded_ns=clock.time_ns()) for record in records([make_span(1)], [make_span(2)])]
    following = Following(_Source(made), ReadModel(index, fail, clock=clock))
    run(following.begin())

    assert run(following.advance()) == 2

    run(following.end())
    assert (len(table("spans")), table("dead_letters")) == (2, [])
    assert following.position == made[-1].position


def test_what_was_accepted_long_ago_is_no_news(index: Path, records: MakeRecords, make_span: MakeSpan) -> None:
    """An index that is made anew tells nobody of a year of spans."""
    clock = ManualClock()
    [old] = records([make_span(1, name="old")])
    old = old._replace(recorded_ns=clock.time_ns())
    clock.advance(3_600)
    [new] = records([make_span(2, name="new")])
    told: list[Row] = []
    following = Following(
        _Source([old, new._replace(recorded_ns=clock.time_ns())]), ReadModel(index, told.extend, clock=clock)
    )
    run(following.begin())

    run(following.advance())

    run(following.end())
    assert [row.name for row in told] == ["new"]
