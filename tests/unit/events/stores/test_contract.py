"""Every store passes the contract that comes with the package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from honeyhive.events import (
    AsyncInMemoryEventStore,
    AsyncJournalEventStore,
    BlockingEventLog,
    EventLog,
    FileSnapshotStore,
    InMemoryEventStore,
    InMemorySnapshotStore,
    JournalEventStore,
    SnapshotStore,
    SQLiteEventStore,
    SQLiteSnapshotStore,
)
from honeyhive.testing.store_contracts import EventLogContract, SnapshotStoreContract


class TestInMemoryEventStore(EventLogContract):
    is_durable = False

    @pytest.fixture
    def open_store(self) -> Callable[[], EventLog]:
        return InMemoryEventStore


class TestAsyncInMemoryEventStore(EventLogContract):
    is_durable = False

    @pytest.fixture
    def open_store(self) -> Callable[[], EventLog]:
        return lambda: BlockingEventLog(AsyncInMemoryEventStore())


class TestJournalEventStore(EventLogContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], EventLog]:
        return lambda: JournalEventStore(tmp_path / "events")


class TestAsyncJournalEventStore(EventLogContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], EventLog]:
        return lambda: BlockingEventLog(AsyncJournalEventStore(tmp_path / "events"))


class TestSQLiteEventStore(EventLogContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], EventLog]:
        return lambda: SQLiteEventStore(tmp_path / "events.db")


class TestSQLiteEventStoreInMemory(EventLogContract):
    is_durable = False

    @pytest.fixture
    def open_store(self) -> Callable[[], EventLog]:
        return lambda: SQLiteEventStore(":memory:")


class TestInMemorySnapshotStore(SnapshotStoreContract):
    is_durable = False

    @pytest.fixture
    def open_store(self) -> Callable[[Sequence[type]], SnapshotStore]:
        return lambda _: InMemorySnapshotStore()


class TestFileSnapshotStore(SnapshotStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[Sequence[type]], SnapshotStore]:
        return lambda types: FileSnapshotStore(tmp_path / "snapshots", types=types)


class TestSQLiteSnapshotStore(SnapshotStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[Sequence[type]], SnapshotStore]:
        return lambda types: SQLiteSnapshotStore(tmp_path / "events.db", types=types)
