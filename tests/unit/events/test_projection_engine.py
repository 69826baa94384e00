"""The one projection engine, in a thread and in a task."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from honeyhive.events.following import BuriedRecord
from honeyhive.events.messages import Event
from honeyhive.events.projection_engine import ProjectionEngine, catch_up
from honeyhive.events.projections import InMemoryProjection, StoreSource
from honeyhive.events.projector import Projector
from honeyhive.events.reactions import on
from honeyhive.events.sqlite_projection import SQLiteProjection
from honeyhive.events.stores.memory import InMemoryEventStore
from honeyhive.exceptions import ProjectionStoppedError
from honeyhive.resilience import RetryPolicy
from honeyhive.testing import ManualClock


@dataclass(frozen=True, kw_only=True)
class Paid(Event):
    amount: int


@dataclass(frozen=True, kw_only=True)
class Refunded(Event):
    amount: int


class Balance(InMemoryProjection):
    def clear(self) -> None:
        self.total = 0

    @on(Paid)
    def _paid(self, event: Paid) -> None:
        if event.amount < 0:
            raise ValueError("nobody pays a negative amount")
        self.total += event.amount

    @on(Refunded)
    def _refunded(self, event: Refunded) -> None:
        self.total -= event.amount


class Ledger(SQLiteProjection):
    name = "ledger"
    schema = "CREATE TABLE entries (position INTEGER PRIMARY KEY, amount INTEGER NOT NULL CHECK (amount >= 0));"

    @on(Paid)
    def _paid(self, event: Paid) -> None:
        self.connection.execute("INSERT INTO entries VALUES (?, ?)", (self.record.position, event.amount))

    def amounts(self) -> list[int]:
        with closing(sqlite3.connect(self.path)) as connection:
            return [amount for (amount,) in connection.execute("SELECT amount FROM entries ORDER BY position")]


class Interrupted(Ledger):
    """A ledger whose process dies in the middle of a transaction."""

    @on(Refunded)
    def _refunded(self, event: Refunded) -> None:
        raise KeyboardInterrupt


@pytest.fixture
def store() -> Iterator[InMemoryEventStore]:
    with closing(InMemoryEventStore()) as made:
        yield made


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def pay(store: InMemoryEventStore, *amounts: int) -> int:
    return store.save("account", [Paid(amount=amount) for amount in amounts]).position


@pytest.mark.acceptance("O23")
def test_a_read_model_shows_what_was_saved_once_it_is_waited_for(store: InMemoryEventStore, ledger: Ledger) -> None:
    with ProjectionEngine(store, ledger) as engine:
        engine.wait_for(pay(store, 1, 2, 3), timeout_s=10)

        assert [1, 2, 3] == ledger.amounts()


def test_an_engine_resumes_where_the_last_one_has_stopped(store: InMemoryEventStore, tmp_path: Path) -> None:
    with ProjectionEngine(store, Ledger(tmp_path / "l")) as engine:
        engine.wait_for(pay(store, 1), timeout_s=10)
    position = pay(store, 2)
    again = Ledger(tmp_path / "l")

    with ProjectionEngine(store, again) as engine:
        engine.wait_for(position, timeout_s=10)

    assert [1, 2] == again.amounts()


@pytest.mark.acceptance("O8")
def test_a_projection_is_made_anew_from_all_events(store: InMemoryEventStore, ledger: Ledger) -> None:
    position = pay(store, 1, 2)
    with ProjectionEngine(store, ledger) as engine:
        engine.wait_for(position, timeout_s=10)
        with closing(sqlite3.connect(ledger.path)) as connection, connection:
            connection.execute("DELETE FROM entries")

        engine.rebuild("ledger")
        engine.wait_for(position, timeout_s=10)

        assert [1, 2] == ledger.amounts()


def test_several_projections_go_their_own_ways(store: InMemoryEventStore, ledger: Ledger) -> None:
    balance = Balance()

    with ProjectionEngine(store, ledger, balance) as engine:
        engine.wait_for(pay(store, 4, 5), timeout_s=10)

    assert [4, 5] == ledger.amounts()
    assert 9 == balance.total


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_a_poisoned_event_is_put_aside_and_stops_nobody(store: InMemoryEventStore, ledger: Ledger, batch: int) -> None:
    balance, told = Balance(), list[BuriedRecord]()
    position = pay(store, 1, 2, -3, 4, 5, -6, 7)

    with ProjectionEngine(store, ledger, balance, batch=batch, on_buried=told.append) as engine:
        engine.wait_for(position, timeout_s=10)

    assert [1, 2, 4, 5, 7] == ledger.amounts()
    assert 19 == balance.total
    assert [3, 6] == [letter.position for letter in ledger.buried()]
    assert "ValueError: nobody pays a negative amount" == balance.buried()[0].reason
    assert {("ledger", 3), ("ledger", 6), ("Balance", 3), ("Balance", 6)} == {
        (letter.projection, letter.position) for letter in told
    }


def test_rows_and_position_move_together_or_not_at_all(store: InMemoryEventStore, tmp_path: Path) -> None:
    pay(store, 1)
    store.save("account", [Refunded(amount=1)])
    with pytest.raises(KeyboardInterrupt):
        catch_up(store, Interrupted(tmp_path / "l"))
    after_the_crash = Ledger(tmp_path / "l").amounts()
    ledger = Ledger(tmp_path / "l")

    catch_up(store, ledger)

    assert [] == after_the_crash
    assert [1] == ledger.amounts()


def test_two_processes_with_the_same_projection_do_its_work_once(store: InMemoryEventStore, tmp_path: Path) -> None:
    """The position is compared in the transaction: who comes second starts again from where the first is."""
    first, second = Ledger(tmp_path / "l"), Ledger(tmp_path / "l")
    pay(store, *range(50))

    with ProjectionEngine(store, first, batch=3) as one, ProjectionEngine(store, second, batch=2) as two:
        position = pay(store, *range(50, 100))
        one.wait_for(position, timeout_s=20)
        two.wait_for(position, timeout_s=20)

    assert list(range(100)) == first.amounts()


def test_an_outage_is_waited_for_and_loses_nothing(store: InMemoryEventStore, ledger: Ledger) -> None:
    clock = ManualClock()
    writer = sqlite3.connect(ledger.path, isolation_level=None)
    hasty = Ledger(ledger.path, busy_timeout_s=0)
    hasty.open()
    hasty.close()
    writer.execute("BEGIN IMMEDIATE")

    with ProjectionEngine(store, hasty, retry=RetryPolicy(delay=5, jitter=0), clock=clock) as engine:
        position = pay(store, 1)
        wait_until(lambda: engine.progress()["ledger"].outage is not None)
        outage = engine.progress()["ledger"]
        writer.execute("COMMIT")
        clock.advance(5)
        engine.wait_for(position)
        recovered = engine.progress()["ledger"]
    writer.close()

    assert "locked" in str(outage.outage)
    assert recovered.outage is None
    assert [1] == ledger.amounts()


def test_progress_tells_how_far_behind_a_projection_is(store: InMemoryEventStore) -> None:
    clock, gate, handling = ManualClock(), threading.Event(), threading.Event()

    class Slow(Balance):
        @on(Paid)
        def _wait(self, event: Paid) -> None:
            handling.set()
            gate.wait()

    with ProjectionEngine(store, Slow(), batch=1, clock=clock) as engine:
        wait_until(lambda: engine.progress()["Slow"].backlog == 0)
        position = pay(store, 1, 2)
        handling.wait()
        clock.advance(7)
        behind = engine.progress()["Slow"]
        gate.set()
        engine.wait_for(position)
        wait_until(lambda: engine.progress()["Slow"].backlog == 0)
        there = engine.progress()["Slow"]

    assert (None, 2, 7.0) == (behind.position, behind.backlog, behind.behind_s)
    assert (2, 0, 0.0) == (there.position, there.backlog, there.behind_s)


def test_whoever_waits_for_a_projection_that_ends_is_told(store: InMemoryEventStore) -> None:
    projector = Projector(StoreSource(store), Balance())
    projector.start()
    before = projector.reached(1)

    projector.stop()

    for future in (before, projector.reached(2)):
        with pytest.raises(ProjectionStoppedError):
            future.result(timeout=10)


def test_a_projection_that_cannot_go_on_says_so_and_the_others_do(store: InMemoryEventStore) -> None:
    failures: list[tuple[str, BaseException]] = []

    class Unburied(Balance):
        def bury(self, record: object, error: Exception) -> object:
            raise OSError("the cemetery is full")

    others = Balance()
    with ProjectionEngine(
        store,
        Unburied(),
        others,
        retry=RetryPolicy(max_attempts=1),
        on_failure=lambda *failure: failures.append(failure),
    ) as engine:
        with pytest.raises(ProjectionStoppedError):
            engine.wait_for(pay(store, -1, 2), timeout_s=10)
        wait_until(lambda: others.total == 2)

    assert [("Unburied", "the cemetery is full")] == [(name, str(error)) for name, error in failures]


def test_a_rebuilt_model_may_have_another_schema(store: InMemoryEventStore, ledger: Ledger) -> None:
    class Doubled(Ledger):
        schema = "CREATE TABLE entries (position INTEGER, amount INTEGER, doubled INTEGER);"

        @on(Paid)
        def _paid(self, event: Paid) -> None:
            self.connection.execute(
                "INSERT INTO entries VALUES (?, ?, ?)", (self.record.position, event.amount, 2 * event.amount)
            )

    pay(store, -1, 2)
    catch_up(store, ledger)
    doubled = Doubled(ledger.path)

    catch_up(store, doubled, rebuild=True)

    assert [-1, 2] == doubled.amounts()
    assert [] == doubled.buried()


def test_projections_of_one_engine_have_different_names(store: InMemoryEventStore) -> None:
    with pytest.raises(ValueError, match="a name of its own"):
        ProjectionEngine(store, Balance(), Balance())


def wait_until(condition: object) -> None:
    deadline = threading.Event()
    for _ in range(10_000):
        if condition():  # type: ignore[operator]
            return
        deadline.wait(0.001)
    raise AssertionError("it did not happen within ten seconds")
