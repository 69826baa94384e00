"""Command handlers: load, decide, save, publish."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from honeyhive.events.bus import MessageBus
from honeyhive.events.messages import Command, Event
from honeyhive.events.store import AsyncEventStore, EventStore

__all__ = ["AsyncCommandHandler", "CommandHandler"]

C = TypeVar("C", bound=Command)


class CommandHandler(ABC, Generic[C]):
    """Handles one kind of command. Subscribe an instance: ``bus.subscribe(CreateOrder, CreateOrderHandler(bus, store))``.

    Args:
        bus: Where the events are published.
        store: Where they are saved.
    """

    def __init__(self, bus: MessageBus, store: EventStore) -> None:
        self.bus = bus
        self.store = store

    @abstractmethod
    def handle(self, command: C) -> Any:
        """Do what *command* asks for, or raise."""

    def commit(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> None:
        """Save *events*, then publish them in their order.

        Raises:
            ConcurrencyError: The aggregate is at another version; nothing was saved or published.
        """
        self.store.save(aggregate_id, events, expected_version)
        for event in events:
            self.bus.publish(event)


class AsyncCommandHandler(ABC, Generic[C]):
    """`CommandHandler` for an asynchronous bus and store.

    Args:
        bus: Where the events are published.
        store: Where they are saved.
    """

    def __init__(self, bus: MessageBus, store: AsyncEventStore) -> None:
        self.bus = bus
        self.store = store

    @abstractmethod
    async def handle(self, command: C) -> Any:
        """Do what *command* asks for, or raise."""

    async def commit(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> None:
        """Save *events*, then publish them in their order, as `CommandHandler.commit`."""
        await self.store.save(aggregate_id, events, expected_version)
        for event in events:
            await self.bus.publish(event)
