"""Events in a SQL database.

Positions are numbers without a gap, given under a lock that a writer holds until its transaction is visible. So a reader
who has seen position 7 has seen all below it, which sequences do not promise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, Select, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from honeyhive.events.codec import MessageCodec
from honeyhive.events.messages import Event, Message
from honeyhive.events.sql.database import Database
from honeyhive.events.sql.outbox import SQLCheckpoints, SQLInbox, SQLOutbox
from honeyhive.events.sql.tables import Tables
from honeyhive.events.store import (
    Appended,
    AsOf,
    AsyncEventLog,
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
from honeyhive.events.stores.watching import Watchers
from honeyhive.events.upcasting import Upcasters
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["AsyncSQLEventStore", "SQLTransaction"]

_POLL_S: Final = 0.2
_MOST_IDS: Final = 10_000


class _State(NamedTuple):
    """What a writer must know of the store before it appends."""

    position: int
    recorded_ns: int
    version: int


class AsyncSQLEventStore(AsyncEventLog):
    """Keeps events in a SQL database; for one event loop, beside any number of other processes.

    Args:
        place: ``sqlite:///shop.db`` or ``postgresql://user@host/shop``; or an engine, which stays yours to close.
        codec: Writes and reads the events.
        upcasters: Read old events as new ones.
        clock: Dates the events.
        prefix: Begins the names of the tables.
        poll_s: How often readers look for events that other processes have saved.

    Attributes:
        outbox: Messages that wait to be published; see `SQLTransaction.publish`.
        inbox: Which messages were handled; see `SQLTransaction.receive`.
        checkpoints: Positions of relays and process managers.

    Raises:
        ConfigurationError: The URL is of another kind, or a driver is missing.
    """

    def __init__(
        self,
        place: str | URL | AsyncEngine,
        *,
        codec: MessageCodec | None = None,
        upcasters: Upcasters | None = None,
        clock: Clock | None = None,
        prefix: str = "",
        poll_s: float = _POLL_S,
    ) -> None:
        self.database = Database(place, Tables(prefix))
        self._events = self.database.tables.events
        self._documents = Documents(codec, upcasters)
        self._clock = clock or SystemClock()
        self._poll_s = poll_s
        self._watchers = Watchers()
        # Compiled once; SQLAlchemy would put the parameters of each row in order anew.
        self._insert = str(self._events.insert().compile(dialect=self.database.engine.dialect))
        self.outbox = SQLOutbox(self.database, codec=codec)
        self.inbox = SQLInbox(self.database, clock=clock)
        self.checkpoints = SQLCheckpoints(self.database)

    @property
    def poll_s(self) -> float:
        """How often readers look for events that other processes have saved."""
        return self._poll_s

    async def save(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> Appended:
        check_arguments(aggregate_id, events, expected_version)
        documents = {event.id: self._documents.write(event).decode() for event in events}
        try:
            async with self.database.writing() as connection:
                appended = await self._append(connection, aggregate_id, events, documents, expected_version)
        except (IntegrityError, _Doubtful):
            async with self.database.writing() as connection:
                appended = await self._append_new(connection, aggregate_id, events, documents, expected_version)
        self._watchers.tell(appended.added)
        return appended

    @asynccontextmanager
    async def transaction(self, connection: AsyncConnection | None = None) -> AsyncIterator[SQLTransaction]:
        """Save for several aggregates, publish, and write tables of your own, all or nothing.

        ::

            async with store.transaction() as transaction:
                if await transaction.receive(order_placed, consumer="billing"):
                    await transaction.save("invoice-7", [InvoiceMade(order_id="7")])
                    await transaction.publish(SendInvoice(invoice_id="7"))

        Args:
            connection: One that is in a transaction already, which stays yours to commit; by default a new transaction,
                committed at the end of the block.
        """
        if connection is None:
            async with self.database.writing() as own:
                transaction = SQLTransaction(self, own)
                yield transaction
        else:
            await self.database.become_writer(connection)
            transaction = SQLTransaction(self, connection)
            yield transaction
        self._watchers.tell(transaction.added)

    async def append_in(
        self, connection: AsyncConnection, aggregate_id: str, events: Sequence[Event], expected_version: int | None
    ) -> Appended:
        """Append *events* in the transaction of *connection*, which is the one writer; see `transaction`."""
        check_arguments(aggregate_id, events, expected_version)
        documents = {event.id: self._documents.write(event).decode() for event in events}
        return await self._append_new(connection, aggregate_id, events, documents, expected_version)

    async def _append(
        self,
        connection: AsyncConnection,
        aggregate_id: str,
        events: Sequence[Event],
        documents: Mapping[str, str],
        expected_version: int | None,
    ) -> Appended:
        """Append *events* as if all were new.

        Raises:
            IntegrityError: They are not.
            _Doubtful: The version is another one, which may mean the same.
        """
        state = await self._state(connection, aggregate_id)
        if expected_version is not None and expected_version != state.version:
            raise _Doubtful
        return await self._insert_behind(connection, state, aggregate_id, events, documents)

    async def _append_new(
        self,
        connection: AsyncConnection,
        aggregate_id: str,
        events: Sequence[Event],
        documents: Mapping[str, str],
        expected_version: int | None,
    ) -> Appended:
        """Append those of *events* that were not saved before."""
        known = await self._known(connection, list(documents))
        new = unsaved(aggregate_id, events, {key: row.aggregate_id for key, row in known.items()})
        state = await self._state(connection, aggregate_id)
        if new or not events:
            check_version(aggregate_id, expected_version, state.version)
        if new or not known:
            return await self._insert_behind(connection, state, aggregate_id, new, documents)
        return Appended(max(row.version for row in known.values()), max(row.position for row in known.values()), 0)

    async def _insert_behind(
        self,
        connection: AsyncConnection,
        state: _State,
        aggregate_id: str,
        events: Sequence[Event],
        documents: Mapping[str, str],
    ) -> Appended:
        recorded_ns = max(self._clock.time_ns(), state.recorded_ns)
        position, version = state.position, state.version
        rows = [
            (position + number, aggregate_id, version + number, each.id, each.type, recorded_ns, documents[each.id])
            for number, each in enumerate(events, 1)
        ]
        if rows:
            await self.database.insert_many(connection, self._insert, rows)
        return Appended(state.version + len(rows), state.position + len(rows), len(rows))

    async def _state(self, connection: AsyncConnection, aggregate_id: str) -> _State:
        table = self._events
        newest = select(table.c.position, table.c.recorded_ns).order_by(table.c.position.desc()).limit(1).subquery()
        version = select(func.max(table.c.version)).where(table.c.aggregate_id == aggregate_id).scalar_subquery()
        row = (await connection.execute(select(newest.c.position, newest.c.recorded_ns, version))).first()
        return _State(0, 0, 0) if row is None else _State(row[0], row[1], row[2] or 0)

    async def _known(self, connection: AsyncConnection, ids: Sequence[str]) -> dict[str, Row[Any]]:
        table = self._events
        known: dict[str, Row[Any]] = {}
        for start in range(0, len(ids), _MOST_IDS):
            wanted = table.c.event_id.in_(ids[start : start + _MOST_IDS])
            columns = select(table.c.event_id, table.c.aggregate_id, table.c.version, table.c.position)
            known.update({row.event_id: row for row in await connection.execute(columns.where(wanted))})
        return known

    async def load(self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None) -> Stream:
        return stream_of(await self.history(aggregate_id, from_version, as_of=as_of), from_version)

    async def load_after_version(self, aggregate_id: str, version: int) -> Stream:
        return await self.load(aggregate_id, version)

    async def history(
        self, aggregate_id: str, from_version: int = 0, *, as_of: AsOf | None = None
    ) -> list[RecordedEvent]:
        version, time_ns = bounds(as_of)
        table = self._events
        query = self._records().where(table.c.aggregate_id == aggregate_id, table.c.version > from_version)
        if version is not None:
            query = query.where(table.c.version <= version)
        if time_ns is not None:
            query = query.where(table.c.recorded_ns <= time_ns)
        return await self._read(query.order_by(table.c.version))

    async def read_all(self, after: int = 0, limit: int = 1_000) -> list[RecordedEvent]:
        table = self._events
        return await self._read(
            self._records().where(table.c.position > after).order_by(table.c.position).limit(max(limit, 0))
        )

    def _records(self) -> Select[Any]:
        table = self._events
        columns = (table.c.position, table.c.aggregate_id, table.c.version, table.c.recorded_ns, table.c.type)
        return select(*columns, table.c.document)

    async def _read(self, query: Select[Any]) -> list[RecordedEvent]:
        async with self.database.reading() as connection:
            rows = (await connection.execute(query)).all()
        read = self._documents.read
        return [RecordedEvent(*row[:5], document=row[5], read=read) for row in rows]

    async def head(self) -> int:
        async with self.database.reading() as connection:
            return await connection.scalar(select(func.max(self._events.c.position))) or 0

    async def streams(self, prefix: str = "") -> list[StreamFacts]:
        table = self._events
        last = select(table.c.aggregate_id, func.max(table.c.version).label("version")).group_by(table.c.aggregate_id)
        if prefix:
            last = last.where(table.c.aggregate_id >= prefix, table.c.aggregate_id < prefix + "\U0010ffff")
        newest = last.subquery()
        query = select(table.c.aggregate_id, table.c.version, table.c.type).join(
            newest, (table.c.aggregate_id == newest.c.aggregate_id) & (table.c.version == newest.c.version)
        )
        async with self.database.reading() as connection:
            rows = await connection.execute(query.order_by(table.c.aggregate_id))
            return [StreamFacts(*row) for row in rows]

    def watch(self, listener: Callable[[int], None]) -> Callable[[], None]:
        return self._watchers.add(listener)

    async def close(self) -> None:
        await self.database.close()
        self._watchers.tell(0)


class SQLTransaction:
    """One transaction of a store; see `AsyncSQLEventStore.transaction`.

    Attributes:
        connection: For tables of your own.
        added: How many events were appended so far.
    """

    def __init__(self, store: AsyncSQLEventStore, connection: AsyncConnection) -> None:
        self._store = store
        self.connection = connection
        self.added = 0

    async def save(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> Appended:
        """Append *events*, as the store's own `save`; they are there when the transaction is committed."""
        appended = await self._store.append_in(self.connection, aggregate_id, events, expected_version)
        self.added += appended.added
        return appended

    async def publish(self, *messages: Message) -> None:
        """Have *messages* published after the transaction is committed, by a relay of the store's `outbox`."""
        await self._store.outbox.add(self.connection, messages)

    async def receive(self, message: Message, *, consumer: str) -> bool:
        """Note that *consumer* handles *message* in this transaction; ``False`` if it has handled it before."""
        return await self._store.inbox.receive(self.connection, message, consumer=consumer)


class _Doubtful(Exception):  # noqa: N818 -- never leaves this module
    """The version is not what was expected: a conflict, or the same events once more."""
