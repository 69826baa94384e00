"""Blocking stores for programs that await."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

from anyio import to_thread

from honeyhive.events.codec import MessageCodec
from honeyhive.events.messages import Event
from honeyhive.events.store import Appended, AsOf, AsyncEventLog, EventLog, RecordedEvent, Stream, StreamFacts
from honeyhive.events.stores.journal import JournalEventStore
from honeyhive.events.stores.memory import InMemoryEventStore
from honeyhive.events.stores.watching import Watchers
from honeyhive.events.upcasting import Upcasters
from honeyhive.utils.clock import Clock

__all__ = ["AsyncInMemoryEventStore", "AsyncJournalEventStore", "AwaitableEventLog"]

T = TypeVar("T")


class AwaitableEventLog(AsyncEventLog):
    """A blocking store for programs that await.

    Args:
        store: The store.
    """

    _in_threads: ClassVar[bool] = True

    def __init__(self, store: EventLog) -> None:
        self._store = store
        self._watchers = Watchers()

    @property
    def poll_s(self) -> float | None:
        """How often readers look for events that were saved elsewhere."""
        return self._store.poll_s

    async def save(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> Appended:
        appended = await self._call(partial(self._store.save, aggregate_id, events, expected_version))
        if appended.added:
            self._watchers.tell(appended.added)
        return appended

    async def load(self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None) -> Stream:
        return await self._call(partial(self._store.load, aggregate_id, from_version, as_of=as_of))

    async def load_after_version(self, aggregate_id: str, version: int) -> Stream:
        return await self.load(aggregate_id, version)

    async def history(
        self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None
    ) -> list[RecordedEvent]:
        return await self._call(partial(self._store.history, aggregate_id, from_version, as_of=as_of))

    async def read_all(self, after: int = 0, limit: int = 1_000) -> list[RecordedEvent]:
        return await self._call(partial(self._store.read_all, after, limit))

    async def head(self) -> int:
        return await self._call(self._store.head)

    async def streams(self, prefix: str = "") -> list[StreamFacts]:
        return await self._call(partial(self._store.streams, prefix))

    def watch(self, listener: Callable[[int], None]) -> Callable[[], None]:
        return self._watchers.add(listener)

    async def close(self) -> None:
        self._store.close()
        self._watchers.tell(0)

    async def _call(self, work: Callable[[], T]) -> T:
        # A save that was begun is finished even if whoever asked for it is cancelled: it may be on the disk already.
        return await to_thread.run_sync(work) if self._in_threads else work()


class AsyncInMemoryEventStore(AwaitableEventLog):
    """`InMemoryEventStore` to be awaited; nothing in it waits for anything.

    Args:
        clock: Dates the events.
    """

    _in_threads = False

    def __init__(self, *, clock: Clock | None = None) -> None:
        super().__init__(InMemoryEventStore(clock=clock))


class AsyncJournalEventStore(AwaitableEventLog):
    """`JournalEventStore` to be awaited; it waits for the disk in worker threads, where saves share one sync.

    Args:
        directory: Where; made with mode 0700 when absent.
        codec: Writes and reads the events.
        upcasters: Read old events as new ones.
        clock: Dates the events.

    Raises:
        JournalLockedError: Another process has it open.
        JournalError: The directory cannot be used.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        codec: MessageCodec | None = None,
        upcasters: Upcasters | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(JournalEventStore(directory, codec=codec, upcasters=upcasters, clock=clock))
