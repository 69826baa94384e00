"""Which bus, which store and which read models the shop runs on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from honeyhive.events import (
    BlockingSQLEventStore,
    InMemoryMessageBus,
    ProcessRunner,
    ProjectionEngine,
    Relay,
    SQLiteEventStore,
    SQLiteProjection,
    on,
)
from honeyhive.utils import Clock, SystemClock
from orders.application import Notify, OrderModule, Payment, Stock
from orders.domain import OrderCancelled, OrderPaid, OrderPlaced, OrderShipped


class OpenOrders(SQLiteProjection):
    """What people at the counter ask for: which orders are open, and how they are."""

    name = "open orders"
    schema = "CREATE TABLE open_orders (order_id TEXT PRIMARY KEY, customer_id TEXT, cents INTEGER, status TEXT);"

    @on(OrderPlaced)
    def _placed(self, event: OrderPlaced) -> None:
        self.connection.execute(
            "INSERT INTO open_orders VALUES (?, ?, ?, 'pending')", (event.order_id, event.customer_id, event.cents)
        )

    @on(OrderPaid)
    def _paid(self, event: OrderPaid) -> None:
        self.connection.execute("UPDATE open_orders SET status = 'paid' WHERE order_id = ?", (event.order_id,))

    @on(OrderShipped, OrderCancelled)
    def _closed(self, event: OrderShipped | OrderCancelled) -> None:
        self.connection.execute("DELETE FROM open_orders WHERE order_id = ?", (event.order_id,))

    def of(self, customer_id: str) -> list[tuple[str, str]]:
        """Return id and status of a customer's open orders."""
        with closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute(
                "SELECT order_id, status FROM open_orders WHERE customer_id = ? ORDER BY order_id", (customer_id,)
            )
            return [(order_id, status) for order_id, status in rows]


@dataclass(frozen=True)
class Shop:
    """Everything, running."""

    bus: InMemoryMessageBus
    store: BlockingSQLEventStore
    open_orders: OpenOrders
    payments: ProcessRunner
    engine: ProjectionEngine

    def settle(self) -> None:
        """Return when read models, relay and processes have dealt with all that was saved."""
        while True:
            head = self.store.head()
            self.engine.wait_for(head, timeout_s=30)
            if self.store.head() == head:  # processes save too
                return


@contextmanager
def running_shop(folder: Path, stock: Stock, notify: Notify, clock: Clock | None = None) -> Iterator[Shop]:
    """Run the shop on SQLite in *folder* for a block.

    Events leave by a relay, so one that is saved is published, whatever happens in between.
    """
    clock = clock or SystemClock()
    with closing(SQLiteEventStore(folder / "shop.db", clock=clock)) as store:
        bus = InMemoryMessageBus()
        OrderModule(stock, notify).register(bus, store)
        open_orders = OpenOrders(folder / "open_orders.db")
        payments = ProcessRunner(Payment, store, bus, store.checkpoints, clock=clock)
        relay = Relay(bus, store.checkpoints, wanted=lambda message: not message.type.startswith("honeyhive."))
        with ProjectionEngine(store, open_orders, relay, payments) as engine:
            yield Shop(bus, store, open_orders, payments, engine)
