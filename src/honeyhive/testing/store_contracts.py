"""What every event store must do, as test classes to inherit from.

::

    class TestMyEventStore(EventLogContract):
        is_durable = True

        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda: MyEventStore(tmp_path / "events")

`EventStoreContract` asks for what command handlers need, `EventLogContract` for all that the stores of honeyhive do. An
asynchronous store is wrapped in `honeyhive.events.BlockingEventLog` first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

import pytest

from honeyhive.events.aggregates import Aggregate
from honeyhive.events.checkpoints import InMemoryCheckpoints
from honeyhive.events.following import Following
from honeyhive.events.messages import Event, Message
from honeyhive.events.projections import StoreSource
from honeyhive.events.reactions import on
from honeyhive.events.relay import Relay
from honeyhive.events.snapshots import Snapshot, SnapshotStore
from honeyhive.events.steps import run
from honeyhive.events.store import EventLog, EventStore, RecordedEvent
from honeyhive.exceptions import ConcurrencyError, DuplicateEventError, StoreClosedError

__all__ = ["EventLogContract", "EventStoreContract", "Noted", "SnapshotStoreContract", "Tallied"]


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    """The event that the contracts save."""

    number: int
    words: tuple[str, ...] = ()
    moment: datetime | None = None


def noted(*numbers: int) -> list[Noted]:
    """Return an event for each of *numbers*."""
    return [Noted(number=number) for number in numbers]


def numbers(events: Sequence[Event] | Sequence[RecordedEvent]) -> list[int]:
    """Return the numbers of *events*, recorded or not."""
    plain = [each.event if isinstance(each, RecordedEvent) else each for each in events]
    return [each.number for each in plain if isinstance(each, Noted)]


class EventStoreContract:
    """The contract of `honeyhive.events.EventStore`.

    Attributes:
        is_durable: Whether a store that is opened again has what the last one has saved.
    """

    is_durable: ClassVar[bool] = True

    @pytest.fixture
    def open_store(self) -> Callable[[], Any]:
        """Return what opens a store; called again, it opens the same one anew."""
        # Abstract: each test class that inherits the contract overrides it.
        raise NotImplementedError("give the test class a fixture `open_store`")

    @pytest.fixture
    def store(self, open_store: Callable[[], Any]) -> Iterator[Any]:
        """Return a store that is closed after the test, if it can be."""
        with ExitStack() as stack:
            yield opened(open_store(), stack)

    def test_events_come_back_in_their_order_as_what_they_were(self, store: EventStore) -> None:
        events = [Noted(number=1, words=("a", "ä\n\x00"), moment=datetime.now(UTC)), *noted(2, 3)]

        store.save("a", events[:2])
        store.save("a", events[2:])

        assert events == store.load("a")

    def test_an_aggregate_without_events_is_empty(self, store: EventStore) -> None:
        assert [] == store.load("nobody")

    def test_aggregates_do_not_see_one_another(self, store: EventStore) -> None:
        store.save("a", noted(1))
        store.save("b", noted(2))

        assert [1] == numbers(store.load("a"))
        assert [2] == numbers(store.load("b"))

    def test_events_after_a_version_are_those_behind_it(self, store: EventStore) -> None:
        store.save("a", noted(1, 2, 3))

        assert [2, 3] == numbers(store.load("a", 1))
        assert [3] == numbers(store.load_after_version("a", 2))
        assert [] == store.load_after_version("a", 3)

    def test_saving_for_the_right_version_appends(self, store: EventStore) -> None:
        store.save("a", noted(1, 2), expected_version=0)
        store.save("a", noted(3), expected_version=2)

        assert [1, 2, 3] == numbers(store.load("a"))

    @pytest.mark.parametrize("expected", [0, 1, 3, 99])
    def test_saving_for_another_version_is_a_conflict_and_saves_nothing(self, store: EventStore, expected: int) -> None:
        store.save("a", noted(1, 2))

        with pytest.raises(ConcurrencyError) as caught:
            store.save("a", noted(3, 4), expected_version=expected)

        assert ("a", expected, 2) == (
            caught.value.aggregate_id,
            caught.value.expected_version,
            caught.value.actual_version,
        )
        assert [1, 2] == numbers(store.load("a"))

    def test_saving_the_same_events_again_changes_nothing(self, store: EventStore) -> None:
        """Whoever got no answer may ask again, with or without a version."""
        first, second = noted(1, 2), noted(3)

        store.save("a", first, expected_version=0)
        store.save("a", first, expected_version=0)
        store.save("a", [*first, *second])
        store.save("a", second, expected_version=2)

        assert [1, 2, 3] == numbers(store.load("a"))

    def test_an_event_that_comes_twice_in_one_save_is_saved_once(self, store: EventStore) -> None:
        (event,) = noted(1)

        store.save("a", [event, event])

        assert [event] == store.load("a")

    def test_of_writers_at_the_same_version_exactly_one_wins(self, store: EventStore) -> None:
        won, lost = race([partial(store.save, "a", noted(number, number), expected_version=0) for number in range(8)])

        assert (1, 7) == (won, len(lost))
        assert {ConcurrencyError} == {type(error) for error in lost}
        assert 2 == len(store.load("a"))

    def test_writers_that_expect_nothing_lose_nothing(self, store: EventStore) -> None:
        def write(number: int) -> None:
            for index in range(10):
                store.save("a", noted(100 * number + index))

        won, lost = race([partial(write, number) for number in range(4)])

        found = numbers(store.load("a"))
        assert (4, []) == (won, lost)
        assert 40 == len(found)
        for number in range(4):
            assert [100 * number + index for index in range(10)] == [each for each in found if each // 100 == number]

    @pytest.mark.parametrize(
        "arguments",
        [
            pytest.param(("a", noted(1)[0]), id="one event, no sequence"),
            pytest.param(("a", ["text"]), id="no event"),
            pytest.param((7, []), id="no id"),
            pytest.param(("a", noted(1), "1"), id="no version"),
            pytest.param(("a", noted(1), True), id="a truth value as version"),
        ],
    )
    def test_what_is_no_event_is_refused(self, store: EventStore, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(TypeError):
            store.save(*arguments)

    @pytest.mark.parametrize("arguments", [("", noted(1)), ("a", noted(1), -1)])
    def test_an_impossible_id_or_version_is_refused(self, store: EventStore, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(ValueError, match="not"):
            store.save(*arguments)

    def test_what_was_saved_is_there_when_the_store_is_opened_again(self, open_store: Callable[[], Any]) -> None:
        if not self.is_durable:
            pytest.skip("this store lives in memory: nothing is left when it is opened again")
        with closing(open_store()) as store:
            store.save("a", noted(1, 2))
            store.save("b", noted(3))

        with closing(open_store()) as store:
            store.save("a", noted(4), expected_version=2)

            assert [1, 2, 4] == numbers(store.load("a"))
            assert [3] == numbers(store.load("b"))


class EventLogContract(EventStoreContract):
    """The contract of `honeyhive.events.EventLog`."""

    def test_saving_tells_version_and_position(self, store: EventLog) -> None:
        store.save("a", noted(1))
        events = noted(2, 3)

        appended = store.save("b", events)
        again = store.save("b", events)

        assert (2, 3, 2) == (appended.version, appended.position, appended.added)
        assert (2, 3, 0) == (again.version, again.position, again.added)

    def test_saving_no_events_changes_nothing(self, store: EventLog) -> None:
        store.save("a", noted(1))

        appended = store.save("a", [], expected_version=1)

        assert (1, 1, 0) == (appended.version, appended.position, appended.added)
        with pytest.raises(ConcurrencyError):
            store.save("a", [], expected_version=0)

    def test_an_event_of_another_aggregate_is_refused(self, store: EventLog) -> None:
        events = noted(1)
        store.save("a", events)

        with pytest.raises(DuplicateEventError, match="'a'"):
            store.save("b", [*noted(2), *events])

        assert [] == store.load("b")

    def test_all_events_have_one_order(self, store: EventLog) -> None:
        for number in range(1, 8):
            store.save("ab"[number % 2], noted(number))

        records = store.read_all()

        assert [1, 2, 3, 4, 5, 6, 7] == numbers(records)
        assert [1, 2, 3, 4, 5, 6, 7] == [record.position for record in records]
        assert [("b", 1), ("a", 1), ("b", 2)] == [(record.aggregate_id, record.version) for record in records[:3]]
        assert 7 == store.head()

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    def test_reading_on_from_a_position_misses_nothing(self, store: EventLog, limit: int) -> None:
        for number in range(1, 10, 3):
            store.save("a", noted(number, number + 1, number + 2))
        found: list[int] = []
        position = 0

        while records := store.read_all(position, limit):
            assert len(records) <= limit
            found += numbers(records)
            position = records[-1].position

        assert list(range(1, 10)) == found
        assert [] == store.read_all(99)

    def test_a_reader_beside_writers_sees_every_event_in_order(self, store: EventLog) -> None:
        """No event turns up behind a position that was read, however the writers overlap."""
        seen: list[int] = []

        def read() -> None:
            while len(seen) < 120:
                seen.extend(record.position for record in store.read_all(seen[-1] if seen else 0, 7))

        def write(number: int) -> None:
            for index in range(10):
                store.save(f"w{number}", noted(index, index, index))

        race([read, *(partial(write, number) for number in range(4))])

        assert list(range(1, 121)) == seen

    def test_the_history_tells_version_position_and_time(self, store: EventLog) -> None:
        store.save("b", noted(0))
        before = datetime.now(UTC)
        store.save("a", noted(1, 2))

        records = store.history("a")

        assert [(1, 2), (2, 3)] == [(record.version, record.position) for record in records]
        assert ["Noted", "Noted"] == [record.type for record in records]
        assert all(abs((record.recorded_at - before).total_seconds()) < 600 for record in records)
        assert [2] == [record.version for record in store.history("a", 1)]

    def test_an_aggregate_can_be_loaded_as_of_a_version(self, store: EventLog) -> None:
        store.save("a", noted(1, 2, 3))

        stream = store.load("a", as_of=2)

        assert ([1, 2], 2) == (numbers(stream), stream.version)
        assert [2] == numbers(store.load("a", 1, as_of=2))
        assert [] == store.load("a", as_of=0)

    def test_an_aggregate_can_be_loaded_as_of_a_moment(self, store: EventLog) -> None:
        for number in (1, 2, 3):
            store.save("a", noted(number))
        first, second, third = (record.recorded_at for record in store.history("a"))

        assert [1, 2, 3] == numbers(store.load("a", as_of=third))
        assert second in {first, third} or [1, 2] == numbers(store.load("a", as_of=second))
        assert [] == store.load("a", as_of=datetime(2000, 1, 1, tzinfo=UTC))

    def test_a_moment_without_a_time_zone_is_refused(self, store: EventLog) -> None:
        with pytest.raises(ValueError, match="tzinfo=UTC"):
            store.load("a", as_of=datetime(2026, 1, 1))  # noqa: DTZ001 -- that is the mistake

    def test_a_loaded_stream_tells_its_version(self, store: EventLog) -> None:
        store.save("a", noted(1, 2, 3))

        assert 3 == store.load("a").version
        assert 3 == store.load("a", 3).version
        assert 0 == store.load("nobody").version

    def test_aggregates_are_listed_by_the_beginning_of_their_ids(self, store: EventLog) -> None:
        for aggregate_id in ("order-2", "order-1", "basket-1", "order-1"):
            store.save(aggregate_id, noted(1))

        facts = store.streams("order-")

        assert [("order-1", 2, "Noted"), ("order-2", 1, "Noted")] == [
            (each.aggregate_id, each.version, each.last_type) for each in facts
        ]
        assert 3 == len(store.streams())

    def test_watchers_are_told_of_what_is_new(self, store: EventLog) -> None:
        told: list[int] = []
        stop = store.watch(told.append)
        events = noted(1, 2)

        store.save("a", events)
        store.save("a", events)
        stop()
        store.save("a", noted(3))

        assert [2] == told

    def test_a_subscription_gives_what_is_there_and_then_what_comes(self, store: EventLog) -> None:
        store.save("a", noted(1, 2, 3))
        found: list[int] = []

        with store.subscribe(after=1) as tail:
            for record in tail:
                found.extend(numbers([record]))
                if found[-1] == 3:
                    store.save("b", noted(4))
                if found[-1] == 4:
                    break

        assert [2, 3, 4] == found

    def test_a_subscription_wakes_up_for_what_another_thread_saves(self, store: EventLog) -> None:
        tail = store.subscribe()
        found: list[int] = []

        def listen() -> None:
            for record in tail:
                found.extend(numbers([record]))
                if len(found) == 3:
                    tail.close()

        def write() -> None:
            for number in (1, 2, 3):
                store.save("a", noted(number))

        assert (2, []) == race([listen, write])
        assert [1, 2, 3] == found

    def test_a_subscription_ends_when_the_store_is_closed(self, store: EventLog) -> None:
        store.save("a", noted(1))
        tail = store.subscribe()
        found: list[int] = []

        def listen() -> None:
            for record in tail:
                found.extend(numbers([record]))
                store.close()

        assert (1, []) == race([listen])
        assert [1] == found

    def test_a_closed_store_says_so(self, store: EventLog) -> None:
        store.save("a", noted(1))
        store.close()
        store.close()

        for use in (lambda: store.save("a", noted(2)), lambda: store.load("a"), store.read_all, store.head):
            with pytest.raises(StoreClosedError):
                use()

    def test_what_was_saved_before_a_crash_is_published_after_it(self, open_store: Callable[[], Any]) -> None:
        """The relay of the next process goes on where the last one died: all of it, in order, nothing else."""
        checkpoints, published = InMemoryCheckpoints(), list[int]()

        def publish(store: EventLog, die_at: int) -> None:
            following = Following(StoreSource(store, batch=2), Relay(_DyingBus(published, die_at), checkpoints))
            run(following.begin())
            while run(following.advance()):
                pass

        with closing(open_store()) as store:
            store.save("a", noted(1, 2, 3))
            with pytest.raises(ConcurrencyError):
                store.save("a", noted(4), expected_version=0)
            store.save("b", noted(5))
            with pytest.raises(KeyboardInterrupt):
                publish(store, die_at=4)
            if not self.is_durable:
                publish(store, die_at=0)
        if self.is_durable:
            with closing(open_store()) as store:
                publish(store, die_at=0)

        assert [1, 2, 3, 5] == list(dict.fromkeys(published))

    def test_positions_go_on_when_the_store_is_opened_again(self, open_store: Callable[[], Any]) -> None:
        if not self.is_durable:
            pytest.skip("this store lives in memory: nothing is left when it is opened again")
        events = noted(1, 2)
        with closing(open_store()) as store:
            store.save("a", events)

        with closing(open_store()) as store:
            again = store.save("a", events)
            appended = store.save("b", noted(3))

            assert (2, 0) == (again.position, again.added)
            assert 3 == appended.position
            assert [1, 2, 3] == numbers(store.read_all())


class _DyingBus:
    """Notes the numbers of what is published, and dies as a process does instead of publishing the *die_at*-th."""

    def __init__(self, published: list[int], die_at: int) -> None:
        self._published = published
        self._die_at = die_at

    def subscribe(self, *_: object) -> None:
        """Have no handlers."""

    def publish(self, message: Message) -> None:
        """Note *message*."""
        if len(self._published) + 1 == self._die_at:
            raise KeyboardInterrupt
        if isinstance(message, Noted):
            self._published.append(message.number)


@dataclass
class Tallied(Aggregate):
    """The aggregate whose snapshots the contract saves."""

    total: int = 0
    words: list[str] = field(default_factory=list)
    moment: datetime | None = None

    @on(Noted)
    def _noted(self, event: Noted) -> None:
        self.total += event.number


class SnapshotStoreContract:
    """The contract of `honeyhive.events.SnapshotStore`.

    Attributes:
        is_durable: Whether a store that is opened again has what the last one has saved.
    """

    is_durable: ClassVar[bool] = True

    @pytest.fixture
    def open_store(self) -> Callable[[Sequence[type]], Any]:
        """Return what opens a store that may read the given types; called again, it opens the same one anew."""
        # Abstract: each test class that inherits the contract overrides it.
        raise NotImplementedError("give the test class a fixture `open_store`")

    @pytest.fixture
    def store(self, open_store: Callable[[Sequence[type]], Any]) -> Iterator[Any]:
        """Return a store that is closed after the test, if it can be."""
        with ExitStack() as stack:
            yield opened(open_store([Tallied]), stack)

    def test_a_snapshot_comes_back_as_it_was(self, store: SnapshotStore) -> None:
        aggregate = Tallied(total=7, words=["a", "ä"], moment=datetime.now(UTC))

        store.save(Snapshot("a", 3, aggregate))
        snapshot = store.load("a")

        assert snapshot is not None
        assert ("a", 3, aggregate) == (snapshot.aggregate_id, snapshot.version, snapshot.aggregate)
        assert isinstance(snapshot.aggregate, Tallied)

    def test_an_aggregate_without_a_snapshot_has_none(self, store: SnapshotStore) -> None:
        assert store.load("nobody") is None

    def test_a_loaded_aggregate_is_a_copy(self, store: SnapshotStore) -> None:
        aggregate = Tallied(total=1)
        store.save(Snapshot("a", 1, aggregate))

        aggregate.total = 2
        first = store.load("a")
        assert first is not None
        first.aggregate.apply(Noted(number=5))
        second = store.load("a")

        assert second is not None
        assert (6, 1) == (first.aggregate.total, second.aggregate.total)

    def test_the_newest_snapshot_stays(self, store: SnapshotStore) -> None:
        for version in (1, 3, 2):
            store.save(Snapshot("a", version, Tallied(total=version)))

        snapshot = store.load("a")

        assert snapshot is not None
        assert (3, 3) == (snapshot.version, snapshot.aggregate.total)

    def test_a_discarded_snapshot_is_gone(self, store: SnapshotStore) -> None:
        store.save(Snapshot("a", 1, Tallied()))

        store.discard("a")
        store.discard("nobody")

        assert store.load("a") is None

    def test_a_snapshot_is_there_when_the_store_is_opened_again(
        self, open_store: Callable[[Sequence[type]], Any]
    ) -> None:
        if not self.is_durable:
            pytest.skip("this store lives in memory: nothing is left when it is opened again")
        with ExitStack() as stack:
            opened(open_store([]), stack).save(Snapshot("a", 4, Tallied(total=4)))

            snapshot = opened(open_store([Tallied]), stack).load("a")

            assert snapshot is not None
            assert (4, Tallied(total=4)) == (snapshot.version, snapshot.aggregate)

    def test_a_snapshot_of_an_unknown_class_is_as_good_as_none(
        self, open_store: Callable[[Sequence[type]], Any]
    ) -> None:
        if not self.is_durable:
            pytest.skip("this store lives in memory: nothing is left when it is opened again")
        with ExitStack() as stack:
            opened(open_store([]), stack).save(Snapshot("a", 4, Tallied()))

            assert opened(open_store([]), stack).load("a") is None


def opened(store: Any, stack: ExitStack) -> Any:
    """Return *store* and have *stack* close it, if it can be closed."""
    if hasattr(store, "close"):
        stack.callback(store.close)
    return store


def race(work: Sequence[Callable[[], object]]) -> tuple[int, list[Exception]]:
    """Begin all *work* at the same moment in threads; return how many got through, and the errors of the others."""
    barrier = threading.Barrier(len(work))
    errors: list[Exception] = []

    def run(task: Callable[[], object]) -> None:
        barrier.wait()
        try:
            task()
        except Exception as error:  # noqa: BLE001 -- told to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(work) - len(errors), errors
