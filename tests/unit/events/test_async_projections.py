"""The projection engine in tasks, and read models in SQL databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, select

from honeyhive.events import (
    AsyncInMemoryEventStore,
    AsyncProjectionEngine,
    AsyncSQLiteEventStore,
    BuriedRecord,
    Event,
    InMemoryProjection,
    SQLProjection,
    catch_up_async,
    on,
)
from honeyhive.exceptions import ProjectionStoppedError

metadata = MetaData()
totals = Table("totals", metadata, Column("customer", Text, primary_key=True), Column("total", Integer, nullable=False))


class Paid(Event):
    customer: str
    amount: int


class Totals(SQLProjection):
    name = "totals"
    metadata = metadata

    @on(Paid)
    async def _paid(self, event: Paid) -> None:
        if event.amount < 0:
            raise ValueError("nobody pays a negative amount")
        mine = totals.c.customer == event.customer
        former = await self.connection.scalar(select(totals.c.total).where(mine))
        if former is None:
            await self.connection.execute(totals.insert().values(customer=event.customer, total=event.amount))
        else:
            await self.connection.execute(totals.update().where(mine).values(total=former + event.amount))

    async def all(self) -> dict[str, int]:
        async with self.reading() as connection:
            return {row.customer: row.total for row in await connection.execute(select(totals))}


class Count(InMemoryProjection):
    def clear(self) -> None:
        self.count = 0

    @on(Paid)
    def _paid(self, _: Paid) -> None:
        self.count += 1


@pytest.fixture
async def model(tmp_path: Path) -> AsyncIterator[Totals]:
    made = Totals(tmp_path / "model.db")
    yield made
    await made.dispose()


def paid(*amounts: int) -> list[Paid]:
    return [Paid(customer="ab"[amount % 2], amount=amount) for amount in amounts]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_projections_in_tasks_show_what_was_saved_once_it_is_waited_for() -> None:
    store, count = AsyncInMemoryEventStore(), Count()
    await store.save("a", paid(1, 2))

    with anyio.fail_after(10):
        async with AsyncProjectionEngine(store, count) as engine:
            await engine.wait_for((await store.save("a", paid(3))).position)
            progress = engine.progress()["Count"]

    assert (3, 3) == (count.count, progress.position)


@pytest.mark.anyio
async def test_rows_and_position_move_in_one_transaction(model: Totals, tmp_path: Path) -> None:
    buried: list[BuriedRecord] = []
    store = AsyncSQLiteEventStore(tmp_path / "events.db")
    position = (await store.save("a", paid(1, 2, -1, 3, 4))).position

    with anyio.fail_after(20):
        async with AsyncProjectionEngine(store, model, batch=5, on_buried=buried.append) as engine:
            await engine.wait_for(position)
            shown = await model.all()

    assert {"a": 6, "b": 4} == shown
    assert [3] == [each.position for each in buried]
    assert ["ValueError: nobody pays a negative amount"] == [each.reason for each in await model.buried()]
    await store.close()


@pytest.mark.anyio
async def test_a_model_is_resumed_and_made_anew(model: Totals) -> None:
    store = AsyncInMemoryEventStore()
    await store.save("a", paid(1))
    first = await catch_up_async(store, model)
    await store.save("a", paid(3))

    second = await catch_up_async(store, model)
    resumed = await model.all()
    await catch_up_async(store, model, rebuild=True)

    assert (1, 2) == (first, second)
    assert {"b": 4} == resumed == await model.all()


@pytest.mark.anyio
async def test_two_tasks_with_the_same_projection_do_its_work_once(model: Totals, tmp_path: Path) -> None:
    store, twin = AsyncInMemoryEventStore(), Totals(tmp_path / "model.db")
    position = (await store.save("a", paid(*range(60)))).position

    with anyio.fail_after(30):
        async with (
            AsyncProjectionEngine(store, model, batch=7) as one,
            AsyncProjectionEngine(store, twin, batch=5) as two,
        ):
            await one.wait_for(position)
            await two.wait_for(position)

    assert {"a": sum(range(0, 60, 2)), "b": sum(range(1, 60, 2))} == await model.all()
    await twin.dispose()


@pytest.mark.anyio
async def test_whoever_waits_for_an_engine_that_ends_is_told() -> None:
    engine = AsyncProjectionEngine(AsyncInMemoryEventStore(), Count())

    async with engine:
        pass

    with pytest.raises(ProjectionStoppedError):
        await engine.wait_for(1)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_an_asynchronous_subscription_gives_what_is_there_and_then_what_comes() -> None:
    store, found = AsyncInMemoryEventStore(), list[int]()
    await store.save("a", paid(1, 2))

    async def listen() -> None:
        async with store.subscribe(after=1) as tail:
            async for record in tail:
                found.append(record.position)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await anyio.wait_all_tasks_blocked()
            await store.save("b", paid(3))
            await anyio.wait_all_tasks_blocked()
            await store.close()

    assert [2, 3] == found
