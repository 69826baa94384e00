"""The SQL store for programs that block, with its transactions, outbox, inbox and checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from honeyhive.events.checkpoints import Checkpoints
from honeyhive.events.messages import Event, Message
from honeyhive.events.sql.store import AsyncSQLEventStore, SQLTransaction
from honeyhive.events.store import Appended, RecordedEvent
from honeyhive.events.stores.blocking import BlockingEventLog, LoopThread

__all__ = ["BlockingSQLEventStore", "BlockingSQLTransaction"]


class BlockingSQLEventStore(BlockingEventLog):
    """`AsyncSQLEventStore` for programs that block. Thread-safe.

    Args:
        store: The store; used in the event loop of this object, and nowhere else from now on.

    Attributes:
        outbox: Messages that wait to be published; a source for one `honeyhive.events.Relay`.
        checkpoints: Positions of relays and process managers.
    """

    def __init__(self, store: AsyncSQLEventStore) -> None:
        super().__init__(store)
        self._sql = store
        self.outbox = _Outbox(store, self._thread)
        self.checkpoints: Checkpoints = _Checkpoints(store, self._thread)

    @contextmanager
    def transaction(self) -> Iterator[BlockingSQLTransaction]:
        """Save for several aggregates, publish and receive, all or nothing; see `AsyncSQLEventStore.transaction`."""
        block = self._sql.transaction()
        transaction = BlockingSQLTransaction(self._thread.call(block.__aenter__), self._thread)
        try:
            yield transaction
        except BaseException as error:
            self._thread.call(partial(_left, block, error))
            raise
        self._thread.call(partial(_left, block, None))
        if transaction.added:
            self._watchers.tell(transaction.added)


class BlockingSQLTransaction:
    """`SQLTransaction` for programs that block; for one thread."""

    def __init__(self, transaction: SQLTransaction, thread: LoopThread) -> None:
        self._transaction = transaction
        self._thread = thread

    @property
    def added(self) -> int:
        """How many events were appended so far."""
        return self._transaction.added

    def save(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> Appended:
        """Append *events*; they are there when the transaction is committed."""
        return self._thread.call(lambda: self._transaction.save(aggregate_id, events, expected_version))

    def publish(self, *messages: Message) -> None:
        """Have *messages* published after the transaction is committed, by a relay of the store's `outbox`."""
        self._thread.call(lambda: self._transaction.publish(*messages))

    def receive(self, message: Message, *, consumer: str) -> bool:
        """Note that *consumer* handles *message* in this transaction; ``False`` if it has handled it before."""
        return self._thread.call(lambda: self._transaction.receive(message, consumer=consumer))


class _Outbox:
    """The outbox as a source for a thread."""

    def __init__(self, store: AsyncSQLEventStore, thread: LoopThread) -> None:
        self._store = store
        self._thread = thread

    def read(self, after: int | None) -> list[RecordedEvent]:
        """Return the oldest messages behind *after*; those before it have been published and are forgotten."""
        return self._thread.call(lambda: self._store.outbox.read(after))


class _Checkpoints(Checkpoints):
    def __init__(self, store: AsyncSQLEventStore, thread: LoopThread) -> None:
        self._store = store
        self._thread = thread

    def load(self, name: str) -> int | None:
        return self._thread.call(lambda: self._store.checkpoints.load(name))

    def save(self, name: str, position: int | None) -> object:
        return self._thread.call(lambda: self._store.checkpoints.save(name, position))


async def _left(block: Any, error: BaseException | None) -> None:
    """Leave *block*; an error that it passes on is raised by whoever has it already."""
    try:
        await block.__aexit__(type(error) if error else None, error, None)
    except BaseException as raised:
        if raised is not error:
            raise
