"""Once in effect: messages that leave with the transaction of an execution, and executions that happen once.

::

    Tracing(), Sockets(), SqlSession(engine), Once(engine), OutboxPublishing(bus, engine, ledger)

Both stand on the session of `SqlSession`, so they come after it. What a handler stores, what it publishes and the note
that it was done are one transaction: a process may die at any moment, and a message or a tick may come again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Final, Self, TypeVar

import anyio
from anyio.abc import TaskGroup
from sqlalchemy.ext.asyncio import AsyncEngine

from honeyhive.events import (
    AsyncProjector,
    AsyncRelay,
    Message,
    MessageBus,
    RecordedEvent,
    SQLCheckpoints,
    SQLInbox,
    SQLOutbox,
)
from honeyhive.events.sql.database import Database
from honeyhive.events.sql.tables import Tables
from honeyhive.exceptions import DoneBeforeError
from honeyhive.runtime.execution import Execution
from honeyhive.runtime.hooks import use_session
from honeyhive.runtime.interceptors import NOTHING, Given
from honeyhive.runtime.ledgers.interface import Claim, TickLedger
from honeyhive.runtime.publishing import Publisher, refuse_blocking
from honeyhive.utils.guard import guard

__all__ = ["Once", "OutboxPublishing"]

T = TypeVar("T")

_LEASE_S: Final = 10.0
_ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The one tick of a relay: whoever has it relays."""


class OutboxPublishing:
    """The interceptor behind `use_publisher` for messages that must not be lost: put it after `SqlSession`.

    What an execution publishes is written to the table ``<prefix>outbox`` in the transaction of its session, and is
    published on *bus* from there, in order, at least once, always with the same id. Of all processes that have the
    same ledger one does that at a time.

    Args:
        bus: Takes the messages.
        engine: The database that `SqlSession` works on.
        ledger: Where processes agree who publishes; without one each does, and messages come more than once.
        session: The name of the session.
        prefix: Begins the names of the tables.
        poll_s: How often new messages are looked for, in seconds.

    Raises:
        DeclarationError: The bus would block the event loop.
    """

    def __init__(
        self,
        bus: MessageBus,
        engine: AsyncEngine,
        ledger: TickLedger | None = None,
        *,
        session: str = "default",
        prefix: str = "honeyhive_",
        poll_s: float = 0.1,
    ) -> None:
        refuse_blocking(bus)
        self._database = Database(engine, Tables(prefix))
        self._outbox = _WholeOutbox(self._database)
        self._checkpoints = _WholeCheckpoints(self._database)
        self._bus = bus
        self._ledger = ledger
        self._session = session
        self._poll_s = poll_s
        self._relay = f"{prefix}relay"
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        async with self._database.reading():
            pass  # Its tables are made now: inside somebody else's transaction is no place for that.
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._publish_what_was_committed)
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)

    def intercept(self, _: Execution) -> AbstractAsyncContextManager[object]:
        """Collect what is published, and write it into the transaction after the handler."""
        return Given(Publisher(), self._commit)

    async def add(self, messages: Sequence[Message]) -> None:
        """Write *messages* into the transaction of the session here."""
        if messages:
            await self._outbox.add(await use_session(self._session).connection(), messages)

    async def _commit(self, publisher: Publisher) -> None:
        await self.add(publisher.waiting)

    async def _publish_what_was_committed(self) -> None:
        while True:
            with guard(f"relaying {self._relay}"):
                await self._relay_while_ours()
            await anyio.sleep(_LEASE_S / 4)

    async def _relay_while_ours(self) -> None:
        if self._ledger is None:
            await self._run_relay()
            return
        claim = await self._ledger.claim(self._relay, _ALWAYS, _LEASE_S)
        if claim is None:
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep, self._ledger, claim, tasks.cancel_scope)
            tasks.start_soon(self._run_relay)

    async def _run_relay(self) -> None:
        relay = AsyncRelay(self._bus, self._checkpoints, name=self._relay)
        await AsyncProjector(self._outbox, relay, poll_s=self._poll_s).run()

    async def _keep(self, ledger: TickLedger, claim: Claim, relaying: anyio.CancelScope) -> None:
        kept = True
        while kept:
            await anyio.sleep(_LEASE_S / 4)
            kept = await ledger.renew(claim, _LEASE_S)
        relaying.cancel()


class _WholeOutbox(SQLOutbox):
    """An outbox whose reading is not cancelled in its middle: that would leave a connection behind in a transaction."""

    async def read(self, after: int | None) -> list[RecordedEvent]:
        return await _whole(super().read(after))


class _WholeCheckpoints(SQLCheckpoints):
    """Positions whose saving is not cancelled in its middle."""

    async def load(self, name: str) -> int | None:
        return await _whole(super().load(name))

    async def save(self, name: str, position: int | None) -> object:
        return await _whole(super().save(name, position))


async def _whole(step: Awaitable[T]) -> T:
    """Wait for *step*, and be cancelled only after it."""
    ends: list[T] = []
    with anyio.CancelScope(shield=True):
        ends.append(await step)
    return ends[0]


class Once:
    """Lets a message or a tick that comes again have no second effect: put it after `SqlSession`.

    That an execution was done is noted in the table ``<prefix>inbox``, in the transaction of its session. One that comes
    again is not handled and counts as done; one that comes while the first is at work waits for its end. Requests and
    connections pass.

    Args:
        engine: The database that `SqlSession` works on.
        session: The name of the session.
        prefix: Begins the names of the tables.
        remember_s: For how long it is known what was done, in seconds; what is older is forgotten when a process starts.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        session: str = "default",
        prefix: str = "honeyhive_",
        remember_s: float = 7 * 86_400.0,
    ) -> None:
        self._inbox = SQLInbox(Database(engine, Tables(prefix)))
        self._session = session
        self._remember_s = remember_s

    async def __aenter__(self) -> Self:
        # Makes the tables as well: inside somebody else's transaction is no place for that.
        await self._inbox.forget(self._remember_s)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the notes where they are."""

    def intercept(self, execution: Execution) -> AbstractAsyncContextManager[object]:
        """Let *execution* happen, or raise `DoneBeforeError`, which the runtime takes for success."""
        if execution.kind not in {"message", "schedule"}:
            return NOTHING
        return _FirstTime(self, execution)

    async def note(self, execution: Execution) -> None:
        """Note in the transaction of the session here that *execution* is done.

        Raises:
            DoneBeforeError: It was done before.
        """
        connection = await use_session(self._session).connection()
        if not await self._inbox.receive(connection, Message(id=execution.id), consumer=execution.handler):
            raise DoneBeforeError(f"{execution.name} {execution.id} was done before")


class _FirstTime(AbstractAsyncContextManager[None]):
    """One execution that happens unless it did before."""

    __slots__ = ("_execution", "_once")

    def __init__(self, once: Once, execution: Execution) -> None:
        self._once = once
        self._execution = execution

    async def __aenter__(self) -> None:
        await self._once.note(self._execution)

    async def __aexit__(self, *_: object) -> None:
        """Leave the end to the transaction."""
