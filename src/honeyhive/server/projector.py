"""From the journal to the read model: one thread, one position.

The position moves in the same transaction as the rows, so after a crash nothing is missing and nothing is double.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from honeyhive.exceptions import JournalError
from honeyhive.journal import JournalInterface, Position, Record
from honeyhive.models.wire import RecordKind
from honeyhive.server import jsontext
from honeyhive.server.events import Event, client_report, project_rest
from honeyhive.server.logs import rows_of_logs
from honeyhive.server.records import row_of_event, rows_of_request
from honeyhive.server.store import Amendment, Changes, Store

__all__ = ["Projector", "changes_of"]

_BATCH_ITEMS: Final = 4_096
_BATCH_BYTES: Final = 8 * 1024 * 1024

_logger = logging.getLogger("honeyhive.server")


class Projector:
    """Follows the journal and keeps the read model up to date, in a thread of its own.

    Args:
        journal: What to follow.
        path: The database file.
        on_failure: Called from the thread, once, when it cannot go on.
        rebuild: Forget the read model first and project the whole journal again.
    """

    def __init__(
        self,
        journal: JournalInterface,
        path: Path,
        *,
        on_failure: Callable[[BaseException], None],
        rebuild: bool = False,
    ) -> None:
        self._journal = journal
        self._path = path
        self._on_failure = on_failure
        self._rebuild = rebuild
        self._wake = threading.Event()
        self._stopping = False
        self._position: Position | None = None
        self._counts_lock = threading.Lock()  # announced >= done
        self._announced = 0
        self._done = 0
        self._waiters: list[tuple[Position, Future[None]]] = []
        self._waiters_lock = threading.Lock()  # a waiter is told, or sees the position that would tell it
        self._thread = threading.Thread(target=self._run, name="honeyhive-projector", daemon=True)

    def start(self) -> None:
        """Start following."""
        self._thread.start()

    def nudge(self) -> None:
        """Say that the journal has grown by one record."""
        with self._counts_lock:
            self._announced += 1
        self._wake.set()

    def reached(self, position: Position | None) -> Future[None]:
        """Return a future that is done when everything up to *position* can be read."""
        future: Future[None] = Future()
        with self._waiters_lock:
            if position is None or (self._position is not None and self._position >= position):
                future.set_result(None)
            else:
                self._waiters.append((position, future))
        return future

    @property
    def position(self) -> Position | None:
        """Up to where the journal is projected."""
        return self._position

    @property
    def backlog(self) -> int:
        """How many records have been announced and not been projected."""
        return self._announced - self._done

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop after the batch in hand; what is not projected yet is projected by the next server."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            store = Store(self._path)
            if self._rebuild:
                store.reset()
            try:
                self._follow(store)
            finally:
                store.close()
        except (sqlite3.Error, JournalError, OSError) as error:
            _logger.exception("The projector cannot go on.")
            self._on_failure(error)

    def _follow(self, store: Store) -> None:
        self._advance(store.position())
        while not self._stopping:
            self._wake.clear()
            announced = self._announced
            records = self._journal.read(self._position, max_bytes=_BATCH_BYTES, max_items=_BATCH_ITEMS)
            if not records:
                self._count_done(announced)
                self._wake.wait()
                continue
            store.apply([(record.position, changes_of(record)) for record in records])
            self._count_done(self._done + len(records))
            self._advance(records[-1].position)

    def _count_done(self, done: int) -> None:
        with self._counts_lock:
            self._done = min(done, self._announced)  # records of an earlier life were not announced in this one

    def _advance(self, position: Position | None) -> None:
        with self._waiters_lock:
            self._position = position
            done = [future for wanted, future in self._waiters if position is not None and wanted <= position]
            self._waiters = [waiter for waiter in self._waiters if waiter[1] not in done]
        for future in done:
            if future.set_running_or_notify_cancel():
                future.set_result(None)


def changes_of(record: Record) -> Changes:
    """Return what *record* changes in the read model."""
    try:
        if record.kind == RecordKind.SPANS:
            return Changes(rows=list(rows_of_request(ExportTraceServiceRequest.FromString(record.payload))))
        if record.kind == RecordKind.LOGS:
            return Changes(logs=list(rows_of_logs(ExportLogsServiceRequest.FromString(record.payload))))
        if record.kind == RecordKind.REST:
            return _rest_changes(jsontext.loads(record.payload), record.position)
    except (DecodeError, ValueError) as error:
        return Changes(dead_letter=f"{type(error).__name__}: {error}")
    return Changes(dead_letter=f"no projection for records of kind {record.kind}")


def _rest_changes(call: object, position: Position) -> Changes:
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
    )
