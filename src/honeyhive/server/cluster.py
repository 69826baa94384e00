"""The backend as several processes: any number of HTTP processes, workers and schedulers, on PostgreSQL and a broker.

::

    honeyhive run honeyhive.server.cluster:backend http
    honeyhive run honeyhive.server.cluster:backend worker
    honeyhive run honeyhive.server.cluster:backend scheduler

The controllers are those of `honeyhive.server.service`; only what lies beneath is another: a log and a read model in one
database, a bus that reaches other machines, and a ledger of ticks that schedulers share.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from anyio import to_thread

from honeyhive.events import MessageBus, NATSMessageBus, RabbitMQMessageBus, RedisMessageBus
from honeyhive.events.buses.engine import EngineMessageBus
from honeyhive.events.sql.database import engine_of
from honeyhive.exceptions import ConfigurationError
from honeyhive.runtime import SqlTickLedger, TickLedger, every
from honeyhive.server.admission.limits import Limits
from honeyhive.server.admission.security import Access, access_of
from honeyhive.server.config import ClusterConfig
from honeyhive.server.reading.live import Teller
from honeyhive.server.retention.keeping import Keeping, Retention
from honeyhive.server.service import CORE, ending_on_failure
from honeyhive.server.storage.interface import Storage
from honeyhive.server.storage.postgres import PostgresStorage
from honeyhive.server.storage.projecting import Announcer

__all__ = ["backend"]

_BUSES: Final[Mapping[str, type[EngineMessageBus]]] = {
    "amqp": RabbitMQMessageBus,
    "amqps": RabbitMQMessageBus,
    "nats": NATSMessageBus,
    "redis": RedisMessageBus,
    "rediss": RedisMessageBus,
}


class Sweeping:
    """Has one of the schedulers look every minute whether too much is kept.

    Args:
        retention: Says what is too much.
    """

    def __init__(self, retention: Retention) -> None:
        self._keeping = Keeping(retention)

    @every("* * * * *")
    async def sweep(self) -> None:
        """Forget what is not to be kept."""
        await self._keeping.sweep()


async def broker_bus(config: ClusterConfig) -> AsyncIterator[MessageBus]:
    url = config.bus_url.get_secret_value()
    kind = _BUSES.get(urlsplit(url).scheme)
    if kind is None:
        raise ConfigurationError("HH_SERVER_BUS_URL is of no known kind; write amqp://, nats:// or redis://")
    async with kind(url, name="honeyhive", group="backend") as bus:
        yield bus


async def sql_ledger(config: ClusterConfig) -> AsyncIterator[TickLedger]:
    engine = engine_of(config.database_url.get_secret_value())
    try:
        async with SqlTickLedger(engine) as ledger:
            yield ledger
    finally:
        await engine.dispose()


async def database(
    config: ClusterConfig, limits: Limits, announcer: Announcer, teller: Teller
) -> AsyncIterator[Storage]:
    async with ending_on_failure() as fail:
        storage = PostgresStorage(
            config.database_url.get_secret_value(),
            on_append=announcer.note,
            on_readable=teller.tell,
            on_failure=fail,
            limits=limits,
        )
        try:
            await to_thread.run_sync(storage.connect)
            yield storage
        finally:
            await to_thread.run_sync(storage.close)


def retention(storage: Storage, config: ClusterConfig) -> Retention:
    return Retention(storage.forgetter, keep_s=config.keep_s)


def shared_access(config: ClusterConfig) -> Access:
    return access_of(config)


backend = replace(
    CORE,
    providers=[*CORE.providers, broker_bus, sql_ledger, database, retention, shared_access],
    controllers=[*CORE.controllers, Sweeping],
    config=ClusterConfig,
)
"""The backend as several processes."""
