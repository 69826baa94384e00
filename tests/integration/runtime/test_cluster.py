"""Three processes of one service, with a real broker and a real database between them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from websockets.sync.client import connect

from engines import Engine, Redis, running
from services import CLOCK, RunProcess, Start

Eventually = Callable[..., Any]

ROLES = ("http", "worker", "scheduler")
BROKERS = ("redis_server", "nats_server", "rabbitmq_server")
KILLING_S = float(os.environ.get("KILLING_SECONDS", "3"))
"""How long processes are killed at random on each broker; KILLING_SECONDS=60 for the whole minute."""


TABLES = [
    "DROP SCHEMA public CASCADE",
    "CREATE SCHEMA public",
    "CREATE TABLE orders (name text PRIMARY KEY, trace json NOT NULL, packed int NOT NULL, billed int NOT NULL)",
    "CREATE TABLE ticks (id text PRIMARY KEY, runs int NOT NULL)",
]


async def make_tables(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        for statement in TABLES:
            await connection.execute(text(statement))
    await engine.dispose()


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> Engine:
    """What stands between the processes."""
    engine: Engine = request.getfixturevalue(request.param)
    return engine


@pytest.fixture
def environ(postgres_server: Engine, collector: Any, tmp_path: Path) -> dict[str, str]:
    """Where the processes of the shop find everything but their broker; its tables are empty."""
    shutil.copy(Path(__file__).with_name("shop.py"), tmp_path / "shop.py")
    database = postgres_server.url.replace("postgresql://", "postgresql+asyncpg://")
    asyncio.run(make_tables(database))
    return {
        "DATABASE_URL": database,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url,
    }


@pytest.fixture
def places(environ: dict[str, str], broker: Engine) -> dict[str, str]:
    """Where the processes of the shop find everything, on each broker in turn."""
    return {**environ, "BUS_URL": broker.url}


def started(start: Start, places: dict[str, str]) -> dict[str, RunProcess]:
    """Start one process for each role, and wait until all are ready."""
    found = {role: start("shop:service", role, **places) for role in ROLES}
    for role, process in found.items():
        process.wait_for(f"{role} is ready", longest_s=60)
    return found


@pytest.mark.acceptance("J1")
@pytest.mark.acceptance("J17")
def test_one_trace_runs_through_three_processes(
    start: Start, places: dict[str, str], collector: Any, eventually: Eventually
) -> None:
    processes = started(start, places)
    address = processes["http"].address()

    httpx.post(f"{address}/orders/tea").raise_for_status()

    eventually(lambda: httpx.get(f"{address}/orders").json() == [["tea", 1, 1]], 30)
    (trace_id,) = eventually(lambda: {span.trace_id for span in spans(collector) if span.name == "send bill"}, 30)
    wanted = {"POST /orders/{name}", "publish OrderPlaced", "process OrderPlaced", "send bill"}
    eventually(lambda: wanted <= {span.name for span in spans(collector) if span.trace_id == trace_id}, 30)


def spans(collector: Any) -> list[Any]:
    return [span for exchange in tuple(collector.exchanges) for span in exchange.spans]


@pytest.mark.fault
@pytest.mark.timeout(max(180, KILLING_S * 4))
def test_killing_processes_at_random_loses_nothing_and_doubles_nothing(
    start: Start, places: dict[str, str], eventually: Eventually
) -> None:
    """Two of each; every order is packed once and billed once, and every second has its one tick."""
    processes = {(role, number): start("shop:service", role, **places) for role in ROLES for number in (1, 2)}
    for (role, _), process in processes.items():
        process.wait_for(f"{role} is ready", longest_s=60)
    random = Random(7)
    orders = Orders()
    deadline = CLOCK.monotonic() + KILLING_S

    while CLOCK.monotonic() < deadline:
        alive = [processes["http", number].address() for number in (1, 2)]
        for _ in range(20):
            orders.place(random.choice(alive))
        place = random.choice(list(processes))
        processes[place].stop(signal.SIGKILL)
        processes[place] = start("shop:service", place[0], **places)
        processes[place].wait_for(f"{place[0]} is ready", longest_s=60)

    address = processes["http", 1].address()
    placed = eventually(lambda: orders.place_what_is_left(address), 30)
    eventually(lambda: {tuple(row[1:]) for row in httpx.get(f"{address}/orders").json()} == {(1, 1)}, 60)
    assert placed == {row[0] for row in httpx.get(f"{address}/orders").json()}
    now = datetime.now(UTC)
    eventually(lambda: has_every_tick(address, now), 30)


def has_every_tick(address: str, until: datetime) -> bool:
    """Tell whether every second from the first tick to *until* has had its tick."""
    ticks = [datetime.fromisoformat(tick.partition("@")[2]) for tick in httpx.get(f"{address}/ticks").json()]
    due = [tick for tick in ticks if tick <= until]
    return len(due) < len(ticks) and all(later - tick == timedelta(seconds=1) for tick, later in pairwise(due))


class Orders:
    """A client that asks again until it has an answer."""

    def __init__(self) -> None:
        self.placed: set[str] = set()
        self.unsure: set[str] = set()

    def place(self, address: str) -> None:
        name = f"order-{len(self.placed) + len(self.unsure):05}"
        try:
            httpx.post(f"{address}/orders/{name}", timeout=5).raise_for_status()
        except httpx.HTTPError:
            self.unsure.add(name)
        else:
            self.placed.add(name)

    def place_what_is_left(self, address: str) -> set[str]:
        """Place again what had no answer; return all that was placed, nothing as long as an answer is missing."""
        for name in tuple(self.unsure):
            if httpx.post(f"{address}/orders/{name}", timeout=5).is_success:
                self.unsure.remove(name)
                self.placed.add(name)
        return set() if self.unsure else self.placed


@pytest.fixture
def mortal_redis() -> Iterator[Engine]:
    """A Redis of the test's own."""
    yield from running(Redis)


@pytest.mark.fault
def test_a_broker_that_is_down_at_the_start_and_dies_later_loses_nothing(
    start: Start, environ: dict[str, str], mortal_redis: Engine, eventually: Eventually
) -> None:
    mortal_redis.stop()
    places = {**environ, "BUS_URL": mortal_redis.url}
    http, worker = (start("shop:service", role, **places) for role in ("http", "worker"))
    mortal_redis.start()
    address = http.address()
    worker.wait_for("worker is ready")

    httpx.post(f"{address}/orders/before", timeout=20).raise_for_status()
    eventually(lambda: httpx.get(f"{address}/orders").json() == [["before", 1, 0]], 30)
    mortal_redis.kill()
    httpx.post(f"{address}/orders/meanwhile", timeout=20).raise_for_status()
    mortal_redis.start()

    wanted = [["before", 1, 0], ["meanwhile", 1, 0]]
    eventually(lambda: httpx.get(f"{address}/orders").json() == wanted, 60)


@pytest.mark.acceptance("J19")
def test_what_a_worker_broadcasts_reaches_the_clients_of_every_http_process(
    start: Start, places: dict[str, str]
) -> None:
    processes = started(start, places)
    other = start("shop:service", "http", **places)
    one, two = processes["http"].address(), other.address()

    with connect(f"ws{one[4:]}/live") as here, connect(f"ws{two[4:]}/live") as there:
        httpx.post(f"{one}/orders/tea").raise_for_status()

        worker = processes["worker"].process.pid
        assert {f"tea packed by {worker}"} == {here.recv(timeout=20), there.recv(timeout=20)}


def test_ticks_run_once_among_several_schedulers(
    start: Start, environ: dict[str, str], redis_server: Engine, eventually: Eventually
) -> None:
    """Two runs of one tick would break the primary key of its row, and show in a log."""
    places = {**environ, "BUS_URL": redis_server.url}
    processes = started(start, places)
    other = start("shop:service", "scheduler", **places)
    other.wait_for("scheduler is ready")
    address = processes["http"].address()

    before = len(httpx.get(f"{address}/ticks").json())
    eventually(lambda: len(httpx.get(f"{address}/ticks").json()) >= before + 4, 30)

    assert "failed" not in processes["scheduler"].output + other.output
