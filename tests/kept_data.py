"""A backend's log and read model without a backend: records go in, time passes by hand, tables come out."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from honeyhive.events.following import Following, Source
from honeyhive.events.log import DatedRecord, LogSource
from honeyhive.events.steps import run
from honeyhive.journal import Files, Journal, JournalReader, Position
from honeyhive.models.wire import RecordKind
from honeyhive.server import jsontext
from honeyhive.server.admission.limits import Limits
from honeyhive.server.home import INDEX_NAME, JOURNAL_NAME
from honeyhive.server.index.projector import ReadModel
from honeyhive.server.index.queries import Queries
from honeyhive.server.records.events import Intake
from honeyhive.server.retention.forgetting import Forgetter, JournalForgetter
from honeyhive.server.retention.keeping import Retention
from honeyhive.server.storage.files import FileStorage
from honeyhive.server.storage.interface import Log
from honeyhive.server.storage.log import IngestLog
from honeyhive.server.storage.postgres import PostgresForgetter
from honeyhive.server.storage.postgres_log import PostgresLog
from honeyhive.server.stores import Database, SQLiteDatabase, database_of
from honeyhive.server.stores.pool import Pool
from honeyhive.server.stores.postgres import PostgresDatabase
from honeyhive.testing import ManualClock

TABLES = (
    "spans",
    "traces",
    "sessions",
    "session_starts",
    "amendments",
    "logs",
    "client_reports",
    "dead_letters",
    "forgotten",
)


def request_of(name: str, *, trace: int, span: int, session: str | None = None, text: str = "") -> bytes:
    """A request with one span, as a record of the log has it."""
    attributes = {"text": text, **({"honeyhive.session_id": session} if session else {})}
    made = Span(
        trace_id=trace.to_bytes(16, "big"),
        span_id=span.to_bytes(8, "big"),
        name=name,
        start_time_unix_nano=1_000,
        end_time_unix_nano=2_000,
        attributes=[KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in attributes.items()],
    )
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[made])])])
    return request.SerializeToString()


class Kept:
    """A data directory at work. One record is one span, log record or call, and each is a second after the other."""

    def __init__(self, data: Path, *, segment_bytes: int = 2_000, rows: int = 3, files: Files | None = None) -> None:
        self.data = data
        self.clock = ManualClock()
        self.journal = Journal(
            data / JOURNAL_NAME,
            keep=True,
            segment_bytes=segment_bytes,
            max_bytes=None,
            max_disk_share=None,
            files=files,
        )
        log = IngestLog(self.journal, on_append=_nothing, on_failure=_raise, clock=self.clock)
        self._use(log, LogSource(self.journal, max_items=4), SQLiteDatabase(data / INDEX_NAME))
        self.forgetter: Forgetter = JournalForgetter(
            self.journal, log.append, self.database, settle=self.settle, rows=rows
        )

    def _use(self, log: Log, source: Source[DatedRecord, Position], database: Database) -> None:
        self.log = log
        self.database = database
        self.queries = Queries(database)
        self._source = source
        self.following = self._begun(database)
        self._ids: dict[str, int] = {}
        numbers = itertools.count(1)
        self._intake = Intake(new_id=lambda: f"id-{next(numbers)}", now_ms=lambda: 5_000.0, limits=Limits())

    def span(self, name: str, *, trace: int = 7, span: int | None = None, session: str | None = None) -> int:
        """Accept a span, and return when that was, in nanoseconds."""
        own_id = span or self._ids.setdefault(name, len(self._ids) + 1_000)
        return self._accept(RecordKind.SPANS, request_of(name, trace=trace, span=own_id, session=session))

    def log_record(self, body: str) -> int:
        """Accept a log record, and return when that was."""
        made = LogRecord(body=AnyValue(string_value=body), time_unix_nano=1_000)
        request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=[made])])])
        return self._accept(RecordKind.LOGS, request.SerializeToString())

    def call(self, method: str, path: str, body: Mapping[str, object]) -> int:
        """Accept a REST call, and return when that was."""
        return self._accept(RecordKind.REST, jsontext.dumps(self._intake.submit(method, path, body).call))

    def start(self, session: str, name: str = "session") -> int:
        """Accept the start of a session."""
        return self.call("POST", "/session/start", {"session": {"session_id": session, "session_name": name}})

    def event(self, event_id: str, *, session: str) -> int:
        """Accept an event over REST."""
        event = {"event_id": event_id, "session_id": session, "event_name": event_id, "event_type": "tool"}
        return self.call("POST", "/events", {"event": event})

    def update(self, event_id: str, **metadata: object) -> int:
        """Accept an update of an event or a session."""
        return self.call("PUT", "/events", {"event_id": event_id, "metadata": metadata})

    def project(self) -> None:
        """Bring the read model up to date."""
        while run(self.following.advance()):
            pass

    def settle(self, position: Position) -> Iterable[None]:
        while self.following.position is None or self.following.position < position:
            assert run(self.following.advance())
        return ()

    def forget_before(self, before_ns: int) -> None:
        for _ in self.forgetter.forget_before(before_ns):
            pass

    def names(self) -> set[str]:
        """The names of the spans that can be read."""
        return {str(span["name"]) for span in self.queries.every_span()}

    def tables(self) -> dict[str, set[tuple[object, ...]]]:
        """What is in the read model, but for where the log has it."""
        return tables_of(self.database)

    def tables_made_anew(self) -> dict[str, set[tuple[object, ...]]]:
        """What would be in a read model made from the log alone."""
        with self._fresh() as fresh:
            following = self._begun(fresh)
            while run(following.advance()):
                pass
            run(following.end())
            return tables_of(fresh)

    @contextmanager
    def _fresh(self) -> Iterator[Database]:
        yield SQLiteDatabase(self.data / "fresh.sqlite")
        for path in self.data.glob("fresh.sqlite*"):
            path.unlink()

    def close(self) -> None:
        run(self.following.end())
        self.journal.close()

    def _accept(self, kind: RecordKind, payload: bytes) -> int:
        self.clock.advance(1.0)
        self.log.append(kind, payload)
        return self.clock.time_ns()

    def _begun(self, database: Database) -> Following[DatedRecord, Position]:
        following = Following(self._source, ReadModel(database))
        run(following.begin())
        return following


class KeptInPostgres(Kept):
    """The same in a schema of a PostgreSQL database."""

    def __init__(self, url: str, schema: str) -> None:
        self.clock = ManualClock()
        self._pool = Pool(url, schema=schema)
        self._place = PostgresDatabase(url, schema=schema)
        self._other = PostgresDatabase(url, schema=f"{schema}_fresh")
        log = PostgresLog(self._pool, clock=self.clock)
        self._use(log, log, self._place)
        self.forgetter = PostgresForgetter(log, self._place, settle=self.settle, rows=3)

    @contextmanager
    def _fresh(self) -> Iterator[Database]:
        self._other.writer().reset()
        yield self._other

    def close(self) -> None:
        run(self.following.end())
        for opened in (self._pool, self._place, self._other):
            opened.close()


class Busy:
    """A backend's storage at work in threads of its own, one of which forgets all the time.

    Attributes:
        failures: Why it could not go on.
    """

    SEGMENT_BYTES: Final = 64 * 1024
    KEEP_BYTES: Final = 7_000_000

    def __init__(self, data: Path) -> None:
        self.failures: list[BaseException] = []
        self.storage = FileStorage(
            data,
            on_append=self._nudge,
            on_readable=lambda _: None,
            on_failure=self.failures.append,
            limits=Limits(),
            segment_bytes=self.SEGMENT_BYTES,
        )
        self._data = data
        self._retention = Retention(self.storage.forgetter, keep_bytes=self.KEEP_BYTES)
        self._sweeps = 0
        self._swept = threading.Condition()
        self._leaving = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, daemon=True)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Project and forget as long as the block lasts."""
        self.storage.projector.start(wait_s=5)
        self._sweeper.start()
        try:
            yield
        finally:
            self._leaving.set()
            self._sweeper.join()
            self.storage.projector.stop()
            self.storage.close()

    def begin_session(self) -> None:
        """Accept the start of the session that runs on and on."""
        event = {"event_type": "session", "session_id": "running", "event_id": "running", "event_name": "the long one"}
        call = {"method": "POST", "path": "/session/start", "body": {"session": event}}
        self.storage.log.append(RecordKind.REST, jsontext.dumps(call))

    def accept(self, number: int, *, trace: int | None = None) -> None:
        """Accept the span *number*; every tenth one is of the session that runs on and on."""
        session = "running" if number % 10 == 0 else f"session {number // 100}"
        payload = request_of(f"{number}", trace=trace or number + 1, span=number + 1, session=session, text="x" * 500)
        self.storage.log.append(RecordKind.SPANS, payload)

    def wait_for_a_sweep(self) -> None:
        """Return when what is accepted can be read, and one has looked since whether it is too much."""
        self.storage.projector.reached(self.storage.log.last).result(10)
        with self._swept:
            wanted = self._sweeps + 2  # the one that is going on may have looked already
            assert self._swept.wait_for(lambda: self._sweeps >= wanted, 20)

    def size_on_disk(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self._data.rglob("*") if path.is_file())

    def _nudge(self) -> None:
        self.storage.projector.nudge()

    def _sweep(self) -> None:
        while not self._leaving.is_set():
            self._retention.sweep()
            with self._swept:
                self._sweeps += 1
                self._swept.notify_all()
            self._leaving.wait(0.005)


def project(journal: JournalReader, index: Path) -> None:
    """Bring the read model at *index* up to date with *journal*."""
    following = Following(LogSource(journal), ReadModel(index))
    run(following.begin())
    while run(following.advance()):
        pass
    run(following.end())


def tables_of(place: Database | Path) -> dict[str, set[tuple[object, ...]]]:
    """What is in a read model, but for where the log has it."""
    with database_of(place).reading(longest_s=60) as connection:
        return {
            table: {
                tuple(_plain(row[column]) for column in row.keys() if column != "held")  # noqa: SIM118 - no mapping
                for row in connection.rows(f"SELECT * FROM {table}")  # noqa: S608 - our own names
            }
            for table in TABLES
        }


def _plain(cell: object) -> object:
    """Objects are the same in whatever order their keys were added."""
    if isinstance(cell, str) and cell.startswith("{"):
        return json.dumps(json.loads(cell), sort_keys=True)
    return cell


def _nothing() -> None:
    pass


def _raise(error: BaseException) -> None:
    raise error
