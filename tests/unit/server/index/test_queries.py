"""What readers ask of a SQLite file, and what they may not ask."""

from __future__ import annotations

import pytest

from honeyhive.server.admission.limits import Refusal
from honeyhive.server.index.queries import Cursor
from honeyhive.server.reading.filters import event_filters
from read_models import QueriesContract


class TestQueriesInSQLite(QueriesContract):
    pass


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"filters": {}},
        {"filters": [7]},
        {"filters": [{"field": "event_type", "operator": "is", "value": {}}]},
        {"filters": [{"field": "event_type"}] * 51},
        {"filters": [{"field": "duration", "operator": "is", "value": "long"}]},
        {"filters": [{"field": "start_time", "operator": "after", "value": "soon"}]},
        {"filters": [{"field": "end_time", "operator": "after", "value": "inf"}]},
        {"limit": 0},
        {"limit": 10_000_000},
        {"limit": "many"},
        {"page": 10**12},
        {"dateRange": {"$gte": "soon"}},
        {"dateRange": 7},
    ],
)
def test_filters_that_make_no_sense_are_refused(body: object) -> None:
    with pytest.raises(Refusal) as refused:
        event_filters(body)

    assert refused.value.status == 400


@pytest.mark.parametrize("text", ["", "-", "x-y", "\u0661-a", "9" * 30 + "-a", "1"])
def test_a_cursor_that_nobody_gave_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="cursor"):
        Cursor.parse(text)
