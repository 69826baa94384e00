"""From the ingest log to the read model, by the projection engine of the events room.

The position moves in the same transaction as the rows, so after a crash nothing is missing and nothing is double.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from honeyhive.events.following import Sink
from honeyhive.events.log import DatedRecord, LogSource, Readable
from honeyhive.events.projector import Projector
from honeyhive.exceptions import StoreUnavailableError
from honeyhive.journal import Position
from honeyhive.models.wire import RecordKind
from honeyhive.resilience import RetryPolicy
from honeyhive.server import jsontext
from honeyhive.server.index.store import Amendment, Changes, Store
from honeyhive.server.records.events import Event, client_report, project_rest
from honeyhive.server.records.logs import rows_of_logs
from honeyhive.server.records.marks import LogKind, Saying, forgotten_of, sayings_of
from honeyhive.server.records.rows import Row, row_of_event, rows_of_request
from honeyhive.server.stores import Database, database_of
from honeyhive.utils.clock import Clock, SystemClock
from honeyhive.utils.guard import guard

__all__ = ["IngestProjector", "ReadModel", "changes_of", "make_projector"]

_BATCH_ITEMS: Final = 4_096
_BATCH_BYTES: Final = 8 * 1024 * 1024

_NEWS_NS: Final = 60 * 10**9
"""What was accepted longer ago is no news: it is being projected again."""

IngestProjector: TypeAlias = Projector[DatedRecord, Position]


def make_projector(
    journal: Readable,
    place: Database | Path,
    *,
    on_failure: Callable[[BaseException], None],
    on_readable: Callable[[Sequence[Row]], None] | None = None,
    rebuild: bool = False,
) -> IngestProjector:
    """Return what follows the journal and keeps the read model up to date, in a thread of its own.

    Args:
        journal: What to follow.
        place: The database; a path is that of a SQLite file.
        on_failure: Called from the thread, once, when it cannot go on.
        on_readable: Told from the thread what has become readable.
        rebuild: Forget the read model first and project the whole journal again.
    """
    source = LogSource(journal, max_bytes=_BATCH_BYTES, max_items=_BATCH_ITEMS)
    # A read model that cannot be written ends the server, which then says so, instead of answering ever older things.
    return Projector(
        source, ReadModel(place, on_readable), on_failure=on_failure, retry=RetryPolicy(max_attempts=1), rebuild=rebuild
    )


class ReadModel(Sink[DatedRecord, Position]):
    """The read model as a sink of the projection engine.

    Args:
        place: The database; a path is that of a SQLite file, which is made when absent and put aside when damaged.
        on_readable: Told of the spans that were accepted lately, once they can be read.
        clock: Tells what is lately.
    """

    name = "read model"
    outages: tuple[type[Exception], ...] = (StoreUnavailableError,)

    def __init__(
        self,
        place: Database | Path,
        on_readable: Callable[[Sequence[Row]], None] | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._database = database_of(place)
        self._on_readable = on_readable
        self._clock = clock or SystemClock()
        self._opened: Store | None = None

    @property
    def _store(self) -> Store:
        if self._opened is None:
            raise RuntimeError(f"the read model {self._database} is not open")
        return self._opened

    def open(self) -> None:
        """Open the database, for the thread that calls."""
        self.close()
        self._opened = Store(self._database)

    def position(self) -> Position | None:
        """Return up to where the journal is projected."""
        return self._store.position()

    def apply(self, records: Sequence[DatedRecord]) -> None:
        """Apply *records*, all of them or nothing."""
        changes: list[Changes] = []

        def read() -> Iterator[tuple[Position, Changes]]:
            for record in records:
                changes.append(changes_of(record))
                yield record.position, changes[-1]

        self._store.apply(read())
        if self._on_readable is not None:
            earliest_ns = self._clock.time_ns() - _NEWS_NS
            with guard("tell what is readable"):  # what is committed is not to blame, and not applied again
                self._on_readable(
                    [row for change in changes if change.recorded_ns > earliest_ns for row in change.rows]
                )

    def bury(self, record: DatedRecord, error: Exception) -> None:
        """Keep the reason why *record* cannot be projected; the journal keeps the record."""
        self._store.apply([(record.position, Changes(dead_letter=_told(error), recorded_ns=record.recorded_ns or 0))])

    def reset(self) -> None:
        """Forget everything."""
        self._store.reset()

    def close(self) -> None:
        """Close the database; twice is once."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def changes_of(record: DatedRecord) -> Changes:
    """Return what *record* changes in the read model."""
    recorded_ns = record.recorded_ns or 0
    try:
        if record.kind == RecordKind.SPANS:
            request = ExportTraceServiceRequest.FromString(record.payload)
            return Changes(rows=list(rows_of_request(request)), recorded_ns=recorded_ns)
        if record.kind == RecordKind.LOGS:
            logs = ExportLogsServiceRequest.FromString(record.payload)
            return Changes(logs=list(rows_of_logs(logs)), recorded_ns=recorded_ns)
        if record.kind == RecordKind.REST:
            return _rest_changes(jsontext.loads(record.payload), record.position, recorded_ns)
        if record.kind == LogKind.FORGOTTEN:
            return Changes(forgotten=forgotten_of(record.payload), recorded_ns=recorded_ns)
        if record.kind == LogKind.CARRIED:
            carried = [(saying.position, _said(saying)) for saying in sayings_of(record.payload)]
            return Changes(carried=carried, recorded_ns=recorded_ns)
    except (DecodeError, ValueError) as error:
        return Changes(dead_letter=_told(error), recorded_ns=recorded_ns)
    return Changes(dead_letter=f"no projection for records of kind {record.kind}", recorded_ns=recorded_ns)


def _rest_changes(call: object, position: Position, recorded_ns: int) -> Changes:
    starts: list[Mapping[str, object]] = []
    others: list[Event] = []
    amendments: Sequence[Event]
    events, amendments = project_rest(call)
    for event in events:
        (starts if event["event_type"] == "session" else others).append(event)
    report = client_report(call)
    return Changes(
        reports=[] if report is None else [report],
        rows=[row_of_event(event) for event in others],
        session_starts=starts,
        amendments=[Amendment(str(fields["event_id"]), position, fields) for fields in amendments],
        recorded_ns=recorded_ns,
    )


def _said(saying: Saying) -> Changes:
    if saying.is_start:
        return Changes(session_starts=[saying.body], recorded_ns=saying.recorded_ns)
    amendment = Amendment(saying.subject, saying.position, saying.body)
    return Changes(amendments=[amendment], recorded_ns=saying.recorded_ns)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
