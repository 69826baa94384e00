"""What the journal can answer: a session as it was, and an index made anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from honeyhive.exceptions import ConfigurationError
from honeyhive.journal import Journal
from honeyhive.models.wire import RecordKind
from honeyhive.server import jsontext
from honeyhive.server.index.projector import make_projector
from honeyhive.server.index.queries import Listing, Queries
from honeyhive.server.records.events import Intake
from honeyhive.server.storage.history import rebuild, session_at
from honeyhive.server.storage.log import IngestLog
from honeyhive.testing import ManualClock


class Backend:
    """A data directory, what is accepted into it, and the time when."""

    def __init__(self, data: Path, intake: Intake, request_with: Callable[..., Any]) -> None:
        self.data = data
        self.clock = ManualClock()
        self.journal = Journal(data / "journal", keep=True, max_bytes=None, max_disk_share=None)
        self._log = IngestLog(self.journal, on_append=lambda: None, on_failure=_fail, clock=self.clock)
        self._intake = intake
        self._request_with = request_with

    def take_spans(self, *spans: Span) -> None:
        self._log.append(RecordKind.SPANS, self._request_with(*spans).SerializeToString(), len(spans))
        self.clock.advance(60)

    def take_call(self, method: str, path: str, body: object) -> None:
        call = self._intake.submit(method, path, body).call
        self._log.append(RecordKind.REST, jsontext.dumps(call))
        self.clock.advance(60)

    def project(self) -> None:
        projector = make_projector(self.journal, self.data / "index.sqlite", on_failure=_fail)
        projector.start()
        projector.reached(self.journal.last).result(10)
        projector.stop()


def _fail(error: BaseException) -> None:
    raise error


@pytest.fixture
def backend(tmp_path: Path, intake: Intake, request_with: Callable[..., Any]) -> Iterator[Backend]:
    tmp_path.joinpath("data").mkdir()
    made = Backend(tmp_path / "data", intake, request_with)
    yield made
    made.journal.close()


def names(session: Any) -> list[str]:
    return [span["name"] for span in session["span_list"]]


def test_a_session_is_shown_as_it_was(backend: Backend, make_span: Callable[..., Span]) -> None:
    start_ns = backend.clock.time_ns()
    backend.take_call("POST", "/session/start", {"session": {"session_id": "s", "session_name": "chat"}})
    backend.take_spans(make_span(1, name="first", attributes={"session.id": "s"}), make_span(8, trace_id=8, name="x"))
    backend.take_call("POST", "/events", {"event": {"event_id": "e", "session_id": "s", "event_name": "second"}})
    backend.take_call("PUT", "/events", {"event_id": "e", "error": "too late"})

    def then(minutes: float) -> Any:
        return session_at(backend.data, "s", start_ns + round(minutes * 60e9)).session

    assert then(-1) is None
    assert ("chat", []) == (then(0)["name"], names(then(0)))
    assert ["first"] == names(then(1))
    assert {"first", "second"} == set(names(then(2)))
    assert [None, None] == [span["error"] for span in then(2.9)["span_list"]]
    assert {None, "too late"} == {span["error"] for span in then(3)["span_list"]}
    assert 0 == session_at(backend.data, "s", start_ns).undated


def test_a_session_of_today_is_as_the_read_model_has_it(backend: Backend, make_span: Callable[..., Span]) -> None:
    backend.take_spans(make_span(1, attributes={"session.id": "s"}), make_span(2, parent_id=1))
    backend.take_spans(make_span(3, trace_id=9, attributes={"session.id": "other"}))
    backend.take_call("PUT", "/events", {"event_id": "s", "metadata": {"tags": ["a"]}})
    backend.project()

    past = session_at(backend.data, "s", backend.clock.time_ns())

    assert Queries(backend.data / "index.sqlite").session("s") == past.session


def test_records_without_a_date_count_as_older_than_any_moment(
    backend: Backend, make_span: Callable[..., Span], request_with: Callable[..., Any]
) -> None:
    payload = request_with(make_span(1, name="ancient", attributes={"session.id": "s"})).SerializeToString()
    backend.journal.append(RecordKind.SPANS, payload)

    past = session_at(backend.data, "s", 0)

    assert (["ancient"], 1) == (names(past.session), past.undated)


def test_an_index_made_anew_says_the_same(backend: Backend, make_span: Callable[..., Span]) -> None:
    backend.take_spans(make_span(1, attributes={"session.id": "s"}))
    backend.take_call("POST", "/events", {"event": {"event_id": "e", "session_id": "s"}})
    backend.project()
    queries = Queries(backend.data / "index.sqlite")
    before = queries.traces(Listing()), queries.session("s")
    backend.journal.close()
    (backend.data / "index.sqlite").write_bytes(b"nonsense")

    done = rebuild(backend.data)

    assert 2 == done.records
    assert before == (queries.traces(Listing()), queries.session("s"))
    assert not list(backend.data.glob("*.new*"))


def test_an_index_is_not_made_anew_under_a_running_backend(backend: Backend) -> None:
    with pytest.raises(ConfigurationError, match="serve --rebuild"):
        rebuild(backend.data)


def test_where_there_is_no_journal_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--data"):
        rebuild(tmp_path)
    with pytest.raises(FileNotFoundError):
        session_at(tmp_path, "s", 0)
    assert [] == list(tmp_path.iterdir())


def test_a_record_that_nobody_foresaw_is_put_aside_and_the_others_go_on(
    backend: Backend, make_span: Callable[..., Span]
) -> None:
    """A mistake of ours in one record costs that record, not the backend."""
    backend.take_spans(make_span(1, name="first"))
    backend.journal.append(RecordKind.REST, jsontext.dumps({"method": "PUT", "path": "/events", "body": {}}))
    backend.take_spans(make_span(2, name="second"))

    backend.project()

    with closing(sqlite3.connect(backend.data / "index.sqlite")) as connection:
        assert ["first", "second"] == [name for (name,) in connection.execute("SELECT name FROM spans ORDER BY name")]
        assert ["KeyError: 'event_id'"] == [
            reason for (reason,) in connection.execute("SELECT reason FROM dead_letters")
        ]
