"""What a type checker knows of messages and buses. Checked by mypy and pyright, never run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, assert_type

from honeyhive.events import Command, Event, InMemoryMessageBus, Message, MessageBus, Module, PublishResult, Query


@dataclass(frozen=True, kw_only=True)
class CreateOrder(Command):
    """Declared with the decorator."""

    order_id: str
    lines: list[str] = field(default_factory=list[str])


class GetOrder(Query, type="shop.get"):
    """Declared without it."""

    order_id: str


class OrderCreated(Event):
    """An event."""

    order_id: str = "1"


def construction_is_checked() -> None:
    assert_type(CreateOrder(order_id="1").order_id, str)
    assert_type(GetOrder(order_id="1", subject="s").subject, str | None)
    GetOrder("1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    GetOrder(order_id=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CreateOrder()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def messages_do_not_change(message: GetOrder) -> None:
    message.order_id = "2"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


class CreateOrderHandler:
    """An object that handles."""

    def handle(self, command: CreateOrder) -> None: ...


async def send_email(event: OrderCreated) -> None:
    """Handle asynchronously."""


def handlers_fit_what_they_subscribe_to(bus: MessageBus) -> None:
    bus.subscribe(CreateOrder, CreateOrderHandler())
    bus.subscribe(OrderCreated, send_email)
    bus.subscribe(CreateOrder, send_email)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class RateLimitedBus(MessageBus):
    """A bus that inherits the protocol."""

    def subscribe(self, message_type: Any, handler: Any) -> None: ...

    def publish(self, message: Message) -> None: ...


class DuckBus:
    """A bus that inherits nothing."""

    def subscribe(self, message_type: Any, handler: Any) -> None: ...

    def publish(self, message: Message) -> None: ...


class AsyncBus:
    """An asynchronous bus."""

    def subscribe(self, message_type: Any, handler: Any) -> None: ...

    async def publish(self, message: Message) -> None: ...


class OrderModule(Module):
    """A part of an application."""

    def register(self, bus: MessageBus, store: Any) -> None:
        bus.subscribe(CreateOrder, CreateOrderHandler())


def buses_are_what_has_the_methods() -> None:
    OrderModule().register(RateLimitedBus(), None)
    OrderModule().register(DuckBus(), None)
    OrderModule().register(AsyncBus(), None)
    OrderModule().register(InMemoryMessageBus(), None)
    assert_type(InMemoryMessageBus().publish(OrderCreated()), PublishResult)
