"""A shop for the tests of several processes: an order is placed by a request, packed by a message, billed on time.

Its database counts every effect, so that one that is lost or doubled shows.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from pydantic import BaseModel
from sqlalchemy import JSON, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.websockets import WebSocket

from honeyhive import HoneyHiveTracer, trace
from honeyhive.events import Event, MessageBus
from honeyhive.runtime import (
    HttpSettings,
    Once,
    OutboxPublishing,
    SchedulerSettings,
    Service,
    Sockets,
    SqlSession,
    SqlTickLedger,
    TickLedger,
    Tracing,
    every,
    get,
    on_message,
    post,
    use_execution,
    use_publisher,
    use_session,
    use_ws_manager,
    websocket,
)
from honeyhive.tracer import with_distributed_trace_context


class Config(BaseModel):
    """Where everything is."""

    database_url: str
    bus_url: str


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    name: Mapped[str] = mapped_column(primary_key=True)
    trace: Mapped[dict[str, str]] = mapped_column(JSON)
    packed: Mapped[int] = mapped_column(default=0)
    billed: Mapped[int] = mapped_column(default=0)


class Tick(Base):
    __tablename__ = "ticks"

    id: Mapped[str] = mapped_column(primary_key=True)
    runs: Mapped[int]


class OrderPlaced(Event, key="order"):
    order: str


class Shop:
    @post("/orders/{name}")
    async def place(self, name: str) -> int:
        carrier: dict[str, str] = {}
        tracer.inject_context(carrier)
        placed = insert(Order).values(name=name, trace=carrier, packed=0, billed=0).on_conflict_do_nothing()
        if (await use_session().execute(placed)).rowcount:
            await use_publisher().publish(OrderPlaced(order=name))
        return os.getpid()

    @get("/orders")
    async def orders(self) -> list[tuple[str, int, int]]:
        found = await use_session().execute(select(Order.name, Order.packed, Order.billed).order_by(Order.name))
        return [tuple(row) for row in found]

    @on_message(OrderPlaced)
    async def pack(self, message: OrderPlaced) -> None:
        await use_session().execute(update(Order).where(Order.name == message.order).values(packed=Order.packed + 1))
        await use_ws_manager().broadcast(f"{message.order} packed by {os.getpid()}")

    @every("* * * * * *", missed="all")
    async def bill(self) -> None:
        use_session().add(Tick(id=use_execution().id, runs=1))
        due = select(Order).where(Order.packed > 0, Order.billed == 0).with_for_update(skip_locked=True)
        for order in await use_session().scalars(due):
            with with_distributed_trace_context(order.trace):
                send_bill(order)

    @get("/ticks")
    async def ticks(self) -> list[str]:
        return list(await use_session().scalars(select(Tick.id).order_by(Tick.id)))

    @websocket("/live")
    async def live(self, socket: WebSocket) -> None:
        async with use_ws_manager().connected(socket):
            async for _ in socket.iter_text():
                pass


@trace(event_name="send bill")
def send_bill(order: Order) -> None:
    order.billed += 1


async def database(config: Config) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(config.database_url)
    yield engine
    await engine.dispose()


async def bus(config: Config) -> AsyncIterator[MessageBus]:
    from honeyhive.events import NATSMessageBus, RabbitMQMessageBus, RedisMessageBus

    kinds = {"amqp": RabbitMQMessageBus, "nats": NATSMessageBus, "redis": RedisMessageBus}
    kind = kinds[config.bus_url.partition(":")[0]]
    async with kind(config.bus_url, name="shop", group="shop", lease_s=2) as opened:
        yield opened


async def ledger(engine: AsyncEngine) -> AsyncIterator[TickLedger]:
    async with SqlTickLedger(engine) as opened:
        yield opened


def sessions(engine: AsyncEngine) -> SqlSession:
    return SqlSession(engine)


def once(engine: AsyncEngine) -> Once:
    return Once(engine)


def publishing(bus: MessageBus, engine: AsyncEngine, ledger: TickLedger) -> OutboxPublishing:
    return OutboxPublishing(bus, engine, ledger)


tracer = HoneyHiveTracer(project="shop")
service = Service(
    "shop",
    providers=[database, bus, ledger],
    controllers=[Shop],
    interceptors=[Tracing(tracer), Sockets, sessions, once, publishing],
    config=Config,
    http=HttpSettings(port=0),
    scheduler=SchedulerSettings(lease_s=3),
)
