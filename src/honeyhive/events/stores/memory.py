"""The store that needs nothing: for tests, and for programs that may forget."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence

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
from honeyhive.events.stores.watching import Watchers
from honeyhive.exceptions import StoreClosedError
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["InMemoryEventStore"]


class InMemoryEventStore(EventLog):
    """Keeps events as they are, as long as the process lives. Thread-safe.

    Saving takes the same time however many events there are, loading as long as the aggregate has events.

    Args:
        clock: Dates the events.
    """

    poll_s = None

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()  # the log, the streams and the ids speak of the same events
        self._log: list[RecordedEvent] = []
        self._streams: dict[str, list[RecordedEvent]] = {}
        self._by_id: dict[str, RecordedEvent] = {}
        self._watchers = Watchers()
        self._closed = False

    def save(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> Appended:
        check_arguments(aggregate_id, events, expected_version)
        with self._lock:
            self._check_open()
            if self._are_new(events):
                version = len(self._streams.get(aggregate_id, ()))
                check_version(aggregate_id, expected_version, version)
                self._append(aggregate_id, events)
                appended = Appended(version + len(events), len(self._log), len(events))
            else:
                appended = self._append_new(aggregate_id, events, expected_version)
        if appended.added:
            self._watchers.tell(appended.added)
        return appended

    def _are_new(self, events: Sequence[Event]) -> bool:
        ids = [event.id for event in events]
        return self._by_id.keys().isdisjoint(ids) and (len(ids) == 1 or len(set(ids)) == len(ids))

    def _append_new(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None) -> Appended:
        """Append those of *events* that were not saved before."""
        known = {event.id: self._by_id[event.id].aggregate_id for event in events if event.id in self._by_id}
        new = unsaved(aggregate_id, events, known)
        if new:
            check_version(aggregate_id, expected_version, len(self._streams.get(aggregate_id, ())))
            self._append(aggregate_id, new)
        last = max((self._by_id[event.id] for event in events), key=lambda record: record.position)
        return Appended(last.version, last.position, len(new))

    def _append(self, aggregate_id: str, events: Sequence[Event]) -> None:
        if not events:
            return
        stream = self._streams.setdefault(aggregate_id, [])
        recorded_ns = max(self._clock.time_ns(), self._log[-1].recorded_ns if self._log else 0)
        for event in events:
            record = self._record(aggregate_id, len(stream) + 1, recorded_ns, event)
            self._log.append(record)
            stream.append(record)
            self._by_id[event.id] = record

    def _record(self, aggregate_id: str, version: int, recorded_ns: int, event: Event) -> RecordedEvent:
        return RecordedEvent(len(self._log) + 1, aggregate_id, version, recorded_ns, event.type, events=(event,))

    def load(self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None) -> Stream:
        return stream_of(self.history(aggregate_id, from_version, as_of=as_of), from_version)

    def load_after_version(self, aggregate_id: str, version: int) -> Stream:
        return self.load(aggregate_id, version)

    def history(self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None) -> list[RecordedEvent]:
        version, time_ns = bounds(as_of)
        with self._lock:
            self._check_open()
            stream = self._streams.get(aggregate_id, [])
            end = len(stream) if version is None else max(version, 0)
            if time_ns is not None:
                end = bisect_right(stream, time_ns, key=lambda record: record.recorded_ns)
            return stream[max(from_version, 0) : end]

    def read_all(self, after: int = 0, limit: int = 1_000) -> list[RecordedEvent]:
        with self._lock:
            self._check_open()
            return self._log[max(after, 0) : max(after, 0) + max(limit, 0)]

    def head(self) -> int:
        with self._lock:
            self._check_open()
            return len(self._log)

    def streams(self, prefix: str = "") -> list[StreamFacts]:
        with self._lock:
            self._check_open()
            return [
                StreamFacts(aggregate_id, len(stream), stream[-1].type)
                for aggregate_id, stream in sorted(self._streams.items())
                if aggregate_id.startswith(prefix)
            ]

    def watch(self, listener: Callable[[int], None]) -> Callable[[], None]:
        return self._watchers.add(listener)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._watchers.tell(0)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosedError("the store in memory is closed, and its events are gone")
