"""Messages and what is built on them: buses that bring them to handlers, stores that keep them, read models made of them.

Names are looked up on first use, so that a program pays for what it uses only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.events.async_projection_engine import AsyncProjectionEngine, catch_up_async
    from honeyhive.events.async_projector import AsyncProjector
    from honeyhive.events.bus import Handler, MessageBus, Outcome, PublishResult
    from honeyhive.events.codec import MessageCodec, decode, encode
    from honeyhive.events.dead_letters import DeadLetter
    from honeyhive.events.following import BuriedRecord, Progress
    from honeyhive.events.lineage import current_message
    from honeyhive.events.memory import InMemoryMessageBus
    from honeyhive.events.messages import Command, Event, Message, Query, UnknownMessage
    from honeyhive.events.module import Module
    from honeyhive.events.projection_engine import ProjectionEngine, catch_up
    from honeyhive.events.projections import InMemoryProjection, Projection, StoreSource
    from honeyhive.events.projector import Projector
    from honeyhive.events.reactions import on
    from honeyhive.events.sql.named import (
        AsyncPostgreSQLEventStore,
        AsyncSQLiteEventStore,
        PostgreSQLEventStore,
        SQLiteEventStore,
    )
    from honeyhive.events.sql.store import AsyncSQLEventStore, SQLTransaction
    from honeyhive.events.sqlite_projection import SQLiteProjection
    from honeyhive.events.store import (
        Appended,
        AsyncEventLog,
        AsyncEventStore,
        EventLog,
        EventStore,
        RecordedEvent,
        Stream,
        StreamFacts,
    )
    from honeyhive.events.stores.awaitable import AsyncInMemoryEventStore, AsyncJournalEventStore, AwaitableEventLog
    from honeyhive.events.stores.blocking import BlockingEventLog
    from honeyhive.events.stores.journal import JournalEventStore
    from honeyhive.events.stores.memory import InMemoryEventStore
    from honeyhive.events.subscriptions import Middleware, Subscription
    from honeyhive.events.upcasting import Stored, Upcasters

_HOMES = {
    "Appended": "store",
    "AsyncEventLog": "store",
    "AsyncEventStore": "store",
    "AsyncInMemoryEventStore": "stores.awaitable",
    "AsyncJournalEventStore": "stores.awaitable",
    "AsyncPostgreSQLEventStore": "sql.named",
    "AsyncProjectionEngine": "async_projection_engine",
    "AsyncProjector": "async_projector",
    "AsyncSQLEventStore": "sql.store",
    "AsyncSQLiteEventStore": "sql.named",
    "AwaitableEventLog": "stores.awaitable",
    "BlockingEventLog": "stores.blocking",
    "BuriedRecord": "following",
    "Command": "messages",
    "DeadLetter": "dead_letters",
    "Event": "messages",
    "EventLog": "store",
    "EventStore": "store",
    "Handler": "bus",
    "InMemoryEventStore": "stores.memory",
    "InMemoryMessageBus": "memory",
    "InMemoryProjection": "projections",
    "JournalEventStore": "stores.journal",
    "Message": "messages",
    "MessageBus": "bus",
    "MessageCodec": "codec",
    "Middleware": "subscriptions",
    "Module": "module",
    "Outcome": "bus",
    "PostgreSQLEventStore": "sql.named",
    "Progress": "following",
    "Projection": "projections",
    "ProjectionEngine": "projection_engine",
    "Projector": "projector",
    "PublishResult": "bus",
    "Query": "messages",
    "RecordedEvent": "store",
    "SQLTransaction": "sql.store",
    "SQLiteEventStore": "sql.named",
    "SQLiteProjection": "sqlite_projection",
    "StoreSource": "projections",
    "Stored": "upcasting",
    "Stream": "store",
    "StreamFacts": "store",
    "Subscription": "subscriptions",
    "UnknownMessage": "messages",
    "Upcasters": "upcasting",
    "catch_up": "projection_engine",
    "catch_up_async": "async_projection_engine",
    "current_message": "lineage",
    "decode": "codec",
    "encode": "codec",
    "on": "reactions",
}
__all__ = [
    "Appended",
    "AsyncEventLog",
    "AsyncEventStore",
    "AsyncInMemoryEventStore",
    "AsyncJournalEventStore",
    "AsyncPostgreSQLEventStore",
    "AsyncProjectionEngine",
    "AsyncProjector",
    "AsyncSQLEventStore",
    "AsyncSQLiteEventStore",
    "AwaitableEventLog",
    "BlockingEventLog",
    "BuriedRecord",
    "Command",
    "DeadLetter",
    "Event",
    "EventLog",
    "EventStore",
    "Handler",
    "InMemoryEventStore",
    "InMemoryMessageBus",
    "InMemoryProjection",
    "JournalEventStore",
    "Message",
    "MessageBus",
    "MessageCodec",
    "Middleware",
    "Module",
    "Outcome",
    "PostgreSQLEventStore",
    "Progress",
    "Projection",
    "ProjectionEngine",
    "Projector",
    "PublishResult",
    "Query",
    "RecordedEvent",
    "SQLTransaction",
    "SQLiteEventStore",
    "SQLiteProjection",
    "StoreSource",
    "Stored",
    "Stream",
    "StreamFacts",
    "Subscription",
    "UnknownMessage",
    "Upcasters",
    "catch_up",
    "catch_up_async",
    "current_message",
    "decode",
    "encode",
    "on",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'honeyhive.events' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"honeyhive.events.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
