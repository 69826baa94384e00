"""Lists are paged and filtered, and what a request says never becomes SQL."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from honeyhive.events.log import DatedRecord
from honeyhive.server.filters import event_filters
from honeyhive.server.limits import Refusal
from honeyhive.server.queries import Cursor, Listing, Queries, nested_session

MakeSpan = Callable[..., Span]
MakeRecords = Callable[..., list[DatedRecord]]
Project = Callable[[list[DatedRecord]], None]

INJECTIONS = [
    "' OR '1'='1",
    "'; DROP TABLE spans; --",
    '" OR 1=1 --',
    "x' UNION SELECT * FROM sqlite_master --",
    "$.a' || (SELECT 1) || '",
    "%' ESCAPE '",
    "\0",
    "?1",
    ":trace",
]


def test_pages_hold_every_trace_once_newest_first(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    project(records([make_span(1, trace_id=n, start_ns=n // 2) for n in range(1, 24)]))

    seen: list[str] = []
    cursor: Cursor | None = None
    while True:
        page = queries.traces(Listing(limit=5, cursor=cursor))
        seen += [str(item["trace_id"]) for item in page.items]
        if page.next_cursor is None:
            break
        cursor = Cursor.parse(page.next_cursor)

    assert seen == [f"{n:032x}" for n in range(23, 0, -1)]


def test_a_trace_knows_the_name_of_its_session(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    project(
        records(
            ("POST", "/session/start", {"session": {"session_id": "s", "session_name": "tea", "start_time": 1}}),
            [make_span(1, trace_id=1, attributes={"honeyhive.session_id": "s"}), make_span(1, trace_id=2)],
        )
    )

    named, alone = queries.trace(f"{1:032x}"), queries.trace(f"{2:032x}")

    assert named is not None
    assert (named["session_id"], named["session_name"]) == ("s", "tea")
    assert alone is not None
    assert (alone["session_id"], alone["session_name"]) == (None, None)


def test_traces_are_filtered_by_project_session_and_errors(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    project(
        records(
            [
                make_span(1, trace_id=1, attributes={"honeyhive.project": "a", "honeyhive.session_id": "s"}),
                make_span(1, trace_id=2, attributes={"honeyhive.project": "a", "honeyhive_error": "boom"}),
                make_span(1, trace_id=3, attributes={"honeyhive.project": "b"}),
            ]
        )
    )

    def listed(**filters: object) -> list[int]:
        return [int(str(item["trace_id"]), 16) for item in queries.traces(Listing(**filters)).items]

    assert listed(project="a") == [2, 1]
    assert listed(session_id="s") == [1]
    assert listed(errors_only=True) == [2]


@pytest.mark.parametrize("text", INJECTIONS)
def test_no_text_of_a_request_becomes_sql(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries, text: str
) -> None:
    project(records([make_span(1, attributes={"honeyhive.project": "a"})]))

    assert queries.traces(Listing(project=text)).items == []
    assert queries.trace(text) is None
    for body in (
        {"project": text, "filters": []},
        {"filters": [{"field": "event_name", "operator": "contains", "value": text}]},
        {"filters": [{"field": "project", "operator": "is", "value": text}]},
    ):
        assert queries.events(event_filters(body)) == ([], 0)
    for unknown in ({"field": text, "value": 1}, {"field": "project", "operator": text, "value": 1}):
        with pytest.raises(Refusal):
            event_filters({"filters": [unknown]})
    if '"' not in text and "\0" not in text:
        assert queries.events(event_filters({"filters": [{"field": f"metadata.{text}", "value": "x"}]})) == ([], 0)
    assert len(queries.traces(Listing()).items) == 1


@pytest.mark.parametrize(
    "condition, found",
    [
        ({"field": "event_type", "operator": "is", "value": "model"}, ["m"]),
        ({"field": "event_type", "operator": "is not", "value": "model"}, ["t"]),
        ({"field": "event_name", "operator": "contains", "value": "NAM"}, ["m", "t"]),
        ({"field": "metrics.score", "operator": "greater than", "value": 0.5}, ["m"]),
        ({"field": "metrics.score", "operator": "exists"}, ["m"]),
        ({"field": "metrics.score", "operator": "not exists"}, ["t"]),
        ({"field": "metadata.deep.er", "operator": "is", "value": True}, ["t"]),
        ({"field": "metrics.score", "operator": "less than", "value": 0.5}, []),
        ({"field": "metrics.score", "operator": "less than", "value": "0.95"}, []),
        ({"field": "metrics.score", "operator": "is not", "value": 0.9}, ["t"]),
        ({"field": "metrics.score", "operator": "contains", "value": ".9"}, ["m"]),
        ({"field": "metadata.word", "operator": "is", "value": "Élan \0"}, ["m"]),
        ({"field": "metadata.word", "operator": "contains", "value": "lan"}, ["m"]),
        ({"field": "metadata.word", "operator": "not contains", "value": "lan"}, ["t"]),
        ({"field": "metadata.word", "operator": "greater than", "value": "A"}, ["m"]),
        ({"field": "metadata.word", "operator": "greater than", "value": 1}, []),
        ({"field": "metadata.nothing", "operator": "exists"}, []),
        ({"field": "error", "operator": "is not", "value": "x"}, ["m", "t"]),
        ({"field": "error", "operator": "not exists"}, ["m", "t"]),
        ({"field": "project", "operator": "is", "value": 7}, ["t"]),
        ({"field": "duration", "operator": "less than", "value": 20, "type": "number"}, ["m"]),
        ({"field": "duration", "operator": "greater than", "value": "20"}, ["t"]),
        ({"field": "duration", "operator": "contains", "value": 3}, ["t"]),
        ({"field": "start_time", "operator": "after", "value": "1970-01-01T00:00:04+00:00"}, ["t"]),
        ({"field": "start_time", "operator": "before", "value": "1970-01-01T00:00:04+00:00"}, ["m"]),
        ({"field": "end_time", "operator": "is", "value": 3010}, ["m"]),
    ],
)
def test_events_are_filtered_as_the_public_api_does(
    records: MakeRecords, project: Project, queries: Queries, condition: dict[str, object], found: list[str]
) -> None:
    model = {
        "event_id": "m",
        "event_type": "model",
        "event_name": "Name",
        "metadata": {"word": "Élan \0", "nothing": None},
        "metrics": {"score": 0.9},
        "start_time": 3_000,
        "duration": 10,
    }
    tool = {
        "event_id": "t",
        "event_type": "tool",
        "event_name": "name",
        "project": "7",
        "metadata": {"deep": {"er": True}},
        "start_time": 5_000,
        "duration": 30,
    }
    project(records(*(("POST", "/events", {"event": {"session_id": "s", **event}}) for event in (model, tool))))

    events, total = queries.events(event_filters({"filters": [condition]}))

    assert sorted(str(event["event_id"]) for event in events) == found
    assert total == len(found)


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


def test_a_session_deeper_than_readers_follow_is_cut_at_sixty_four_levels(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    project(records([make_span(n, parent_id=n - 1, start_ns=n, attributes={"session.id": "s"}) for n in range(1, 201)]))
    session = queries.session("s")
    assert session is not None

    layer, depths = [nested_session(session)], []
    while layer:
        depths.append(len(layer))
        layer = [child for node in layer for child in node["children"]]

    assert len(depths) == 65
    assert sum(depths) == 201
