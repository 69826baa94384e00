"""An asynchronous snapshot store for programs that block."""

from __future__ import annotations

from typing import Any, Protocol

from honeyhive.events.snapshots import AsyncSnapshotStore, Snapshot, SnapshotStore
from honeyhive.events.stores.blocking import LoopThread

__all__ = ["BlockingSnapshotStore", "ClosableSnapshotStore"]


class ClosableSnapshotStore(AsyncSnapshotStore, Protocol):
    """An asynchronous snapshot store that holds connections."""

    async def close(self) -> None:
        """Give them up; twice is once."""


class BlockingSnapshotStore(SnapshotStore):
    """An asynchronous snapshot store for programs that block. Thread-safe.

    Args:
        store: The store; used in the event loop of this object, and nowhere else from now on.
    """

    def __init__(self, store: ClosableSnapshotStore) -> None:
        self._store = store
        self._thread = LoopThread()

    def save(self, snapshot: Snapshot[Any]) -> object:
        return self._thread.call(lambda: self._store.save(snapshot))

    def load(self, aggregate_id: str) -> Snapshot[Any] | None:
        return self._thread.call(lambda: self._store.load(aggregate_id))

    def discard(self, aggregate_id: str) -> object:
        return self._thread.call(lambda: self._store.discard(aggregate_id))

    def close(self) -> None:
        """Give up the connections; twice is once."""
        self._thread.close(self._store.close)
