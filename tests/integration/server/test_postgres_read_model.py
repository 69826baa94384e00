"""The read model in a real PostgreSQL, kept up to date by several processes at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from engines import Engine
from honeyhive.events.log import LogSource
from honeyhive.events.projector import Projector
from honeyhive.exceptions import ConfigurationError, StoreUnavailableError
from honeyhive.journal import MemoryJournal, Position
from honeyhive.models.wire import RecordKind
from honeyhive.resilience import RetryPolicy
from honeyhive.server.index.projector import ReadModel, changes_of
from honeyhive.server.index.queries import Listing, Queries
from honeyhive.server.index.store import Changes, Store
from honeyhive.server.reading.filters import event_filters
from honeyhive.server.stores import IndexMissingError, PostgresDatabase, QueryTooLongError
from read_models import (
    TRACE,
    MakeRecords,
    MakeSpan,
    Project,
    QueriesContract,
    ReadModelContract,
    intake,
    limits,
    make_span,
    project,
    queries,
    records,
    request_with,
    store,
    table,
)

__all__ = ["intake", "limits", "make_span", "project", "queries", "records", "request_with", "store", "table"]

schemas = (f"t{number}" for number in count())

OpenDatabase = Callable[[], PostgresDatabase]
AT_ONCE = RetryPolicy(max_attempts=None, delay=0.05, backoff_factor=1)
USED = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1}


@pytest.fixture
def open_database(postgres_server: Engine) -> Iterator[OpenDatabase]:
    """Open a database of the test's own, as many times as there are processes."""
    schema, opened = next(schemas), []

    def open_it() -> PostgresDatabase:
        opened.append(PostgresDatabase(postgres_server.url, schema=schema))
        return opened[-1]

    yield open_it
    for database in opened:
        database.close()


@pytest.fixture
def place(open_database: OpenDatabase) -> PostgresDatabase:
    return open_database()


class TestReadModelInPostgreSQL(ReadModelContract):
    pass


class TestQueriesInPostgreSQL(QueriesContract):
    pass


def test_processes_that_start_at_once_make_the_tables_once(open_database: OpenDatabase) -> None:
    databases = [open_database() for _ in range(4)]
    start = threading.Barrier(4)

    def open_store(database: PostgresDatabase) -> Store:
        start.wait()
        return Store(database)

    with ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(open_store, databases))

    assert [None] * 4 == [store.position() for store in stores]


def test_two_projectors_side_by_side_give_each_record_one_effect(
    open_database: OpenDatabase, make_span: MakeSpan, request_with: Any
) -> None:
    journal = MemoryJournal()
    for n in range(1, 301):
        journal.append(RecordKind.SPANS, request_with(make_span(n, attributes=USED)).SerializeToString())
    failures: list[BaseException] = []
    projectors = [
        Projector(LogSource(journal, max_items=7), ReadModel(open_database()), on_failure=failures.append)
        for _ in range(2)
    ]

    for projector in projectors:
        projector.start()
    for projector in projectors:
        projector.reached(journal.last).result(60)
        projector.stop()

    trace = Queries(open_database()).trace(TRACE, with_details=False)
    assert trace is not None
    assert ([], 300, 300) == (failures, trace["spans"], trace["tokens_in"])


@pytest.mark.fault
def test_a_database_that_restarts_is_waited_for(
    place: PostgresDatabase, postgres_server: Engine, make_span: MakeSpan, request_with: Any
) -> None:
    journal = MemoryJournal()
    failures: list[BaseException] = []
    source = LogSource(journal, max_items=1)
    projector = Projector(source, ReadModel(place), on_failure=failures.append, retry=AT_ONCE)
    projector.start()
    for n in range(1, 41):
        journal.append(RecordKind.SPANS, request_with(make_span(n)).SerializeToString())
        projector.nudge()
        if n == 20:
            postgres_server.restart()

    projector.reached(journal.last).result(60)
    projector.stop()

    trace = Queries(place).trace(TRACE, with_details=False)
    assert trace is not None
    assert ([], 40) == (failures, trace["spans"])


@pytest.mark.fault
def test_a_reader_meets_an_outage_as_one(place: PostgresDatabase, store: Store, postgres_server: Engine) -> None:
    queries = Queries(place)
    assert [] == queries.traces(Listing()).items

    postgres_server.kill()
    with pytest.raises(StoreUnavailableError):
        queries.traces(Listing())
    postgres_server.start()

    assert [] == queries.traces(Listing()).items


def test_texts_that_no_table_can_hold_are_replaced_visibly(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    event = {"event_id": "e", "session_id": "s", "event_name": "na\0me", "metadata": {"key\0": "va\0lue"}}
    project(
        records(
            [make_span(1, name="\0", attributes={"session.id": "\0", "any": "a\0b"})],
            ("POST", "/events", {"event": event}),
        )
    )

    span, found = queries.span(TRACE, f"{1:016x}"), queries.event("e")

    assert span is not None
    assert found is not None
    assert ("\u2400", "\u2400") == (span["name"], span["session_id"])
    assert "a\0b" == span["details"]["attributes"]["any"]
    assert ("na\u2400me", "va\0lue") == (found["event_name"], found["metadata"]["key\0"])
    assert 1 == queries.events(event_filters({"filters": [{"field": "metadata.key\u2400", "operator": "exists"}]}))[1]


def test_half_a_surrogate_pair_is_replaced_visibly(store: Store, table: Any) -> None:
    store.apply([(Position("1", 1), Changes(dead_letter="half \ud800"))])

    assert [("half \ufffd", 0)] == table("dead_letters", "reason, recorded_ns")


@pytest.mark.parametrize("name", ["honeyhive.project", "honeyhive.session_id", "honeyhive_event_id"])
def test_a_text_that_no_index_can_hold_is_told_from_others_all_the_same(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries, name: str
) -> None:
    noise = "".join(chr(0x4E00 + n * 37 % 20_000) for n in range(5_000))
    for n in (1, 2):
        project(records([make_span(n, trace_id=n, attributes={name: f"{noise}{n}"})]))

    column = {"honeyhive.project": "project", "honeyhive.session_id": "session_id"}.get(name, "event_id")
    found = {str(span[column]) for span in queries.every_span()}
    assert 2 == len(found)
    assert all(noise[:200] == text[:200] for text in found)


def test_every_span_comes_in_parts_as_one_view(
    records: MakeRecords, make_span: MakeSpan, project: Project, queries: Queries
) -> None:
    project(records([make_span(n, start_ns=n) for n in range(1, 1_502)]))

    spans = queries.every_span()
    first = next(spans)
    project(records([make_span(n, start_ns=n) for n in range(5_000, 5_002)]))
    others = list(spans)

    assert (1, 1_500) == (first["start_ns"], len(others))


def test_a_query_that_takes_too_long_is_given_up(place: PostgresDatabase, store: Store) -> None:
    assert store.position() is None
    with pytest.raises(QueryTooLongError), place.reading(longest_s=0.05) as connection:
        connection.rows("SELECT pg_sleep(20)")


def test_where_nothing_was_projected_yet_readers_are_told_so(place: PostgresDatabase) -> None:
    with pytest.raises(IndexMissingError):
        Queries(place).traces(Listing())


def test_tables_of_an_older_version_are_made_anew(
    records: MakeRecords, make_span: MakeSpan, place: PostgresDatabase, open_database: OpenDatabase
) -> None:
    [record] = records([make_span(1)])
    store = Store(place)
    store.apply([(record.position, changes_of(record))])
    with place.writing() as connection:
        connection.execute("UPDATE read_model_version SET version = 1")

    with pytest.raises(IndexMissingError):
        Queries(open_database()).traces(Listing())
    assert Store(open_database()).position() is None
    assert [] == Queries(open_database()).traces(Listing()).items


def test_a_worker_whose_tables_a_newer_version_has_replaced_buries_nothing(
    place: PostgresDatabase, records: MakeRecords, make_span: MakeSpan
) -> None:
    [record] = records([make_span(1)])
    model = ReadModel(place)
    model.open()
    with place.writing() as connection:
        connection.execute("UPDATE read_model_version SET version = 999")

    with pytest.raises(model.outages, match="another version"):
        model.apply([record])


def test_tables_of_a_newer_version_are_left_alone(place: PostgresDatabase, open_database: OpenDatabase) -> None:
    Store(place)
    with place.writing() as connection:
        connection.execute("UPDATE read_model_version SET version = 999")

    with pytest.raises(ConfigurationError, match="newer honeyhive"):
        Store(open_database())


@pytest.mark.parametrize(
    "url, schema", [("mysql://x@y/z", "a"), ("postgresql://x@y/z", 'a"; DROP'), ("postgresql://x@y/z", "")]
)
def test_a_place_that_is_none_is_refused(url: str, schema: str) -> None:
    with pytest.raises(ConfigurationError):
        PostgresDatabase(url, schema=schema)


def test_a_database_that_does_not_exist_is_a_matter_of_configuration(postgres_server: Engine) -> None:
    database = PostgresDatabase(postgres_server.url.removesuffix("postgres") + "nowhere")

    with pytest.raises(ConfigurationError, match="nowhere"):
        Store(database)
    database.close()
