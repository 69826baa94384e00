"""What an order is and what may happen to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from honeyhive.events import Aggregate, Event, on


class OrderPlaced(Event, key="order_id"):
    """A customer has ordered."""

    order_id: str
    customer_id: str
    items: tuple[str, ...]
    cents: int


class OrderPaid(Event, key="order_id"):
    """The money is there."""

    order_id: str


class OrderShipped(Event, key="order_id"):
    """The parcel is on its way."""

    order_id: str
    parcel: str


class OrderCancelled(Event, key="order_id"):
    """Nothing comes of it."""

    order_id: str
    reason: str


class RuleBroken(Exception):
    """The order may not do that."""


@dataclass
class Order(Aggregate):
    """One order; its methods decide, its reactions remember."""

    order_id: str = ""
    status: str = "new"
    items: list[str] = field(default_factory=list)

    def place(self, order_id: str, customer_id: str, items: tuple[str, ...], cents: int) -> None:
        """Order something; once."""
        if self.status != "new":
            raise RuleBroken(f"order {order_id} has been placed already")
        if not items:
            raise RuleBroken("an order has at least one item")
        self.record(OrderPlaced(order_id=order_id, customer_id=customer_id, items=items, cents=cents))

    def pay(self) -> None:
        """Take the money in."""
        self._require("pending", "paid")
        self.record(OrderPaid(order_id=self.order_id))

    def ship(self, parcel: str) -> None:
        """Send it."""
        self._require("paid", "shipped")
        self.record(OrderShipped(order_id=self.order_id, parcel=parcel))

    def cancel(self, reason: str) -> None:
        """Give it up, while nothing is on its way."""
        if self.status == "cancelled":
            return
        if self.status not in {"pending", "paid"}:
            raise RuleBroken(f"an order that is {self.status} cannot be cancelled")
        self.record(OrderCancelled(order_id=self.order_id, reason=reason))

    def _require(self, status: str, verb: str) -> None:
        if self.status != status:
            raise RuleBroken(f"an order that is {self.status} cannot be {verb}")

    @on(OrderPlaced)
    def _placed(self, event: OrderPlaced) -> None:
        self.order_id, self.status = event.order_id, "pending"
        self.items.extend(event.items)

    @on(OrderPaid)
    def _paid(self, _: OrderPaid) -> None:
        self.status = "paid"

    @on(OrderShipped)
    def _shipped(self, _: OrderShipped) -> None:
        self.status = "shipped"

    @on(OrderCancelled)
    def _cancelled(self, _: OrderCancelled) -> None:
        self.status = "cancelled"
