"""A part of an application that connects itself."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from honeyhive.events.bus import MessageBus

__all__ = ["Module"]


@runtime_checkable
class Module(Protocol):
    """Knows which of its handlers belong to which messages, and which store they need.

    ::

        class OrderModule(Module):
            def register(self, bus, store):
                bus.subscribe(CreateOrder, CreateOrderHandler(bus, store))
                bus.subscribe(OrderCreated, send_email)
    """

    def register(self, bus: MessageBus, store: Any) -> None:
        """Subscribe the handlers of this part to *bus* and give them *store*."""
        ...
