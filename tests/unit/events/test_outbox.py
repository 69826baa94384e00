"""What was committed is published, and what was published is handled once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from honeyhive.events import (
    AsyncRelay,
    AsyncSQLiteEventStore,
    Checkpoints,
    Command,
    Event,
    FileCheckpoints,
    InMemoryCheckpoints,
    InMemoryEventStore,
    InMemoryMessageBus,
    Message,
    Relay,
    SQLiteEventStore,
    StoreSource,
)
from honeyhive.events.following import Following
from honeyhive.events.steps import run, run_async
from honeyhive.testing import ManualClock


class OrderPlaced(Event):
    order_id: str


class InvoiceMade(Event):
    order_id: str


class SendInvoice(Command):
    order_id: str


class NotingBus:
    """Notes what is published; dies, as a process does, at the publication it is told to."""

    def __init__(self, die_at: int = 0) -> None:
        self.published: list[Message] = []
        self._die_at = die_at

    def subscribe(self, *_: object) -> None: ...

    def publish(self, message: Message) -> None:
        if len(self.published) + 1 == self._die_at:
            raise KeyboardInterrupt
        self.published.append(message)

    @property
    def types(self) -> list[str]:
        return [each.type for each in self.published]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteEventStore]:
    with closing(SQLiteEventStore(tmp_path / "shop.db")) as made:
        yield made


def relay(source: Any, bus: Any, checkpoints: Checkpoints) -> None:
    """Publish all there is, as the relay of a process that then ends."""
    following = Following(source, Relay(bus, checkpoints))
    run(following.begin())
    while run(following.advance()):
        pass


@pytest.mark.acceptance("O37")
def test_the_outbox_publishes_exactly_what_was_committed(store: SQLiteEventStore) -> None:
    bus = NotingBus()
    with store.transaction() as transaction:
        transaction.save("order-1", [OrderPlaced(order_id="1")])
        transaction.publish(SendInvoice(order_id="1"), SendInvoice(order_id="2"))
    with pytest.raises(RuntimeError, match="changed my mind"):
        change_ones_mind(store)

    relay(store.outbox, bus, store.checkpoints)
    relay(store.outbox, bus, store.checkpoints)

    assert ["1", "2"] == [getattr(each, "order_id", "") for each in bus.published]
    assert 1 == store.head()


def test_a_crash_between_saving_and_publishing_loses_nothing(store: SQLiteEventStore) -> None:
    """The relay of the next process publishes the rest; only what it had in hand may come twice."""
    dying, bus = NotingBus(die_at=3), NotingBus()
    for number in range(5):
        store.save(f"order-{number}", [OrderPlaced(order_id=str(number))])

    with pytest.raises(KeyboardInterrupt):
        relay(StoreSource(store, batch=1), dying, store.checkpoints)
    relay(StoreSource(store, batch=1), bus, store.checkpoints)

    assert ["0", "1"] == [getattr(each, "order_id", "") for each in dying.published]
    assert ["2", "3", "4"] == [getattr(each, "order_id", "") for each in bus.published]


def test_a_position_of_the_outbox_is_never_given_twice(store: SQLiteEventStore) -> None:
    bus = NotingBus()
    for number in range(3):
        with store.transaction() as transaction:
            transaction.publish(SendInvoice(order_id=str(number)))
        relay(store.outbox, bus, store.checkpoints)

    assert ["0", "1", "2"] == [getattr(each, "order_id", "") for each in bus.published]


def test_a_message_that_comes_again_is_handled_once(store: SQLiteEventStore) -> None:
    bus = InMemoryMessageBus()

    def bill(placed: OrderPlaced) -> None:
        with store.transaction() as transaction:
            if transaction.receive(placed, consumer="billing"):
                transaction.save(f"invoice-{placed.order_id}", [InvoiceMade(order_id=placed.order_id)])

    bus.subscribe(OrderPlaced, bill)
    placed = OrderPlaced(order_id="1")

    for _ in range(3):
        bus.publish(placed)
    bus.publish(OrderPlaced(order_id="2"))

    assert ["InvoiceMade", "InvoiceMade"] == [record.type for record in store.read_all()]


def test_a_message_whose_handler_failed_may_be_handled_again(store: SQLiteEventStore) -> None:
    placed = OrderPlaced(order_id="1")
    with pytest.raises(ValueError, match="no ink"):
        fail_to_bill(store, placed)

    with store.transaction() as transaction:
        again = transaction.receive(placed, consumer="billing")
        other = transaction.receive(placed, consumer="shipping")

    assert (True, True) == (again, other)


def test_the_events_of_a_transaction_are_all_saved_or_none(store: SQLiteEventStore) -> None:
    told: list[int] = []
    store.watch(told.append)
    events = [OrderPlaced(order_id="1")]

    with store.transaction() as transaction:
        transaction.save("a", events, expected_version=0)
        appended = transaction.save("b", [OrderPlaced(order_id="2")])
        again = transaction.save("a", events)

    assert (2, 0) == (appended.position, again.added)
    assert [2] == told


def test_a_handler_that_fails_does_not_stop_the_relay() -> None:
    bus, handled = InMemoryMessageBus(), list[str]()
    store = InMemoryEventStore()

    def handle(event: OrderPlaced) -> None:
        if event.order_id == "2":
            raise ValueError("not this one")
        handled.append(event.order_id)

    bus.subscribe(OrderPlaced, handle)
    store.save("orders", [OrderPlaced(order_id=str(number)) for number in range(4)])

    relay(StoreSource(store), bus, InMemoryCheckpoints())

    assert ["0", "1", "3"] == handled


def test_checkpoints_in_a_file_are_there_for_the_next_process(tmp_path: Path) -> None:
    first, second = (FileCheckpoints(tmp_path / "checkpoints.json") for _ in range(2))

    first.save("a", 3)
    first.save("b", 4)
    first.save("b", None)

    assert (3, None) == (second.load("a"), second.load("b"))


@pytest.fixture
async def awaited(tmp_path: Path) -> AsyncIterator[tuple[AsyncSQLiteEventStore, ManualClock]]:
    clock = ManualClock()
    store = AsyncSQLiteEventStore(tmp_path / "shop.db", clock=clock)
    yield store, clock
    await store.close()


@pytest.mark.anyio
async def test_an_asynchronous_relay_awaits_outbox_and_bus(awaited: tuple[AsyncSQLiteEventStore, ManualClock]) -> None:
    store, _ = awaited
    bus = NotingBus()
    async with store.transaction() as transaction:
        await transaction.publish(SendInvoice(order_id="1"))

    following = Following(store.outbox, AsyncRelay(bus, store.checkpoints))
    await run_async(following.begin())
    while await run_async(following.advance()):
        pass

    assert ["SendInvoice"] == bus.types


@pytest.mark.anyio
async def test_a_transaction_of_ones_own_takes_events_and_messages_along(
    awaited: tuple[AsyncSQLiteEventStore, ManualClock],
) -> None:
    """A program that has a transaction open already saves in it, and commits or does not."""
    store, _ = awaited
    await store.head()
    async with store.database.engine.connect() as connection:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        async with store.transaction(connection) as transaction:
            await transaction.save("order-1", [OrderPlaced(order_id="1")])
            await transaction.publish(SendInvoice(order_id="1"))
        await connection.rollback()

    assert 0 == await store.head()
    assert [] == await store.outbox.read(None)


@pytest.mark.anyio
async def test_the_inbox_forgets_what_cannot_come_again(awaited: tuple[AsyncSQLiteEventStore, ManualClock]) -> None:
    store, clock = awaited
    old, young = OrderPlaced(order_id="1"), OrderPlaced(order_id="2")
    for message in (old, young):
        async with store.transaction() as transaction:
            await transaction.receive(message, consumer="billing")
        clock.advance(60)

    forgotten = await store.inbox.forget(older_than_s=90)

    async with store.transaction() as transaction:
        assert (1, True, False) == (
            forgotten,
            await transaction.receive(old, consumer="billing"),
            await transaction.receive(young, consumer="billing"),
        )


def change_ones_mind(store: SQLiteEventStore) -> None:
    with store.transaction() as transaction:
        transaction.save("order-2", [OrderPlaced(order_id="2")])
        transaction.publish(SendInvoice(order_id="3"))
        raise RuntimeError("changed my mind")


def fail_to_bill(store: SQLiteEventStore, placed: OrderPlaced) -> None:
    with store.transaction() as transaction:
        assert transaction.receive(placed, consumer="billing")
        raise ValueError("no ink")
