"""What every read model must do, whatever database it is in: checks to inherit, and what they are made of.

Who inherits them provides the fixture `place`: an empty database.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from honeyhive.events.following import Overtaken
from honeyhive.events.log import DatedRecord
from honeyhive.journal import MemoryJournal, Position
from honeyhive.models.wire import RecordKind
from honeyhive.server import jsontext
from honeyhive.server.admission.limits import Limits, Refusal
from honeyhive.server.index.projector import changes_of, make_projector
from honeyhive.server.index.queries import Cursor, Listing, Queries, nested_session
from honeyhive.server.index.removal import needed, next_step
from honeyhive.server.index.store import Changes, Store
from honeyhive.server.reading.filters import event_filters
from honeyhive.server.records.events import Intake
from honeyhive.server.records.marks import Forgotten
from honeyhive.server.stores import Database, database_of

TRACE = f"{7:032x}"

MakeSpan = Callable[..., Span]
MakeRecords = Callable[..., list[DatedRecord]]
Project = Callable[[list[DatedRecord]], None]
Place = Database | Path
Table = Callable[..., list[tuple[object, ...]]]

INJECTIONS = [
    "' OR '1'='1",
    "'; DROP TABLE spans; --",
    '" OR 1=1 --',
    "x' UNION SELECT * FROM sqlite_master --",
    "$.a' || (SELECT 1) || '",
    "%' ESCAPE '",
    "\0",
    "?1",
    "$1",
    ":trace",
]


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
def make_span() -> Callable[..., Span]:
    """Make a protobuf span; ids are small numbers."""

    def make(
        span_id: int = 1,
        *,
        trace_id: int = 7,
        parent_id: int = 0,
        name: str = "work",
        start_ns: int = 1_000,
        end_ns: int = 2_000,
        attributes: Mapping[str, str | int] | None = None,
    ) -> Span:
        return Span(
            trace_id=trace_id.to_bytes(16, "big"),
            span_id=span_id.to_bytes(8, "big"),
            parent_span_id=parent_id.to_bytes(8, "big") if parent_id else b"",
            name=name,
            start_time_unix_nano=start_ns,
            end_time_unix_nano=end_ns,
            attributes=[
                KeyValue(
                    key=key, value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
                )
                for key, value in (attributes or {}).items()
            ],
        )

    return make


@pytest.fixture
def request_with() -> Callable[..., ExportTraceServiceRequest]:
    """Wrap spans into a request."""
    return lambda *spans: ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])]
    )


@pytest.fixture
def intake(limits: Limits) -> Intake:
    """REST calls are completed with ids ``id-1``, ``id-2``, ... and the time 5,000 ms."""
    numbers = itertools.count(1)
    return Intake(new_id=lambda: f"id-{next(numbers)}", now_ms=lambda: 5_000.0, limits=limits)


@pytest.fixture
def records(request_with: Callable[..., ExportTraceServiceRequest], intake: Intake) -> Callable[..., list[DatedRecord]]:
    """Make journal records: of a list of spans, or of a REST call ``(method, path, body)``."""
    offsets = itertools.count(100, 100)

    def make(*contents: object) -> list[DatedRecord]:
        made = []
        for content in contents:
            offset = next(offsets)
            if isinstance(content, list):
                kind, payload = RecordKind.SPANS, request_with(*content).SerializeToString()
            else:
                assert isinstance(content, tuple)
                kind, payload = RecordKind.REST, jsontext.dumps(intake.submit(*content).call)
            made.append(DatedRecord(kind, 1, payload, Position("0000000001", offset), offset))
        return made

    return make


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    store = Store(place)
    yield store
    store.close()


@pytest.fixture
def project(store: Store) -> Project:
    """Apply records to the read model."""
    return lambda made: store.apply([(record.position, changes_of(record)) for record in made])


@pytest.fixture
def queries(place: Place) -> Queries:
    return Queries(place)


@pytest.fixture
def table(place: Place) -> Table:
    """Return the rows of a table, in an order of their own."""

    def read(name: str, columns: str = "*") -> list[tuple[object, ...]]:
        with database_of(place).reading(longest_s=10) as connection:
            return [tuple(row) for row in connection.rows(f"SELECT {columns} FROM {name} ORDER BY 1, 2")]  # noqa: S608

    return read


def contents(table: Table) -> dict[str, list[tuple[object, ...]]]:
    tables = ("spans", "traces", "sessions", "amendments", "session_starts", "dead_letters", "projected")
    return {name: table(name) for name in tables}


class ReadModelContract:
    """The read model says what the journal says, whatever the order, and however often it is told."""

    def test_the_same_records_twice_are_the_same_as_once(
        self, records: MakeRecords, make_span: MakeSpan, project: Project, table: Table
    ) -> None:
        made = records(
            [make_span(1, attributes={"session.id": "s"}), make_span(2, parent_id=1)],
            ("POST", "/session/start", {"session": {"session_id": "s", "session_name": "n"}}),
            ("POST", "/events", {"event": {"event_id": "e", "session_id": "s"}}),
            ("PUT", "/events", {"event_id": "e", "metrics": {"m": 1}}),
        )

        project(made)
        once = contents(table)
        project(made)

        assert contents(table) == once

    def test_the_last_writer_of_a_span_wins(
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
    ) -> None:
        project(records([make_span(1, name="early", attributes={"session.id": "a"})]))
        project(records([make_span(1, name="late", attributes={"session.id": "b"})]))

        [trace] = queries.traces(Listing()).items
        assert (trace["name"], trace["spans"]) == ("late", 1)
        assert [session["session_id"] for session in queries.sessions(Listing()).items] == ["b"]

    def test_the_same_span_id_in_two_traces_is_two_spans(
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
    ) -> None:
        project(records([make_span(1, trace_id=7), make_span(1, trace_id=8)]))

        assert [trace["spans"] for trace in queries.traces(Listing()).items] == [1, 1]

    @pytest.mark.parametrize("update_first", [True, False])
    def test_an_update_applies_whether_it_comes_before_or_after_its_event(
        self, records: MakeRecords, project: Project, queries: Queries, update_first: bool
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

    def test_an_update_survives_a_repetition_of_its_event(
        self, records: MakeRecords, project: Project, queries: Queries
    ) -> None:
        event = ("POST", "/events", {"event": {"event_id": "e", "session_id": "s"}})

        project(records(event, ("PUT", "/events", {"event_id": "e", "feedback": {"stars": 5}}), event))

        found = queries.event("e")
        assert found is not None
        assert found["feedback"] == {"stars": 5}

    def test_a_session_can_be_updated_before_anything_else_is_known_of_it(
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
    ) -> None:
        project(records(("PUT", "/events", {"event_id": "s", "user_properties": {"plan": "pro"}})))
        project(records([make_span(1, attributes={"honeyhive.session_id": "s"})]))

        found = queries.event("s")
        assert found is not None
        assert (found["event_type"], found["user_properties"]) == ("session", {"plan": "pro"})

    def test_an_event_that_comes_again_in_another_session_moves(
        self, records: MakeRecords, project: Project, queries: Queries
    ) -> None:
        for session_id in ("a", "b"):
            project(records(("POST", "/events", {"event": {"event_id": "e", "session_id": session_id}})))

        assert [trace["trace_id"] for trace in queries.traces(Listing()).items] == ["b"]
        assert [session["session_id"] for session in queries.sessions(Listing()).items] == ["b"]

    def test_figures_of_model_calls_are_added_up(
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
    ) -> None:
        used = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 3}
        project(
            records(
                [make_span(1), make_span(2, parent_id=1, attributes=used), make_span(3, parent_id=1, attributes=used)]
            )
        )

        trace = queries.trace(TRACE)
        assert trace is not None
        assert (trace["tokens_in"], trace["tokens_out"]) == (20, 6)

    def test_times_that_no_database_can_hold_are_clamped(
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
    ) -> None:
        project(records([make_span(1, start_ns=2**64 - 1, end_ns=0)]))

        trace = queries.trace(TRACE)
        assert trace is not None
        assert (trace["start_ns"], trace["end_ns"]) == (2**63 - 1, 2**63 - 1)

    @pytest.mark.parametrize("skew_ns", [-86_400 * 10**9, 86_400 * 10**9], ids=["a day behind", "a day ahead"])
    def test_spans_of_a_machine_whose_clock_is_wrong_are_shown_with_its_own_times(
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries, skew_ns: int
    ) -> None:
        now_ns = 1_800_000_000 * 10**9
        child = {"parent_id": 1, "start_ns": now_ns + 1, "end_ns": now_ns + 2}
        project(
            records(
                [make_span(1, start_ns=now_ns + skew_ns, end_ns=now_ns + skew_ns + 5)],
                [make_span(2, name="ours", **child)],
            )
        )

        trace = queries.trace(TRACE)

        assert trace is not None
        assert now_ns + min(0, skew_ns) <= trace["start_ns"]
        assert trace["end_ns"] <= now_ns + max(5, skew_ns + 5)
        assert 1 == len(queries.traces(Listing()).items)

    def test_an_event_sent_for_a_span_stands_below_it(
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
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

    def test_a_record_that_cannot_be_read_is_noted_and_passed_over(
        self, records: MakeRecords, make_span: MakeSpan, project: Project, table: Table, queries: Queries
    ) -> None:
        good, bad = records([make_span(1)], [make_span(2)])

        project([bad._replace(payload=b"\xff\xff"), good])

        assert len(contents(table)["dead_letters"]) == 1
        assert len(queries.traces(Listing()).items) == 1

    def test_the_read_model_is_rebuilt_from_the_journal(
        self, place: Place, table: Table, make_span: MakeSpan, request_with: Callable[..., Any]
    ) -> None:
        journal = MemoryJournal()
        for number in range(1, 4):
            payload = request_with(make_span(number)).SerializeToString()
            journal.append(RecordKind.SPANS, payload)
        _project_all(journal, place)
        before = contents(table)
        spoiler = database_of(place).writer()
        with spoiler.transaction() as connection:
            connection.execute("UPDATE spans SET name = 'spoilt'")
        spoiler.close()

        _project_all(journal, place, rebuild=True)

        assert contents(table) == before

    def test_what_comes_from_a_record_carries_when_it_was_accepted(
        self, records: MakeRecords, make_span: MakeSpan, project: Project, table: Table
    ) -> None:
        made = records(
            [make_span(1)],
            ("POST", "/session/start", {"session": {"session_id": "s"}}),
            ("PUT", "/events", {"event_id": "s", "metadata": {"a": 1}}),
            ("POST", "/v1/client-reports", {"report_id": "r", "dropped": {"queue_full": 5}}),
        )
        undated = records([make_span(2)])[0]._replace(recorded_ns=None)

        project([*made, made[0]._replace(kind=99, recorded_ns=900), undated])

        tables = ("spans", "session_starts", "amendments", "client_reports", "dead_letters")
        found = [[cells[0] for cells in table(name, "recorded_ns, 1")] for name in tables]
        assert [[0, 100], [200], [300], [400], [900]] == found

    def test_an_update_leaves_when_its_event_was_accepted(
        self, records: MakeRecords, project: Project, table: Table
    ) -> None:
        event = ("POST", "/events", {"event": {"event_id": "e", "session_id": "s"}})

        project(records(event))
        project(records(("PUT", "/events", {"event_id": "e", "metrics": {"m": 1}})))

        assert [(100, "e")] == table("spans", "recorded_ns, event_id")

    def test_of_several_versions_in_one_batch_the_last_one_counts_once(
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
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

    def test_what_is_forgotten_is_gone_and_what_was_said_of_the_rest_stays(
        self, records: MakeRecords, make_span: MakeSpan, store: Store, place: Place, project: Project, table: Table
    ) -> None:
        project(
            records(
                ("POST", "/session/start", {"session": {"session_id": "s", "session_name": "n"}}),
                [make_span(1, attributes={"session.id": "s"})],
                ("POST", "/session/start", {"session": {"session_id": "gone"}}),
                [make_span(2, attributes={"session.id": "s"})],
                ("PUT", "/events", {"event_id": "nobody", "metrics": {"m": 1}}),
            )
        )

        with database_of(place).reading(longest_s=60) as connection:
            step = next_step(connection, 400, 100)
        assert step is not None
        alone = [(saying.subject, saying.position) for saying in step.sayings]
        store.apply([(Position("0000000001", 900), Changes(forgotten=Forgotten(step.before_ns, starts=alone)))])
        with database_of(place).reading(longest_s=60) as connection:
            wanted_again = needed(connection, step.sayings)

        assert [("gone", Position("0000000001", 300))] == alone
        assert [] == wanted_again
        assert [(1, "s")] == table("sessions", "spans, session_id")
        assert [("s", 100)] == table("session_starts", "session_id, recorded_ns")
        assert [(400, f"{2:016x}")] == table("spans", "recorded_ns, span_id")
        assert [("nobody", 500)] == table("amendments", "event_id, recorded_ns")

    def test_its_size_is_known(self, place: Place) -> None:
        database = database_of(place)
        before = database.size_bytes()
        database.writer().close()

        assert (0, True) == (before, database.size_bytes() > 0)

    def test_a_position_that_somebody_else_has_moved_is_not_written_over(
        self, records: MakeRecords, make_span: MakeSpan, place: Place, queries: Queries
    ) -> None:
        first, second = records([make_span(1, name="first")], [make_span(1, name="second")])
        one, two = Store(place), Store(place)
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
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
    ) -> None:
        def used(tokens: int) -> dict[str, str | int]:
            return {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": tokens}

        project(records([make_span(n, attributes=used(2**53 if n % 2 else 2**39)) for n in range(1, 2_101)]))

        trace = queries.trace(TRACE, with_details=False)
        assert trace is not None
        assert 1_050 * 2**39 == trace["tokens_in"]


class QueriesContract:
    """Lists are paged and filtered, and what a request says never becomes SQL."""

    def test_pages_hold_every_trace_once_newest_first(
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
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
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
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
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
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
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries, text: str
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
        self, records: MakeRecords, project: Project, queries: Queries, condition: dict[str, object], found: list[str]
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

    def test_a_session_deeper_than_readers_follow_is_cut_at_sixty_four_levels(
        self, records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
    ) -> None:
        project(
            records([make_span(n, parent_id=n - 1, start_ns=n, attributes={"session.id": "s"}) for n in range(1, 201)])
        )
        session = queries.session("s")
        assert session is not None

        layer, depths = [nested_session(session)], []
        while layer:
            depths.append(len(layer))
            layer = [child for node in layer for child in node["children"]]

        assert len(depths) == 65
        assert sum(depths) == 201


def _project_all(journal: MemoryJournal, place: Place, *, rebuild: bool = False) -> None:
    failures: list[BaseException] = []
    projector = make_projector(journal, place, on_failure=failures.append, rebuild=rebuild)
    projector.start()
    projector.reached(journal.last).result(5)
    projector.stop()
    assert failures == []
