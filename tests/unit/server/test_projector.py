"""From the log to the read model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NoReturn

from honeyhive.events.following import Following
from honeyhive.events.log import DatedRecord
from honeyhive.events.steps import run
from honeyhive.journal import Position
from honeyhive.server.projector import ReadModel
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

    made = [record._replace(recorded_ns=time.time_ns()) for record in records([make_span(1)], [make_span(2)])]
    following = Following(_Source(made), ReadModel(index, fail))
    run(following.begin())

    assert run(following.advance()) == 2

    run(following.end())
    assert (len(table("spans")), table("dead_letters")) == (2, [])
    assert following.position == made[-1].position
