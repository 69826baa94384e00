"""State as the fold of its events: aggregates, repositories, snapshots, command handlers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from honeyhive.events import (
    Aggregate,
    AsyncInMemoryEventStore,
    AsyncRepository,
    Command,
    CommandHandler,
    Event,
    EventLog,
    EventStore,
    InMemoryEventStore,
    InMemoryMessageBus,
    InMemoryProjection,
    InMemorySnapshotStore,
    JournalEventStore,
    MessageBus,
    Module,
    Repository,
    Snapshot,
    SnapshotStore,
    SQLiteEventStore,
    catch_up,
    fold,
    on,
)
from honeyhive.exceptions import AggregateNotFoundError, ConcurrencyError
from honeyhive.testing import ManualClock


@dataclass(frozen=True, kw_only=True)
class OrderPlaced(Event):
    order_id: str
    customer: str


@dataclass(frozen=True, kw_only=True)
class ItemAdded(Event):
    name: str


@dataclass(frozen=True, kw_only=True)
class OrderCancelled(Event):
    reason: str


@dataclass
class Order(Aggregate):
    order_id: str = ""
    status: str = "new"
    items: list[str] = field(default_factory=list)

    def cancel(self, reason: str = "changed my mind") -> None:
        if self.status != "pending":
            raise ValueError("only a pending order can be cancelled")
        self.record(OrderCancelled(reason=reason))

    @on(OrderPlaced)
    def _placed(self, event: OrderPlaced) -> None:
        self.order_id = event.order_id
        self.status = "pending"

    @on(ItemAdded)
    def _added(self, event: ItemAdded) -> None:
        self.items.append(event.name)

    @on(OrderCancelled)
    def _cancelled(self, _: OrderCancelled) -> None:
        self.status = "cancelled"


@dataclass(frozen=True, kw_only=True)
class PlaceOrder(Command):
    order_id: str
    customer: str


class PlaceOrderHandler(CommandHandler[PlaceOrder]):
    def handle(self, command: PlaceOrder) -> None:
        order = Order.from_events(self.store.load(command.order_id))
        if order.status != "new":
            raise ValueError("there is such an order already")
        placed = OrderPlaced(order_id=command.order_id, customer=command.customer)
        self.commit(command.order_id, [placed], expected_version=0)


class OrdersByCustomer(InMemoryProjection):
    def clear(self) -> None:
        self.orders: dict[str, list[str]] = {}

    @on(OrderPlaced)
    def _placed(self, event: OrderPlaced) -> None:
        self.orders.setdefault(event.customer, []).append(event.order_id)


STORES = ["memory", "journal", "sqlite"]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    makers: dict[str, Any] = {
        "memory": InMemoryEventStore,
        "journal": lambda: JournalEventStore(tmp_path / "events"),
        "sqlite": lambda: SQLiteEventStore(tmp_path / "events.db"),
    }
    with closing(makers[request.param]()) as made:
        yield made


def place(store: EventStore, *items: str) -> None:
    store.save("o-1", [OrderPlaced(order_id="o-1", customer="Ada"), *(ItemAdded(name=item) for item in items)])


@pytest.mark.acceptance("O5")
def test_state_is_the_fold_of_its_events() -> None:
    events = [OrderPlaced(order_id="o-1", customer="Ada"), ItemAdded(name="tea"), OrderCancelled(reason="no tea")]

    def apply(status: str | None, event: Event) -> str:
        return f"{status or 'nothing'} > {event.type}"

    assert "nothing > OrderPlaced > ItemAdded > OrderCancelled" == fold(apply, events)
    assert Order(order_id="o-1", status="cancelled", items=["tea"]) == Order.from_events(events)


@pytest.mark.acceptance("O12")
def test_an_aggregate_enforces_its_rules_and_collects_its_events() -> None:
    order = Order.from_events([OrderPlaced(order_id="o-1", customer="Ada")])

    order.cancel("too late")

    with pytest.raises(ValueError, match="only a pending order"):
        order.cancel()
    assert ["too late"] == [event.reason for event in order.changes if isinstance(event, OrderCancelled)]
    assert "cancelled" == order.status


@pytest.mark.acceptance("O16")
def test_aggregates_are_saved_as_events_and_rebuilt_from_them(store: EventLog) -> None:
    orders = Repository(store, Order)
    order = Order()
    order.record(OrderPlaced(order_id="o-1", customer="Ada"))
    orders.save("o-1", order)

    again = orders.load("o-1")
    again.cancel()
    orders.save("o-1", again)

    assert (2, "cancelled", ()) == (again.version, again.status, again.changes)
    assert "cancelled" == Order.from_events(store.load("o-1")).status


def test_an_aggregate_changed_meanwhile_is_not_overwritten(store: EventLog) -> None:
    place(store)
    orders = Repository(store, Order)
    mine, theirs = orders.load("o-1"), orders.load("o-1")
    theirs.record(ItemAdded(name="tea"))
    orders.save("o-1", theirs)

    mine.cancel()

    with pytest.raises(ConcurrencyError) as caught:
        orders.save("o-1", mine)
    assert (1, 2) == (caught.value.expected_version, caught.value.actual_version)
    assert 1 == len(mine.changes)


def test_an_update_begins_anew_when_somebody_came_between(store: EventLog) -> None:
    place(store)
    orders = Repository(store, Order)
    tries: list[int] = []

    def decide(order: Order) -> None:
        tries.append(order.version)
        if len(tries) == 1:
            store.save("o-1", [ItemAdded(name="theirs")])
        order.record(ItemAdded(name="mine"))

    orders.update("o-1", decide)

    assert [1, 2] == tries
    assert ["theirs", "mine"] == orders.load("o-1").items


def test_an_update_gives_up_after_some_attempts(store: EventLog) -> None:
    place(store)

    def decide(order: Order) -> None:
        store.save("o-1", [ItemAdded(name="theirs")])
        order.record(ItemAdded(name="mine"))

    with pytest.raises(ConcurrencyError):
        Repository(store, Order).update("o-1", decide, attempts=2)
    assert ["theirs"] * 2 == Order.from_events(store.load("o-1")).items


def test_an_aggregate_that_does_not_exist_says_so(store: EventLog) -> None:
    orders = Repository(store, Order)

    with pytest.raises(AggregateNotFoundError, match="'nobody'"):
        orders.load("nobody")
    with pytest.raises(AggregateNotFoundError):
        orders.update("nobody", Order.cancel)
    assert orders.find("nobody") is None
    assert 1 == orders.update("o-2", lambda o: o.record(ItemAdded(name="tea")), create=True).version


@pytest.mark.acceptance("O7")
def test_state_can_be_rebuilt_as_of_any_version_and_any_moment() -> None:
    clock = ManualClock()
    store = InMemoryEventStore(clock=clock)
    orders = Repository(store, Order)
    place(store)
    clock.advance(60)
    store.save("o-1", [ItemAdded(name="tea")])
    clock.advance(60)
    store.save("o-1", [OrderCancelled(reason="no tea")])
    first = store.history("o-1")[0].recorded_at

    assert "pending" == orders.load("o-1", as_of=2).status
    assert [] == orders.load("o-1", as_of=first + timedelta(seconds=59)).items
    assert ["tea"] == orders.load("o-1", as_of=first + timedelta(seconds=60)).items
    assert "cancelled" == orders.load("o-1").status
    assert orders.find("o-1", as_of=first - timedelta(seconds=1)) is None


@pytest.mark.acceptance("O6")
@pytest.mark.acceptance("O9")
def test_the_history_tells_who_did_what_when_and_because_of_what() -> None:
    """How an order came to be as it is can be read from its events, months later."""
    clock = ManualClock()
    store, bus = InMemoryEventStore(clock=clock), InMemoryMessageBus()
    bus.subscribe(PlaceOrder, PlaceOrderHandler(bus, store))
    command = PlaceOrder(order_id="o-1", customer="Ada")
    bus.publish(command)
    clock.advance(3_600)
    store.save("o-1", [OrderCancelled(reason="fraud")])

    placed, cancelled = store.history("o-1")

    assert ("OrderPlaced", 1, command.id) == (placed.type, placed.version, placed.event.causation_id)
    assert ("OrderCancelled", 2) == (cancelled.type, cancelled.version)
    assert timedelta(hours=1) == cancelled.recorded_at - placed.recorded_at
    assert ["pending", "cancelled"] == [
        Order.from_events(store.load("o-1", as_of=version)).status for version in (1, 2)
    ]


@pytest.mark.acceptance("O26")
def test_a_snapshot_and_the_events_after_it_are_the_whole_state(store: EventLog) -> None:
    """The form of the how-to: load the snapshot, apply what came after its version."""
    snapshots: SnapshotStore = InMemorySnapshotStore()
    place(store, "tea")
    snapshots.save(Snapshot("o-1", 2, Order.from_events(store.load("o-1"))))
    store.save("o-1", [ItemAdded(name="milk")])

    snapshot = snapshots.load("o-1")
    assert snapshot is not None
    order = snapshot.aggregate
    recent = store.load_after_version("o-1", snapshot.version)
    for event in recent:
        order.apply(event)

    assert 1 == len(recent)
    assert Order.from_events(store.load("o-1")) == order


def test_a_repository_leaves_a_snapshot_now_and_then_and_begins_there() -> None:
    loaded: list[int] = []

    class Watched(InMemoryEventStore):
        def load(self, aggregate_id: str, from_version: int = 0, **others: Any) -> Any:
            loaded.append(from_version)
            return super().load(aggregate_id, from_version, **others)

    orders = Repository(Watched(), Order, snapshots=InMemorySnapshotStore(), snapshot_every=10)
    for number in range(25):
        orders.update("o-1", lambda o, number=number: o.record(ItemAdded(name=str(number))), create=True)

    assert [str(number) for number in range(25)] == orders.load("o-1").items
    assert {0, 10, 20} == set(loaded)
    assert ["0", "1"] == orders.load("o-1", as_of=2).items


def test_a_snapshot_store_that_fails_costs_nothing_but_time(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(InMemorySnapshotStore):
        def save(self, snapshot: Snapshot[Any]) -> object:
            raise OSError("the disk is full")

    orders = Repository(InMemoryEventStore(), Order, snapshots=Broken(), snapshot_every=1)

    orders.update("o-1", lambda order: order.record(ItemAdded(name="tea")), create=True)

    assert ["tea"] == orders.load("o-1").items
    assert "save a snapshot" in caplog.text


@pytest.mark.acceptance("O11")
def test_a_module_registers_its_handlers_with_bus_and_store() -> None:
    class OrderModule(Module):
        def __init__(self) -> None:
            self.mails: list[str] = []

        def register(self, bus: MessageBus, store: EventStore) -> None:
            bus.subscribe(PlaceOrder, PlaceOrderHandler(bus, store))
            bus.subscribe(OrderPlaced, self._send_mail)

        def _send_mail(self, event: OrderPlaced) -> None:
            self.mails.append(event.customer)

    bus, store, module = InMemoryMessageBus(), InMemoryEventStore(), OrderModule()
    module.register(bus, store)

    bus.publish(PlaceOrder(order_id="o-1", customer="Ada"))

    assert ["Ada"] == module.mails
    assert 1 == store.head()


@pytest.mark.acceptance("O18")
def test_a_command_flows_through_handler_store_and_bus_into_projections(store: EventLog) -> None:
    bus, analytics, by_customer = InMemoryMessageBus(), list[str](), OrdersByCustomer()
    bus.subscribe(PlaceOrder, PlaceOrderHandler(bus, store))
    bus.subscribe(OrderPlaced, lambda event: analytics.append(event.order_id))

    bus.publish(PlaceOrder(order_id="o-1", customer="Ada"))
    with pytest.raises(ValueError, match="already"):
        bus.publish(PlaceOrder(order_id="o-1", customer="Eve"))
    catch_up(store, by_customer)

    assert ["o-1"] == analytics
    assert {"Ada": ["o-1"]} == by_customer.orders


@pytest.mark.acceptance("O31")
@pytest.mark.parametrize("kind", STORES)
def test_the_same_code_runs_on_any_store(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Whatever stands here for production and for tests, the program between them is one."""
    stores: dict[str, Any] = {
        "memory": InMemoryEventStore,
        "journal": lambda: JournalEventStore(tmp_path / "events"),
        "sqlite": lambda: SQLiteEventStore(tmp_path / "events.db"),
    }
    bus = InMemoryMessageBus()
    with closing(stores[kind]()) as store:
        bus.subscribe(PlaceOrder, PlaceOrderHandler(bus, store))

        bus.publish(PlaceOrder(order_id="o-1", customer="Ada"))
        Repository(store, Order).update("o-1", Order.cancel)

        assert ["OrderPlaced", "OrderCancelled"] == [event.type for event in store.load("o-1")]


@pytest.mark.acceptance("O25")
def test_subscribing_and_saving_do_the_same_work_however_much_there_is() -> None:
    """Counted in calls of Python functions, which does not depend on the machine."""
    import sys

    def calls(work: Any) -> int:
        count = 0

        def note(_: object, event: str, __: object) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(note)
        try:
            work()
        finally:
            sys.setprofile(None)
        return count

    def effort(already: int) -> tuple[int, int]:
        store, bus = InMemoryEventStore(), InMemoryMessageBus()
        for number in range(already):
            store.save("o-1", [ItemAdded(name=str(number))])
            bus.subscribe(ItemAdded, lambda event: None)
        event = ItemAdded(name="last")
        return calls(lambda: store.save("o-1", [event])), calls(lambda: bus.subscribe(ItemAdded, lambda event: None))

    assert effort(10) == effort(1_000)


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """A user's own store, with what the protocol asks for and nothing more."""

    events: dict[str, list[Event]] = field(default_factory=dict)

    def save(self, aggregate_id: str, events: Sequence[Event], expected_version: int | None = None) -> None:
        self.events.setdefault(aggregate_id, []).extend(events)

    def load(self, aggregate_id: str, from_version: int = 0) -> list[Event]:
        return self.events.get(aggregate_id, [])[from_version:]

    def load_after_version(self, aggregate_id: str, version: int) -> list[Event]:
        return self.load(aggregate_id, version)


def test_a_store_of_ones_own_needs_three_methods() -> None:
    orders = Repository(Ledger(), Order, snapshots=InMemorySnapshotStore(), snapshot_every=2)

    for name in ("tea", "milk", "sugar"):
        orders.update("o-1", lambda order, name=name: order.record(ItemAdded(name=name)), create=True)

    assert (["tea", "milk", "sugar"], 3) == (orders.load("o-1").items, orders.load("o-1").version)


@pytest.mark.anyio
@pytest.mark.acceptance("O32")
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_repositories_have_an_asynchronous_form() -> None:
    store = AsyncInMemoryEventStore()
    orders = AsyncRepository(store, Order, snapshots=InMemorySnapshotStore(), snapshot_every=1)

    async def decide(order: Order) -> None:
        order.record(ItemAdded(name="tea"))

    await orders.update("o-1", decide, create=True)
    await orders.update("o-1", lambda order: order.record(ItemAdded(name="milk")))

    assert ["tea", "milk"] == (await orders.load("o-1")).items
    assert ["tea"] == (await orders.load("o-1", as_of=1)).items
    with pytest.raises(AggregateNotFoundError):
        await orders.load("nobody")


def test_an_asynchronous_store_in_a_blocking_repository_is_refused() -> None:
    orders: Any = Repository(AsyncInMemoryEventStore(), Order)  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="asynchronous form"):
        orders.load("o-1")
