"""The store in plain files: durable, with no database, written by one process.

One `save` is one record of a journal, so it is there as a whole or not at all. Its payload is a line of JSON that says
whose events they are and which, and one line for each event. What is where is an index in memory, made from these
first lines when the store is opened.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from honeyhive.events.codec import MessageCodec
from honeyhive.events.log import DatedRecord, DurableLog, LogSource
from honeyhive.events.messages import Event
from honeyhive.events.store import (
    Appended,
    AsOf,
    EventLog,
    RecordedEvent,
    Stream,
    StreamFacts,
    bounds,
    check_arguments,
    check_version,
    stream_of,
    unsaved,
)
from honeyhive.events.stores.documents import Documents
from honeyhive.events.stores.journal_index import Batch, Index
from honeyhive.events.stores.watching import Watchers
from honeyhive.events.upcasting import Upcasters
from honeyhive.exceptions import StoreClosedError
from honeyhive.journal import Files, Journal, Position
from honeyhive.utils.clock import Clock

__all__ = ["JournalEventStore"]

_KIND: Final = 1
_logger = logging.getLogger("honeyhive.events")


class JournalEventStore(EventLog):
    """Keeps events in append-only files below a directory. Thread-safe; saves at the same time share one sync.

    It is the fastest durable store here, and the simplest to copy away. It needs some 80 bytes of memory for each event,
    reads all its files when it is opened, and lets one process at a time open it.

    Args:
        directory: Where; made with mode 0700 when absent.
        codec: Writes and reads the events.
        upcasters: Read old events as new ones.
        clock: Dates the events.
        files: The file layer.

    Raises:
        JournalLockedError: Another process has it open.
        JournalError: The directory cannot be used.
    """

    poll_s = None

    def __init__(
        self,
        directory: Path | str,
        *,
        codec: MessageCodec | None = None,
        upcasters: Upcasters | None = None,
        clock: Clock | None = None,
        files: Files | None = None,
    ) -> None:
        self._documents = Documents(codec, upcasters)
        self._journal = Journal(Path(directory), keep=True, max_bytes=None, max_disk_share=None, files=files)
        self._log = DurableLog(self._journal, clock=clock)
        self._lock = threading.Lock()  # the index says what is written, and positions rise as records do
        self._index = Index()
        self._durable = 0
        self._watchers = Watchers()
        self._closed = False
        try:
            self._make_index()
        except BaseException:
            self._journal.close()
            raise

    def save(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> Appended:
        check_arguments(aggregate_id, events, expected_version)
        lines = {event.id: self._documents.write(event) for event in events}
        with self._lock:
            self._check_open()
            new = unsaved(aggregate_id, events, self._homes(aggregate_id, events))
            if new or not events:
                check_version(aggregate_id, expected_version, self._index.version(aggregate_id))
            if new:
                self._write(aggregate_id, new, [lines[event.id] for event in new])
            version, head = self._index.version(aggregate_id), self._index.head
        if not events:
            return Appended(version, head, 0)
        self._make_durable(head)
        if new:
            self._watchers.tell(len(new))
            return Appended(version, head, len(new))
        return self._former(aggregate_id, events)

    def _write(self, aggregate_id: str, events: Sequence[Event], lines: Sequence[bytes]) -> None:
        batch = Batch(
            aggregate_id,
            self._index.version(aggregate_id) + 1,
            self._index.head + 1,
            [event.id for event in events],
            [event.type for event in events],
        )
        self._index.add(batch, self._log.write(_KIND, b"\n".join([batch.line(), *lines]), len(events)))

    def _make_durable(self, head: int) -> None:
        self._log.sync()
        with self._lock:
            self._durable = max(self._durable, head)

    def _homes(self, aggregate_id: str, events: Sequence[Event]) -> dict[str, str]:
        """Return the aggregates of those of *events* that were saved before."""
        suspects = {event.id for event in events if self._index.may_have(event.id)}
        homes = self._found(suspects, self._index.places_of(aggregate_id)) if suspects else {}
        # Only an event that was saved for another aggregate makes it read everything.
        return homes if len(homes) == len(suspects) else self._found(suspects, self._index.all_places())

    def _found(self, ids: set[str], places: Sequence[Position]) -> dict[str, str]:
        return {key: batch.aggregate_id for batch in map(self._batch, places) for key in ids.intersection(batch.ids)}

    def _former(self, aggregate_id: str, events: Sequence[Event]) -> Appended:
        ids = {event.id for event in events}
        former = [
            (batch.version + number, batch.position + number)
            for batch in map(self._batch, self._index.places_of(aggregate_id))
            for number, key in enumerate(batch.ids)
            if key in ids
        ]
        return Appended(*max(former), 0)

    def load(self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None) -> Stream:
        return stream_of(self.history(aggregate_id, from_version, as_of=as_of), from_version)

    def load_after_version(self, aggregate_id: str, version: int) -> Stream:
        return self.load(aggregate_id, version)

    def history(self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None) -> list[RecordedEvent]:
        version, time_ns = bounds(as_of)
        with self._lock:
            self._check_open()
            places = self._index.places_of(aggregate_id, from_version)
            durable = self._durable
        return [
            record
            for place in places
            for record in self._events(self._open(place))
            if record.version > from_version
            and record.position <= durable
            and (version is None or record.version <= version)
            and (time_ns is None or record.recorded_ns <= time_ns)
        ]

    def read_all(self, after: int = 0, limit: int = 1_000) -> list[RecordedEvent]:
        with self._lock:
            self._check_open()
            before = self._index.place_before(after + 1)
            durable = self._durable
        last = min(durable, after + limit)
        found: list[RecordedEvent] = []
        source = LogSource(self._journal, max_items=max(limit, 1))
        while after + len(found) < last and (records := source.read(before)):
            found += [each for record in records for each in self._events(record) if after < each.position <= last]
            before = records[-1].position
        return found

    def head(self) -> int:
        with self._lock:
            self._check_open()
            return self._durable

    def streams(self, prefix: str = "") -> list[StreamFacts]:
        with self._lock:
            self._check_open()
            return self._index.streams(prefix)

    def watch(self, listener: Callable[[int], None]) -> Callable[[], None]:
        return self._watchers.add(listener)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._journal.close()
        self._watchers.tell(0)

    def _make_index(self) -> None:
        source, position = LogSource(self._journal), None
        while records := source.read(position):
            for record in records:
                self._index.add(Batch.parse(record.payload.split(b"\n", 1)[0]), record.position)
            position = records[-1].position
        self._durable = self._index.head
        if self._journal.corruption.records:
            _logger.error("The event store is damaged: %s; what is whole is read.", self._journal.corruption)

    def _batch(self, place: Position) -> Batch:
        return Batch.parse(self._open(place).payload.split(b"\n", 1)[0])

    def _open(self, place: Position) -> DatedRecord:
        return self._log.record(place, _KIND)

    def _events(self, record: DatedRecord) -> Iterator[RecordedEvent]:
        first, *lines = record.payload.split(b"\n")
        batch = Batch.parse(first)
        for number, line in enumerate(lines):
            yield RecordedEvent(
                batch.position + number,
                batch.aggregate_id,
                batch.version + number,
                record.recorded_ns or 0,
                batch.types[number],
                document=line,
                read=self._documents.read,
            )

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosedError("the store is closed; open its directory again")
