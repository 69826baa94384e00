"""Process managers: what follows from an event, and from nothing happening for too long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from honeyhive.events import (
    AsyncInMemoryEventStore,
    AsyncProcessRunner,
    Command,
    Event,
    EventLog,
    InMemoryCheckpoints,
    InMemoryEventStore,
    InMemoryMessageBus,
    Message,
    ProcessManager,
    ProcessRunner,
    ProjectionEngine,
    Projector,
    StoreSource,
    on,
    on_wake,
)
from honeyhive.exceptions import PublishError
from honeyhive.resilience import RetryPolicy
from honeyhive.testing import ManualClock


class OrderPlaced(Event):
    order_id: str


class PaymentReceived(Event):
    order_id: str


class RequestPayment(Command):
    order_id: str
    attempt: int


class ShipOrder(Command):
    order_id: str


class CancelOrder(Command):
    order_id: str


@dataclass
class Dispatching(ProcessManager):
    attempts: int = 0

    @classmethod
    def key(cls, event: Event) -> str | None:
        return getattr(event, "order_id", None)

    @on(OrderPlaced)
    def _placed(self, event: OrderPlaced) -> None:
        self._ask()

    @on(PaymentReceived)
    def _paid(self, event: PaymentReceived) -> None:
        self.send(ShipOrder(order_id=self.process_id))
        self.finish()

    @on_wake("payment")
    def _unpaid(self) -> None:
        if self.attempts < 2:
            self._ask()
        else:
            self.send(CancelOrder(order_id=self.process_id))
            self.finish()

    def _ask(self) -> None:
        self.attempts += 1
        self.send(RequestPayment(order_id=self.process_id, attempt=self.attempts))
        self.wake("payment", after_s=60)


class World:
    """A store, a bus that notes commands, and runners that come and go."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = InMemoryEventStore(clock=self.clock)
        self.checkpoints = InMemoryCheckpoints()
        self.bus = InMemoryMessageBus()
        self.told: list[Message] = []
        self.bus.subscribe(Command, self.told.append)

    def runner(self, bus: Any = None) -> ProcessRunner:
        return ProcessRunner(Dispatching, self.store, bus or self.bus, self.checkpoints, clock=self.clock)

    def catch_up(self, runner: ProcessRunner) -> None:
        runner.open()
        runner.position()
        runner.apply(self.store.read_all())

    @property
    def commands(self) -> list[tuple[str, str]]:
        return [(each.type, getattr(each, "order_id", "")) for each in self.told]


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.acceptance("O36")
def test_a_process_drives_work_across_aggregates(world: World) -> None:
    runner = world.runner()
    world.store.save("order-1", [OrderPlaced(order_id="o-1"), OrderPlaced(order_id="o-2")])
    world.store.save("payment-1", [PaymentReceived(order_id="o-1")])

    world.catch_up(runner)

    assert [("RequestPayment", "o-1"), ("RequestPayment", "o-2"), ("ShipOrder", "o-1")] == world.commands


def test_a_process_that_waits_too_long_is_woken(world: World) -> None:
    runner = world.runner()
    world.store.save("order-1", [OrderPlaced(order_id="o-1")])
    world.catch_up(runner)

    woken = []
    for _ in range(4):
        world.clock.advance(59)
        woken.append(runner.tick())
        world.clock.advance(1)
        woken.append(runner.tick())

    assert [0, 1, 0, 1, 0, 0, 0, 0] == woken
    assert ["RequestPayment", "RequestPayment", "CancelOrder"] == [name for name, _ in world.commands]
    assert runner.next_wake_ns is None


def test_a_finished_process_is_reached_by_nothing_more(world: World) -> None:
    runner = world.runner()
    world.store.save("o", [OrderPlaced(order_id="o-1"), PaymentReceived(order_id="o-1"), OrderPlaced(order_id="o-1")])

    world.catch_up(runner)
    world.clock.advance(3_600)
    runner.tick()

    assert ["RequestPayment", "ShipOrder"] == [name for name, _ in world.commands]


def test_an_event_that_comes_again_changes_nothing(world: World) -> None:
    world.store.save("order-1", [OrderPlaced(order_id="o-1")])
    world.catch_up(world.runner())
    world.checkpoints.save("process Dispatching", None)

    world.catch_up(world.runner())

    assert 1 == len(world.commands)


def test_a_new_runner_knows_who_wants_to_be_woken(world: World) -> None:
    world.store.save("order-1", [OrderPlaced(order_id="o-1")])
    world.catch_up(world.runner())
    again = world.runner()

    again.open()
    due_ns = again.next_wake_ns
    world.clock.advance(60)
    again.tick()

    assert due_ns is not None
    assert 2 == len(world.commands)


def test_commands_that_a_crash_kept_back_are_published_by_the_next_runner(world: World) -> None:
    """At least once, in their order, each time with the same id."""
    published: list[Message] = []

    class DyingBus:
        def subscribe(self, *_: object) -> None: ...

        def publish(self, message: Message) -> None:
            published.append(message)
            raise KeyboardInterrupt

    world.store.save("order-1", [OrderPlaced(order_id="o-1")])
    with pytest.raises(KeyboardInterrupt):
        world.catch_up(world.runner(DyingBus()))
    world.store.save("payment-1", [PaymentReceived(order_id="o-1")])

    world.catch_up(world.runner())

    assert ["RequestPayment", "ShipOrder"] == [name for name, _ in world.commands]
    assert published[0].id == world.told[0].id


def test_a_command_whose_handler_fails_is_sent_all_the_same(world: World, caplog: pytest.LogCaptureFixture) -> None:
    bus = InMemoryMessageBus()

    def fail(_: RequestPayment) -> None:
        raise ValueError("no money here")

    bus.subscribe(RequestPayment, fail)
    bus.subscribe(ShipOrder, world.told.append)
    world.store.save("order-1", [OrderPlaced(order_id="o-1"), PaymentReceived(order_id="o-1")])

    world.catch_up(world.runner(bus))

    assert ["ShipOrder"] == [name for name, _ in world.commands]
    assert "no money here" in caplog.text


def test_a_broker_that_is_away_is_waited_for(world: World) -> None:
    class AwayOnce:
        tries = 0

        def subscribe(self, *_: object) -> None: ...

        def publish(self, message: Message) -> None:
            self.tries += 1
            if self.tries == 1:
                raise PublishError("no confirmation")
            world.bus.publish(message)

    projector = Projector(StoreSource(world.store), world.runner(AwayOnce()), retry=RetryPolicy(delay=0), poll_s=None)
    projector.start()
    saved = world.store.save("order-1", [OrderPlaced(order_id="o-1")])
    projector.nudge()
    projector.reached(saved.position).result(timeout=10)
    projector.stop()

    assert ["RequestPayment"] == [name for name, _ in world.commands]


def test_what_a_process_sends_is_caused_by_what_it_reacted_to(world: World) -> None:
    placed = OrderPlaced(order_id="o-1", correlation_id="shopping")
    world.store.save("order-1", [placed])

    world.catch_up(world.runner())

    assert (placed.id, "shopping") == (world.told[0].causation_id, world.told[0].correlation_id)


def test_a_runner_and_its_schedule_may_meet(world: World) -> None:
    """The reaction of whoever comes second is made anew from the state that the first has left."""
    world.store.save("order-1", [OrderPlaced(order_id="o-1")])
    runner, schedule = world.runner(), world.runner()
    world.catch_up(runner)
    schedule.open()
    world.clock.advance(60)
    world.store.save("payment-1", [PaymentReceived(order_id="o-1")])

    world.catch_up(runner)
    schedule.tick()

    assert ["RequestPayment", "ShipOrder"] == [name for name, _ in world.commands]


def test_the_engine_runs_processes_beside_read_models(world: World) -> None:
    with ProjectionEngine(world.store, world.runner()) as engine:
        saved = world.store.save("order-1", [OrderPlaced(order_id="o-1")])
        engine.wait_for(saved.position, timeout_s=10)

    assert ["RequestPayment"] == [name for name, _ in world.commands]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_an_asynchronous_runner_awaits_store_and_bus() -> None:
    told: list[Message] = []

    class AwaitedBus:
        def subscribe(self, *_: object) -> None: ...

        async def publish(self, message: Message) -> None:
            told.append(message)

    clock, store = ManualClock(), AsyncInMemoryEventStore()
    runner = AsyncProcessRunner(Dispatching, store, AwaitedBus(), InMemoryCheckpoints(), clock=clock)
    await store.save("order-1", [OrderPlaced(order_id="o-1")])

    await runner.open()
    await runner.position()
    await runner.apply(await store.read_all())
    clock.advance(60)
    woken = await runner.tick()

    assert 1 == woken
    assert [1, 2] == [getattr(each, "attempt", 0) for each in told]


def test_the_history_of_a_process_can_be_read(world: World) -> None:
    world.store.save("order-1", [OrderPlaced(order_id="o-1")])
    world.catch_up(world.runner())
    log: EventLog = world.store

    assert ["honeyhive.process.advanced", "honeyhive.process.told"] == [
        record.type for record in log.history("process:Dispatching:o-1")
    ]
