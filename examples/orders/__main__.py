"""Three orders: one is paid and sent, one is not paid, one cannot be sent.

    python -m orders

runs from this folder's parent and keeps its data in a temporary one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from honeyhive.events import Repository
from honeyhive.testing import ManualClock
from orders.application import PAYMENT_S, PlaceOrder
from orders.domain import Order
from orders.infrastructure import Shop, running_shop


def main() -> None:
    """Run the shop for two hours, by a clock that is moved by hand."""
    clock, stock = ManualClock(), {"tea": 2, "cup": 1}
    with tempfile.TemporaryDirectory() as folder, running_shop(Path(folder), stock, print, clock) as shop:
        place(shop, "order-1", "tea", "cup")
        place(shop, "order-2", "tea")
        place(shop, "order-3", "cup")
        print("open:", shop.open_orders.of("ada"))

        orders = Repository(shop.store, Order)
        orders.update("order-1", Order.pay)
        shop.settle()
        print("stock:", stock)

        clock.advance(PAYMENT_S)
        shop.payments.tick()
        orders.update("order-3", Order.pay)
        shop.settle()

        clock.advance(PAYMENT_S)
        shop.payments.tick()
        shop.settle()
        print("open:", shop.open_orders.of("ada"))
        print("order-2:", [record.type for record in shop.store.history("order-2")])
        print("order-1 at first:", orders.load("order-1", as_of=1).status)


def place(shop: Shop, order_id: str, *items: str) -> None:
    """Order *items* and let everything that follows happen."""
    shop.bus.publish(PlaceOrder(order_id=order_id, customer_id="ada", items=items, cents=100 * len(items)))
    shop.settle()


if __name__ == "__main__":
    main()
