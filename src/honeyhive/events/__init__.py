"""Messages and what is built on them: buses that bring them to handlers, stores that keep them, read models made of them.

::

    messages · catalogue · codec · lineage      what is told, how it is written, what it follows from
    bus · buses/ · adapters/ · module           bringing messages to handlers
    store · stores/ · sql/ · tail               keeping events; reading on from a position
    upcasting · snapshots                       old events as new ones; short cuts
    reactions · aggregates · command_handlers   state made of events, and who decides
    following · projector · async_projector     the one projection engine, and its two drivers
    projections · sqlite_projection             read models, and engines for several of them
    relay · checkpoints                         publishing what was saved
    sagas · processes                           work across aggregates
    log                                         a journal as a dated log: under the file store and the backend
    steps                                       work written once for parts that block and parts that are awaited

Names are looked up on first use, so that a program pays for what it uses only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from honeyhive.utils.rooms import lookup

if TYPE_CHECKING:
    from honeyhive.events.adapters.kafka import KafkaMessageBus
    from honeyhive.events.adapters.nats import NATSMessageBus
    from honeyhive.events.adapters.rabbitmq import RabbitMQMessageBus
    from honeyhive.events.adapters.redis import RedisMessageBus
    from honeyhive.events.aggregates import Aggregate, AsyncRepository, Repository, fold
    from honeyhive.events.async_projection_engine import AsyncProjectionEngine, catch_up_async
    from honeyhive.events.async_projector import AsyncProjector
    from honeyhive.events.bus import Broadcaster, Handler, MessageBus, Outcome, PublishResult
    from honeyhive.events.buses.async_memory import AsyncMessageBus
    from honeyhive.events.buses.dead_letters import DeadLetter
    from honeyhive.events.buses.inbox import Inbox, InMemoryInbox, idempotent
    from honeyhive.events.buses.memory import InMemoryMessageBus
    from honeyhive.events.buses.subscriptions import Middleware, Subscription
    from honeyhive.events.checkpoints import AsyncCheckpoints, Checkpoints, FileCheckpoints, InMemoryCheckpoints
    from honeyhive.events.cloudevents import from_cloudevent, to_cloudevent
    from honeyhive.events.codec import MessageCodec, decode, encode
    from honeyhive.events.command_handlers import AsyncCommandHandler, CommandHandler
    from honeyhive.events.following import BuriedRecord, Progress
    from honeyhive.events.lineage import current_message, delivery_count
    from honeyhive.events.messages import Command, Event, Message, Query, UnknownMessage
    from honeyhive.events.module import Module
    from honeyhive.events.processes import AsyncProcessRunner, ProcessManager, ProcessRunner, on_wake
    from honeyhive.events.projection_engine import ProjectionEngine, catch_up
    from honeyhive.events.projections import InMemoryProjection, Projection, StoreSource
    from honeyhive.events.projector import Projector
    from honeyhive.events.reactions import on
    from honeyhive.events.relay import AsyncRelay, Relay
    from honeyhive.events.sagas import AsyncSaga, Saga, SagaContext, SagaState, SagaStatus, SagaStep
    from honeyhive.events.snapshots import AsyncSnapshotStore, InMemorySnapshotStore, Snapshot, SnapshotStore
    from honeyhive.events.sql.blocking import BlockingSQLEventStore, BlockingSQLTransaction
    from honeyhive.events.sql.named import (
        AsyncPostgreSQLEventStore,
        AsyncSQLiteEventStore,
        PostgreSQLEventStore,
        SQLiteEventStore,
    )
    from honeyhive.events.sql.outbox import SQLCheckpoints, SQLInbox, SQLOutbox
    from honeyhive.events.sql.projection import SQLProjection
    from honeyhive.events.sql.snapshots import AsyncSQLSnapshotStore, PostgreSQLSnapshotStore, SQLiteSnapshotStore
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
    from honeyhive.events.stores.blocking_snapshots import BlockingSnapshotStore
    from honeyhive.events.stores.journal import JournalEventStore
    from honeyhive.events.stores.memory import InMemoryEventStore
    from honeyhive.events.stores.mongodb import AsyncMongoDBEventStore, MongoDBEventStore
    from honeyhive.events.stores.snapshot_files import FileSnapshotStore
    from honeyhive.events.tail import AsyncTail, Tail
    from honeyhive.events.upcasting import Stored, Upcasters

_HOMES = {
    "Aggregate": "aggregates",
    "Appended": "store",
    "AsyncCheckpoints": "checkpoints",
    "AsyncCommandHandler": "command_handlers",
    "AsyncEventLog": "store",
    "AsyncEventStore": "store",
    "AsyncInMemoryEventStore": "stores.awaitable",
    "AsyncJournalEventStore": "stores.awaitable",
    "AsyncMessageBus": "buses.async_memory",
    "AsyncMongoDBEventStore": "stores.mongodb",
    "AsyncPostgreSQLEventStore": "sql.named",
    "AsyncProcessRunner": "processes",
    "AsyncProjectionEngine": "async_projection_engine",
    "AsyncProjector": "async_projector",
    "AsyncRelay": "relay",
    "AsyncRepository": "aggregates",
    "AsyncSQLEventStore": "sql.store",
    "AsyncSQLSnapshotStore": "sql.snapshots",
    "AsyncSQLiteEventStore": "sql.named",
    "AsyncSaga": "sagas",
    "AsyncSnapshotStore": "snapshots",
    "AsyncTail": "tail",
    "AwaitableEventLog": "stores.awaitable",
    "BlockingEventLog": "stores.blocking",
    "BlockingSQLEventStore": "sql.blocking",
    "BlockingSQLTransaction": "sql.blocking",
    "BlockingSnapshotStore": "stores.blocking_snapshots",
    "Broadcaster": "bus",
    "BuriedRecord": "following",
    "Checkpoints": "checkpoints",
    "Command": "messages",
    "CommandHandler": "command_handlers",
    "DeadLetter": "buses.dead_letters",
    "Event": "messages",
    "EventLog": "store",
    "EventStore": "store",
    "FileCheckpoints": "checkpoints",
    "FileSnapshotStore": "stores.snapshot_files",
    "Handler": "bus",
    "InMemoryCheckpoints": "checkpoints",
    "InMemoryEventStore": "stores.memory",
    "InMemoryInbox": "buses.inbox",
    "InMemoryMessageBus": "buses.memory",
    "InMemoryProjection": "projections",
    "InMemorySnapshotStore": "snapshots",
    "Inbox": "buses.inbox",
    "JournalEventStore": "stores.journal",
    "KafkaMessageBus": "adapters.kafka",
    "Message": "messages",
    "MessageBus": "bus",
    "MessageCodec": "codec",
    "Middleware": "buses.subscriptions",
    "Module": "module",
    "MongoDBEventStore": "stores.mongodb",
    "NATSMessageBus": "adapters.nats",
    "Outcome": "bus",
    "PostgreSQLEventStore": "sql.named",
    "PostgreSQLSnapshotStore": "sql.snapshots",
    "ProcessManager": "processes",
    "ProcessRunner": "processes",
    "Progress": "following",
    "Projection": "projections",
    "ProjectionEngine": "projection_engine",
    "Projector": "projector",
    "PublishResult": "bus",
    "Query": "messages",
    "RabbitMQMessageBus": "adapters.rabbitmq",
    "RecordedEvent": "store",
    "RedisMessageBus": "adapters.redis",
    "Relay": "relay",
    "Repository": "aggregates",
    "SQLCheckpoints": "sql.outbox",
    "SQLInbox": "sql.outbox",
    "SQLOutbox": "sql.outbox",
    "SQLProjection": "sql.projection",
    "SQLTransaction": "sql.store",
    "SQLiteEventStore": "sql.named",
    "SQLiteProjection": "sqlite_projection",
    "SQLiteSnapshotStore": "sql.snapshots",
    "Saga": "sagas",
    "SagaContext": "sagas",
    "SagaState": "sagas",
    "SagaStatus": "sagas",
    "SagaStep": "sagas",
    "Snapshot": "snapshots",
    "SnapshotStore": "snapshots",
    "StoreSource": "projections",
    "Stored": "upcasting",
    "Stream": "store",
    "StreamFacts": "store",
    "Subscription": "buses.subscriptions",
    "Tail": "tail",
    "UnknownMessage": "messages",
    "Upcasters": "upcasting",
    "catch_up": "projection_engine",
    "catch_up_async": "async_projection_engine",
    "current_message": "lineage",
    "decode": "codec",
    "delivery_count": "lineage",
    "encode": "codec",
    "fold": "aggregates",
    "from_cloudevent": "cloudevents",
    "idempotent": "buses.inbox",
    "on": "reactions",
    "on_wake": "processes",
    "to_cloudevent": "cloudevents",
}
__all__ = [
    "Aggregate",
    "Appended",
    "AsyncCheckpoints",
    "AsyncCommandHandler",
    "AsyncEventLog",
    "AsyncEventStore",
    "AsyncInMemoryEventStore",
    "AsyncJournalEventStore",
    "AsyncMessageBus",
    "AsyncMongoDBEventStore",
    "AsyncPostgreSQLEventStore",
    "AsyncProcessRunner",
    "AsyncProjectionEngine",
    "AsyncProjector",
    "AsyncRelay",
    "AsyncRepository",
    "AsyncSQLEventStore",
    "AsyncSQLSnapshotStore",
    "AsyncSQLiteEventStore",
    "AsyncSaga",
    "AsyncSnapshotStore",
    "AsyncTail",
    "AwaitableEventLog",
    "BlockingEventLog",
    "BlockingSQLEventStore",
    "BlockingSQLTransaction",
    "BlockingSnapshotStore",
    "Broadcaster",
    "BuriedRecord",
    "Checkpoints",
    "Command",
    "CommandHandler",
    "DeadLetter",
    "Event",
    "EventLog",
    "EventStore",
    "FileCheckpoints",
    "FileSnapshotStore",
    "Handler",
    "InMemoryCheckpoints",
    "InMemoryEventStore",
    "InMemoryInbox",
    "InMemoryMessageBus",
    "InMemoryProjection",
    "InMemorySnapshotStore",
    "Inbox",
    "JournalEventStore",
    "KafkaMessageBus",
    "Message",
    "MessageBus",
    "MessageCodec",
    "Middleware",
    "Module",
    "MongoDBEventStore",
    "NATSMessageBus",
    "Outcome",
    "PostgreSQLEventStore",
    "PostgreSQLSnapshotStore",
    "ProcessManager",
    "ProcessRunner",
    "Progress",
    "Projection",
    "ProjectionEngine",
    "Projector",
    "PublishResult",
    "Query",
    "RabbitMQMessageBus",
    "RecordedEvent",
    "RedisMessageBus",
    "Relay",
    "Repository",
    "SQLCheckpoints",
    "SQLInbox",
    "SQLOutbox",
    "SQLProjection",
    "SQLTransaction",
    "SQLiteEventStore",
    "SQLiteProjection",
    "SQLiteSnapshotStore",
    "Saga",
    "SagaContext",
    "SagaState",
    "SagaStatus",
    "SagaStep",
    "Snapshot",
    "SnapshotStore",
    "StoreSource",
    "Stored",
    "Stream",
    "StreamFacts",
    "Subscription",
    "Tail",
    "UnknownMessage",
    "Upcasters",
    "catch_up",
    "catch_up_async",
    "current_message",
    "decode",
    "delivery_count",
    "encode",
    "fold",
    "from_cloudevent",
    "idempotent",
    "on",
    "on_wake",
    "to_cloudevent",
]


__getattr__ = lookup(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
