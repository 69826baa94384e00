"""The SQL store, its read models and its outbox on a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import count

import anyio
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, select

from engines import Engine
from honeyhive.events import (
    AsyncPostgreSQLEventStore,
    AsyncProjectionEngine,
    Event,
    EventLog,
    InMemoryProjection,
    PostgreSQLEventStore,
    PostgreSQLSnapshotStore,
    ProjectionEngine,
    Relay,
    SnapshotStore,
    SQLProjection,
    on,
)
from honeyhive.events.following import Following
from honeyhive.events.steps import run
from honeyhive.exceptions import StoreUnavailableError
from honeyhive.resilience import RetryPolicy
from honeyhive.testing.store_contracts import EventLogContract, SnapshotStoreContract, noted, numbers

prefixes = (f"t{number}_" for number in count())


@pytest.fixture
def prefix() -> str:
    """Tables of the test's own."""
    return next(prefixes)


class TestPostgreSQLEventStore(EventLogContract):
    @pytest.fixture
    def open_store(self, postgres_server: Engine, prefix: str) -> Callable[[], EventLog]:
        return lambda: PostgreSQLEventStore(postgres_server.url, prefix=prefix)


class TestPostgreSQLSnapshotStore(SnapshotStoreContract):
    @pytest.fixture
    def open_store(self, postgres_server: Engine, prefix: str) -> Callable[[Sequence[type]], SnapshotStore]:
        return lambda types: PostgreSQLSnapshotStore(postgres_server.url, types=types, prefix=prefix)


@pytest.fixture
def store(postgres_server: Engine, prefix: str) -> Iterator[PostgreSQLEventStore]:
    with closing(PostgreSQLEventStore(postgres_server.url, prefix=prefix)) as made:
        yield made


def test_a_slow_transaction_never_leaves_a_hole_behind_a_reader(store: PostgreSQLEventStore) -> None:
    """The trap of sequences: what was numbered first is committed last, and a reader has passed it by then."""
    seen: list[list[int]] = []
    with store.transaction() as slow:
        slow.save("slow", noted(1))
        fast = threading.Thread(target=store.save, args=("fast", noted(2)))
        fast.start()
        seen.append(numbers(store.read_all()))
        seen.append(numbers(store.read_all()))
    fast.join()
    seen.append(numbers(store.read_all()))

    assert [[], [], [1, 2]] == seen


@pytest.mark.acceptance("O33")
def test_processes_save_side_by_side_without_gaps(postgres_server: Engine, prefix: str) -> None:
    stores = [PostgreSQLEventStore(postgres_server.url, prefix=prefix) for _ in range(3)]

    def write(number: int) -> None:
        for index in range(15):
            stores[number].save(f"a{index % 2}", noted(index))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    records = stores[0].read_all()
    assert list(range(1, 46)) == [record.position for record in records]
    for aggregate_id in ("a0", "a1"):
        versions = [record.version for record in records if record.aggregate_id == aggregate_id]
        assert list(range(1, len(versions) + 1)) == versions
    for each in stores:
        each.close()


class Count(InMemoryProjection):
    def clear(self) -> None:
        self.positions: list[int] = []

    @on(Event)
    def _any(self, _: Event) -> None:
        self.positions.append(self.record.position)


def test_a_server_that_is_restarted_midway_costs_nothing_but_time(
    store: PostgreSQLEventStore, postgres_server: Engine
) -> None:
    """Saves that failed are tried again with the same events; the projection waits and goes on."""
    counted = Count()
    batches = [noted(number) for number in range(30)]

    with ProjectionEngine(store, counted, retry=RetryPolicy(max_attempts=None, delay=0.05)) as engine:
        for number, batch in enumerate(batches):
            if number == 15:
                postgres_server.restart()
            while True:
                try:
                    position = store.save("a", batch).position
                    break
                except StoreUnavailableError:
                    continue
        engine.wait_for(position, timeout_s=60)

    assert list(range(30)) == numbers(store.load("a"))
    assert list(range(1, 31)) == counted.positions


def test_a_message_is_received_once_by_whoever_comes_first(store: PostgreSQLEventStore) -> None:
    (message,) = noted(1)
    received: list[bool] = []
    barrier = threading.Barrier(4)

    def receive() -> None:
        barrier.wait()
        with store.transaction() as transaction:
            received.append(transaction.receive(message, consumer="billing"))

    threads = [threading.Thread(target=receive) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [False, False, False, True] == sorted(received)


def test_the_outbox_holds_what_was_committed(store: PostgreSQLEventStore) -> None:
    published: list[Event] = []

    class Bus:
        def subscribe(self, *_: object) -> None: ...

        def publish(self, message: Event) -> None:
            published.append(message)

    with store.transaction() as transaction:
        transaction.publish(*noted(1, 2))

    following = Following(store.outbox, Relay(Bus(), store.checkpoints))
    run(following.begin())
    while run(following.advance()):
        pass

    assert [1, 2] == numbers(published)


metadata = MetaData()
seen_table = Table("seen", metadata, Column("position", Integer, primary_key=True))


class Seen(SQLProjection):
    name = "seen"
    metadata = metadata

    @on(Event)
    async def _any(self, _: Event) -> None:
        await self.connection.execute(seen_table.insert().values(position=self.record.position))


@pytest.mark.anyio
async def test_a_read_model_is_kept_by_two_processes_at_once(postgres_server: Engine, prefix: str) -> None:
    """Each event has its effect once, whoever gets to it."""
    store = AsyncPostgreSQLEventStore(postgres_server.url, prefix=prefix)
    one, two = (Seen(postgres_server.url, prefix=prefix) for _ in range(2))
    position = (await store.save("a", noted(*range(100)))).position

    with anyio.fail_after(60):
        async with (
            AsyncProjectionEngine(store, one, batch=7) as first,
            AsyncProjectionEngine(store, two, batch=5) as second,
        ):
            await first.wait_for(position)
            await second.wait_for(position)

    async with one.reading() as connection:
        rows = (await connection.execute(select(seen_table.c.position).order_by(seen_table.c.position))).scalars().all()
    assert list(range(1, 101)) == list(rows)
    for each in (one, two):
        await each.dispose()
    await store.close()
