"""Sagas: all steps, or all that was done taken back, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from honeyhive.events import (
    AsyncInMemoryEventStore,
    AsyncSaga,
    EventLog,
    InMemoryEventStore,
    Saga,
    SagaContext,
    SagaStatus,
    SagaStep,
)
from honeyhive.exceptions import ConcurrencyError, SagaError, StoreUnavailableError
from honeyhive.testing import SpanCapture


class Shop:
    """Three services that note what is asked of them, once for each key, and fail when told to."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.keys: list[str] = []
        self.failing: set[str] = set()

    def doing(self, verb: str) -> Callable[[SagaContext], Any]:
        def act(context: SagaContext) -> str:
            if verb in self.failing:
                raise ValueError(f"cannot {verb}")
            if context.key not in self.keys:
                self.keys.append(context.key)
                self.log.append(verb)
            return f"{verb} {context.data['order']}"

        return act

    def steps(self) -> list[SagaStep]:
        return [
            SagaStep("reserve", self.doing("reserve"), undo=self.doing("release")),
            SagaStep("charge", self.doing("charge"), undo=self.doing("refund")),
            SagaStep("ship", self.doing("ship")),
        ]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def store() -> InMemoryEventStore:
    return InMemoryEventStore()


def test_a_saga_does_its_steps_in_order_and_tells_what_they_returned(shop: Shop, store: EventLog) -> None:
    state = Saga("order", store, shop.steps()).execute("o-1", {"order": 7})

    assert ["reserve", "charge", "ship"] == shop.log
    assert SagaStatus.COMPLETED is state.status
    assert {"reserve": "reserve 7", "charge": "charge 7", "ship": "ship 7"} == state.results


@pytest.mark.acceptance("O35")
def test_steps_that_were_done_are_undone_in_reverse_when_a_later_one_fails(shop: Shop, store: EventLog) -> None:
    shop.failing = {"ship"}
    saga = Saga("order", store, shop.steps())

    with pytest.raises(SagaError, match="'o-1' was undone: step 'ship' failed with ValueError: cannot ship") as caught:
        saga.execute("o-1", {"order": 7})

    assert ["reserve", "charge", "refund", "release"] == shop.log
    assert not caught.value.is_stuck
    assert (SagaStatus.UNDONE, "ship") == (saga.state("o-1").status, saga.state("o-1").failed_step)


def test_a_saga_that_has_ended_does_nothing_again(shop: Shop, store: EventLog) -> None:
    saga = Saga("order", store, shop.steps())
    first = saga.execute("o-1", {"order": 7})
    shop.failing = {"reserve"}

    second = saga.execute("o-1", {"order": 8})
    with pytest.raises(SagaError):
        saga.execute("o-2", {"order": 9})
    shop.failing = set()
    with pytest.raises(SagaError, match="cannot reserve"):
        saga.execute("o-2", {"order": 9})

    assert first.results == second.results
    assert 3 == len(shop.log)


def test_a_step_that_cannot_be_undone_leaves_the_saga_stuck_until_it_can(shop: Shop, store: EventLog) -> None:
    shop.failing = {"ship", "refund"}
    saga = Saga("order", store, shop.steps())
    with pytest.raises(SagaError, match="is stuck: undoing step 'charge' failed") as caught:
        saga.execute("o-1", {"order": 7})
    stuck = saga.state("o-1").status
    shop.failing = {"ship"}

    (resumed,) = saga.resume()

    assert caught.value.is_stuck
    assert SagaStatus.STUCK is stuck
    assert SagaStatus.UNDONE is resumed.status
    assert ["reserve", "charge", "refund", "release"] == shop.log


@pytest.mark.parametrize("crash_at", range(1, 9))
def test_a_saga_that_a_crash_interrupted_is_taken_up_where_it_was(shop: Shop, crash_at: int) -> None:
    """Wherever the process dies, before or after a note, the effects are those of one undisturbed run."""

    class Dying(InMemoryEventStore):
        saves = 0

        def save(self, *arguments: Any) -> Any:
            self.saves += 1
            if self.saves == crash_at:
                raise KeyboardInterrupt
            return super().save(*arguments)

    store = Dying()
    shop.failing = {"ship"}
    with pytest.raises((KeyboardInterrupt, SagaError)):
        Saga("order", store, shop.steps()).execute("o-1", {"order": 7})
    store.saves = 99

    resumed = Saga("order", store, shop.steps()).resume()

    assert [] == resumed or [SagaStatus.UNDONE] == [state.status for state in resumed]
    assert shop.log in ([], ["reserve", "charge", "refund", "release"])
    assert [] == Saga("order", store, shop.steps()).resume()


def test_an_action_is_given_the_same_key_each_time(shop: Shop) -> None:
    keys: list[str] = []

    class Away(InMemoryEventStore):
        is_away = False

        def save(self, *arguments: Any) -> Any:
            if self.is_away:
                raise StoreUnavailableError("gone")
            return super().save(*arguments)

    store = Away()

    def act(context: SagaContext) -> None:
        keys.append(context.key)
        store.is_away = len(keys) == 1

    saga = Saga("order", store, [SagaStep("act", act)])
    with pytest.raises(StoreUnavailableError):
        saga.execute("o-1")
    store.is_away = False

    saga.resume()

    assert ["saga:order:o-1:act:do"] * 2 == keys


def test_of_two_workers_at_the_same_saga_one_is_told_of_the_other(store: EventLog) -> None:
    def meddle(context: SagaContext) -> None:
        if not context.results:
            Saga("order", store, [SagaStep("act", lambda _: None)]).execute(context.saga_id)

    with pytest.raises(ConcurrencyError):
        Saga("order", store, [SagaStep("act", meddle)]).execute("o-1")


@pytest.mark.parametrize("names", [[], ["a", "a"]])
def test_steps_have_names_of_their_own(store: EventLog, names: list[str]) -> None:
    with pytest.raises(ValueError, match="names of their own"):
        Saga("order", store, [SagaStep(name, lambda _: None) for name in names])


def test_each_step_has_a_span_and_the_error_is_on_it(shop: Shop, store: EventLog, capture_spans: SpanCapture) -> None:
    shop.failing = {"charge"}

    with pytest.raises(SagaError):
        Saga("order", store, shop.steps()).execute("o-1", {"order": 7})

    assert ["saga order", "order reserve", "order charge", "undo order reserve"] == [
        line.split(" [")[0].strip() for line in capture_spans.tree().splitlines()
    ]
    assert ["cannot charge"] == [error.message for error in capture_spans.named("order charge").exceptions]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_an_asynchronous_saga_awaits_its_actions(shop: Shop) -> None:
    async def ship(context: SagaContext) -> None:
        shop.doing("ship")(context)

    shop.failing = {"ship"}
    saga = AsyncSaga("order", AsyncInMemoryEventStore(), [*shop.steps()[:2], SagaStep("ship", ship)])

    with pytest.raises(SagaError):
        await saga.execute("o-1", {"order": 7})
    shop.failing = set()
    state = await saga.execute("o-2", {"order": 8})

    assert ["reserve", "charge", "refund", "release", "reserve", "charge", "ship"] == shop.log
    assert SagaStatus.COMPLETED is state.status
    assert [] == await saga.resume()
    assert SagaStatus.UNDONE is (await saga.state("o-1")).status
