"""Messages that leave with a transaction, and messages that come in once, in a SQL database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from honeyhive.events.checkpoints import AsyncCheckpoints
from honeyhive.events.codec import MessageCodec
from honeyhive.events.messages import Message
from honeyhive.events.sql.database import Database
from honeyhive.events.store import RecordedEvent
from honeyhive.events.stores.documents import Documents
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["SQLCheckpoints", "SQLInbox", "SQLOutbox"]


class SQLOutbox:
    """Messages that were committed and wait to be published; a source for one `honeyhive.events.AsyncRelay`.

    Args:
        database: Where they wait.
        codec: Writes and reads them.
    """

    def __init__(self, database: Database, *, codec: MessageCodec | None = None) -> None:
        self._database = database
        self._table = database.tables.outbox
        self._codec = codec or MessageCodec()
        self._documents = Documents(codec)

    async def add(self, connection: AsyncConnection, messages: Sequence[Message]) -> None:
        """Let *messages* leave when the transaction of *connection* is committed, and never if it is not."""
        await self._database.become_writer(connection)
        newest = await connection.scalar(select(func.max(self._table.c.position))) or 0
        rows = [
            {"position": newest + number, "message_id": each.id, "document": self._codec.encode(each).decode()}
            for number, each in enumerate(messages, 1)
        ]
        if rows:
            await connection.execute(self._table.insert(), rows)

    async def read(self, after: int | None) -> list[RecordedEvent]:
        """Return the oldest messages behind *after*; those before it have been published and are forgotten."""
        table = self._table
        if after:
            async with self._database.writing() as connection:
                # The newest one stays, so that no position is given twice.
                await connection.execute(table.delete().where(table.c.position < after))
        query = select(table).where(table.c.position > (after or 0)).order_by(table.c.position).limit(100)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        read = self._documents.read
        return [RecordedEvent(row.position, "outbox", 0, 0, "", document=row.document, read=read) for row in rows]


class SQLInbox:
    """Which messages were handled, so that one that comes again is not handled again.

    Args:
        database: Where it is kept.
        clock: Dates the notes.
    """

    def __init__(self, database: Database, *, clock: Clock | None = None) -> None:
        self._database = database
        self._table = database.tables.inbox
        self._clock = clock or SystemClock()

    async def receive(self, connection: AsyncConnection, message: Message, *, consumer: str) -> bool:
        """Note in the transaction of *connection* that *consumer* handles *message*; ``False`` if it has before.

        Of two that ask at the same time, the second one waits for the transaction of the first.
        """
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        note = insert(self._table).values(consumer=consumer, message_id=message.id, received_ns=self._clock.time_ns())
        return (await connection.execute(note.on_conflict_do_nothing())).rowcount == 1

    async def forget(self, older_than_s: float) -> int:
        """Forget what was handled longer ago than a message may still come again; return how many notes that were."""
        before_ns = self._clock.time_ns() - round(older_than_s * 1e9)
        async with self._database.writing() as connection:
            return (
                await connection.execute(self._table.delete().where(self._table.c.received_ns < before_ns))
            ).rowcount


class SQLCheckpoints(AsyncCheckpoints):
    """Positions of consumers, in a SQL database.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._table = database.tables.positions

    async def load(self, name: str) -> int | None:
        async with self._database.reading() as connection:
            return await connection.scalar(select(self._table.c.position).where(self._table.c.name == name))

    async def save(self, name: str, position: int | None) -> object:
        async with self._database.writing() as connection:
            await connection.execute(self._table.delete().where(self._table.c.name == name))
            if position is not None:
                await connection.execute(self._table.insert().values(name=name, position=position))
        return None
