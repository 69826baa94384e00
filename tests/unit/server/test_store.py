"""The read model says what the journal says, whatever the order, and however often it is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from honeyhive.events.following import Overtaken
from honeyhive.events.log import DatedRecord
from honeyhive.journal import MemoryJournal
from honeyhive.models.wire import RecordKind
from honeyhive.server.projector import changes_of, make_projector
from honeyhive.server.queries import Listing, Queries
from honeyhive.server.store import Store

TRACE = f"{7:032x}"

MakeSpan = Callable[..., Span]
MakeRecords = Callable[..., list[DatedRecord]]
Project = Callable[[list[DatedRecord]], None]


def contents(index: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(index)) as connection:
        tables = ("spans", "traces", "sessions", "amendments", "session_starts", "dead_letters", "projected")
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}  # noqa: S608


def test_the_same_records_twice_are_the_same_as_once(
    records: MakeRecords, make_span: MakeSpan, project: Project, index: Path
) -> None:
    made = records(
        [make_span(1, attributes={"session.id": "s"}), make_span(2, parent_id=1)],
        ("POST", "/session/start", {"session": {"session_id": "s", "session_name": "n"}}),
        ("POST", "/events", {"event": {"event_id": "e", "session_id": "s"}}),
        ("PUT", "/events", {"event_id": "e", "metrics": {"m": 1}}),
    )

    project(made)
    once = contents(index)
    project(made)

    assert contents(index) == once


def test_the_last_writer_of_a_span_wins(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    project(records([make_span(1, name="early", attributes={"session.id": "a"})]))
    project(records([make_span(1, name="late", attributes={"session.id": "b"})]))

    [trace] = queries.traces(Listing()).items
    assert (trace["name"], trace["spans"]) == ("late", 1)
    assert [session["session_id"] for session in queries.sessions(Listing()).items] == ["b"]


def test_the_same_span_id_in_two_traces_is_two_spans(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    project(records([make_span(1, trace_id=7), make_span(1, trace_id=8)]))

    assert [trace["spans"] for trace in queries.traces(Listing()).items] == [1, 1]


@pytest.mark.parametrize("update_first", [True, False])
def test_an_update_applies_whether_it_comes_before_or_after_its_event(
    records: MakeRecords, project: Project, queries: Queries, update_first: bool
) -> None:
    event = ("POST", "/events", {"event": {"event_id": "e", "session_id": "s", "metadata": {"a": 1, "b": 1}}})
    update = ("PUT", "/events", {"event_id": "e", "metadata": {"b": 2, "prompt_tokens": 5}, "duration": 250})

    project(records(*([update, event] if update_first else [event, update])))

    found = queries.event("e")
    assert found is not None
    assert found["metadata"] == {
        "a": 1,
        "b": 2,
        "prompt_tokens": 5,
        "total_tokens": 5,
        "trace_id": "s",
        "span_id": "e",
    }
    assert found["duration"] == 250.0


def test_an_update_survives_a_repetition_of_its_event(records: MakeRecords, project: Project, queries: Queries) -> None:
    event = ("POST", "/events", {"event": {"event_id": "e", "session_id": "s"}})

    project(records(event, ("PUT", "/events", {"event_id": "e", "feedback": {"stars": 5}}), event))

    found = queries.event("e")
    assert found is not None
    assert found["feedback"] == {"stars": 5}


def test_a_session_can_be_updated_before_anything_else_is_known_of_it(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    project(records(("PUT", "/events", {"event_id": "s", "user_properties": {"plan": "pro"}})))
    project(records([make_span(1, attributes={"honeyhive.session_id": "s"})]))

    found = queries.event("s")
    assert found is not None
    assert (found["event_type"], found["user_properties"]) == ("session", {"plan": "pro"})


def test_an_event_that_comes_again_in_another_session_moves(
    records: MakeRecords, project: Project, queries: Queries
) -> None:
    for session_id in ("a", "b"):
        project(records(("POST", "/events", {"event": {"event_id": "e", "session_id": session_id}})))

    assert [trace["trace_id"] for trace in queries.traces(Listing()).items] == ["b"]
    assert [session["session_id"] for session in queries.sessions(Listing()).items] == ["b"]


def test_figures_of_model_calls_are_added_up(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    used = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 3}
    project(
        records([make_span(1), make_span(2, parent_id=1, attributes=used), make_span(3, parent_id=1, attributes=used)])
    )

    trace = queries.trace(TRACE)
    assert trace is not None
    assert (trace["tokens_in"], trace["tokens_out"]) == (20, 6)


def test_times_that_no_database_can_hold_are_clamped(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    project(records([make_span(1, start_ns=2**64 - 1, end_ns=0)]))

    trace = queries.trace(TRACE)
    assert trace is not None
    assert (trace["start_ns"], trace["end_ns"]) == (2**63 - 1, 2**63 - 1)


@pytest.mark.parametrize("skew_ns", [-86_400 * 10**9, 86_400 * 10**9], ids=["a day behind", "a day ahead"])
def test_spans_of_a_machine_whose_clock_is_wrong_are_shown_with_its_own_times(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries, skew_ns: int
) -> None:
    now_ns = 1_800_000_000 * 10**9
    child = {"parent_id": 1, "start_ns": now_ns + 1, "end_ns": now_ns + 2}
    project(
        records(
            [make_span(1, start_ns=now_ns + skew_ns, end_ns=now_ns + skew_ns + 5)], [make_span(2, name="ours", **child)]
        )
    )

    trace = queries.trace(TRACE)

    assert trace is not None
    assert now_ns + min(0, skew_ns) <= trace["start_ns"]
    assert trace["end_ns"] <= now_ns + max(5, skew_ns + 5)
    assert 1 == len(queries.traces(Listing()).items)


def test_an_event_sent_for_a_span_stands_below_it(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    project(records([make_span(1, attributes={"honeyhive_event_id": "span-event"})]))
    project(
        records(("POST", "/events", {"event": {"event_id": "e", "parent_id": "span-event", "event_name": "below"}}))
    )

    trace = queries.trace(TRACE)
    assert trace is not None
    spans = trace["span_list"]
    assert isinstance(spans, list)
    assert [(span["name"], span["depth"]) for span in spans] == [("work", 0), ("below", 1)]


def test_a_damaged_file_is_put_aside_and_made_again(index: Path) -> None:
    Store(index).close()
    index.write_bytes(b"SQLite format 3\0" + b"rubbish" * 1_000)

    store = Store(index)

    assert store.position() is None
    assert [path.name.startswith("index.sqlite.damaged-") for path in index.parent.glob("*damaged*")] == [True]
    store.close()


def test_a_file_of_another_schema_is_made_again(index: Path) -> None:
    Store(index).close()
    with sqlite3.connect(index) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()

    store = Store(index)

    assert store.position() is None
    store.close()


def test_a_record_that_cannot_be_read_is_noted_and_passed_over(
    records: MakeRecords, make_span: MakeSpan, project: Project, index: Path, queries: Queries
) -> None:
    good, bad = records([make_span(1)], [make_span(2)])

    project([bad._replace(payload=b"\xff\xff"), good])

    assert len(contents(index)["dead_letters"]) == 1
    assert len(queries.traces(Listing()).items) == 1


def test_the_read_model_is_rebuilt_from_the_journal(
    index: Path, make_span: MakeSpan, request_with: Callable[..., Any]
) -> None:
    journal = MemoryJournal()
    for number in range(1, 4):
        payload = request_with(make_span(number)).SerializeToString()
        journal.append(RecordKind.SPANS, payload)
    _project_all(journal, index)
    before = contents(index)
    with sqlite3.connect(index) as connection:
        connection.execute("UPDATE spans SET name = 'spoilt'")
    connection.close()

    _project_all(journal, index, rebuild=True)

    assert contents(index) == before


def test_what_comes_from_a_record_carries_when_it_was_accepted(
    records: MakeRecords, make_span: MakeSpan, project: Project, index: Path
) -> None:
    made = records(
        [make_span(1)],
        ("POST", "/session/start", {"session": {"session_id": "s"}}),
        ("PUT", "/events", {"event_id": "s", "metadata": {"a": 1}}),
        ("POST", "/v1/client-reports", {"report_id": "r", "dropped": {"queue_full": 5}}),
    )
    undated = records([make_span(2)])[0]._replace(recorded_ns=None)

    project([*made, made[0]._replace(kind=99, recorded_ns=900), undated])

    with closing(sqlite3.connect(index)) as connection:
        found = [
            connection.execute(f"SELECT recorded_ns FROM {table} ORDER BY 1").fetchall()  # noqa: S608
            for table in ("spans", "session_starts", "amendments", "client_reports", "dead_letters")
        ]
    assert [[(0,), (100,)], [(200,)], [(300,)], [(400,)], [(900,)]] == found


def test_an_update_leaves_when_its_event_was_accepted(records: MakeRecords, project: Project, index: Path) -> None:
    event = ("POST", "/events", {"event": {"event_id": "e", "session_id": "s"}})

    project(records(event))
    project(records(("PUT", "/events", {"event_id": "e", "metrics": {"m": 1}})))

    with closing(sqlite3.connect(index)) as connection:
        assert [(100,)] == connection.execute("SELECT recorded_ns FROM spans").fetchall()


def test_a_new_file_can_give_back_what_is_deleted(store: Store, index: Path) -> None:
    assert store.position() is None
    with closing(sqlite3.connect(index)) as connection:
        assert (2,) == connection.execute("PRAGMA auto_vacuum").fetchone()


def test_of_several_versions_in_one_batch_the_last_one_counts_once(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    event = {"event_id": "e", "session_id": "a"}
    project(
        records(
            [make_span(1, name="early", attributes={"session.id": "a"})],
            ("POST", "/events", {"event": event}),
            [make_span(1, name="late", attributes={"session.id": "b"})],
            ("POST", "/events", {"event": {**event, "session_id": "b"}}),
        )
    )

    assert {"late", "unknown"} == {trace["name"] for trace in queries.traces(Listing()).items}
    assert [("b", 2)] == [(item["session_id"], item["spans"]) for item in queries.sessions(Listing()).items]


def test_a_position_that_somebody_else_has_moved_is_not_written_over(
    records: MakeRecords, make_span: MakeSpan, index: Path, queries: Queries
) -> None:
    first, second = records([make_span(1, name="first")], [make_span(1, name="second")])
    one, two = Store(index), Store(index)
    one.apply([(first.position, changes_of(first))])

    with pytest.raises(Overtaken):
        two.apply([(second.position, changes_of(second))])
    position = two.position()
    two.apply([(second.position, changes_of(second))])

    assert first.position == position
    assert ["second"] == [trace["name"] for trace in queries.traces(Listing()).items]
    one.close()
    two.close()


def test_counts_of_tokens_that_nobody_can_have_used_do_not_stop_the_others(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    def used(tokens: int) -> dict[str, str | int]:
        return {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": tokens}

    project(records([make_span(n, attributes=used(2**53 if n % 2 else 2**39)) for n in range(1, 2_101)]))

    trace = queries.trace(TRACE, with_details=False)
    assert trace is not None
    assert 1_050 * 2**39 == trace["tokens_in"]


def _project_all(journal: MemoryJournal, index: Path, *, rebuild: bool = False) -> None:
    failures: list[BaseException] = []
    projector = make_projector(journal, index, on_failure=failures.append, rebuild=rebuild)
    projector.start()
    projector.reached(journal.last).result(5)
    projector.stop()
    assert failures == []
