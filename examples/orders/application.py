"""What can be asked of the shop: commands, what handles them, and what follows from events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from honeyhive.events import (
    Command,
    Event,
    EventLog,
    MessageBus,
    ProcessManager,
    Repository,
    Saga,
    SagaContext,
    SagaStep,
    on,
    on_wake,
)
from honeyhive.exceptions import SagaError
from orders.domain import Order, OrderCancelled, OrderPaid, OrderPlaced

PAYMENT_S = 3_600
"""How long a customer has to pay."""


class PlaceOrder(Command, key="order_id"):
    """Order something."""

    order_id: str
    customer_id: str
    items: tuple[str, ...]
    cents: int


class CancelOrder(Command, key="order_id"):
    """Give an order up."""

    order_id: str
    reason: str


class ShipOrder(Command, key="order_id"):
    """Send what is paid."""

    order_id: str


class RemindCustomer(Command, key="order_id"):
    """Ask for the money once more."""

    order_id: str


Stock = dict[str, int]
Notify = Callable[[str], None]


class OrderModule:
    """Connects the handlers of orders to a bus and a store; any bus and any store.

    Args:
        stock: How many of each item there are.
        notify: Tells customers something.
    """

    def __init__(self, stock: Stock, notify: Notify) -> None:
        self._stock = stock
        self._notify = notify

    def register(self, bus: MessageBus, store: EventLog) -> None:
        """Subscribe everything."""
        orders = Repository(store, Order)
        shipping = shipping_saga(store, orders, self._stock)
        bus.subscribe(PlaceOrder, lambda command: self._place(orders, command))
        bus.subscribe(CancelOrder, lambda command: orders.update(command.order_id, lambda o: o.cancel(command.reason)))
        bus.subscribe(ShipOrder, lambda command: self._ship(shipping, orders, command.order_id))
        bus.subscribe(RemindCustomer, lambda command: self._notify(f"{command.order_id}: please pay"))
        bus.subscribe(OrderPlaced, lambda event: self._notify(f"{event.order_id}: thank you"))
        bus.subscribe(OrderCancelled, lambda event: self._notify(f"{event.order_id}: cancelled, {event.reason}"))

    def _place(self, orders: Repository[Order], command: PlaceOrder) -> None:
        order = Order()
        order.place(command.order_id, command.customer_id, command.items, command.cents)
        orders.save(command.order_id, order)

    def _ship(self, shipping: Saga, orders: Repository[Order], order_id: str) -> None:
        try:
            shipping.execute(order_id, {"order": order_id})
        except SagaError as error:  # what was done is undone
            reason = error.reason
            orders.update(order_id, lambda order: order.cancel(reason))


def shipping_saga(store: EventLog, orders: Repository[Order], stock: Stock) -> Saga:
    """Return the saga that takes what was ordered out of the stock and sends it, or puts it back."""

    def take(context: SagaContext) -> list[str]:
        items = orders.load(context.data["order"]).items
        short = [item for item in items if stock.get(item, 0) < 1]
        if short:
            raise LookupError(f"there is no {short[0]} left")
        for item in items:
            stock[item] -= 1
        return items

    def put_back(context: SagaContext) -> None:
        for item in context.results["take"]:
            stock[item] += 1

    def send(context: SagaContext) -> None:
        orders.update(context.data["order"], lambda order: order.ship(f"parcel-{context.saga_id}"))

    return Saga("shipping", store, [SagaStep("take", take, undo=put_back), SagaStep("send", send)])


@dataclass
class Payment(ProcessManager):
    """Waits for the money of an order, reminds once, and gives up."""

    reminded: bool = False

    @classmethod
    def key(cls, event: Event) -> str | None:
        """Tell the order."""
        return event.key

    @on(OrderPlaced)
    def _placed(self, _: OrderPlaced) -> None:
        self.wake("unpaid", after_s=PAYMENT_S)

    @on(OrderPaid)
    def _paid(self, _: OrderPaid) -> None:
        self.send(ShipOrder(order_id=self.process_id))
        self.finish()

    @on_wake("unpaid")
    def _unpaid(self) -> None:
        if self.reminded:
            self.send(CancelOrder(order_id=self.process_id, reason="not paid"))
            self.finish()
        else:
            self.reminded = True
            self.send(RemindCustomer(order_id=self.process_id))
            self.wake("unpaid", after_s=PAYMENT_S)
