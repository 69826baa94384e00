"""Three processes of one service, with a real broker and a real database between them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from websockets.sync.client import connect

from engines import Engine
from services import RunProcess, Start

Eventually = Callable[..., Any]


TABLES = [
    "DROP TABLE IF EXISTS orders, ticks",
    "CREATE TABLE orders (name text PRIMARY KEY, trace json NOT NULL, packed int NOT NULL, billed int NOT NULL)",
    "CREATE TABLE ticks (id text PRIMARY KEY, runs int NOT NULL)",
]


async def make_tables(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        for statement in TABLES:
            await connection.execute(text(statement))
    await engine.dispose()


@pytest.fixture
def environ(redis_server: Engine, postgres_server: Engine, collector: Any, tmp_path: Path) -> dict[str, str]:
    """Where the processes of the shop find everything; its tables are empty."""
    shutil.copy(Path(__file__).with_name("shop.py"), tmp_path / "shop.py")
    database = postgres_server.url.replace("postgresql://", "postgresql+asyncpg://")
    asyncio.run(make_tables(database))
    return {
        "DATABASE_URL": database,
        "BUS_URL": redis_server.url,
        "SOCKETS_URL": redis_server.url,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url,
    }


@pytest.fixture
def processes(start: Start, environ: dict[str, str]) -> dict[str, RunProcess]:
    """One process for each role."""
    roles = ("http", "worker", "scheduler")
    started = {role: start("shop:service", role, **environ) for role in roles}
    for role, process in started.items():
        process.wait_for(f"{role} is ready", longest_s=60)
    return started


@pytest.mark.acceptance("J1")
@pytest.mark.acceptance("J17")
def test_one_trace_runs_through_three_processes(
    processes: dict[str, RunProcess], collector: Any, eventually: Eventually
) -> None:
    address = processes["http"].address()

    httpx.post(f"{address}/orders/tea").raise_for_status()

    eventually(lambda: httpx.get(f"{address}/orders").json() == [["tea", 1, 1]], 30)
    (trace_id,) = eventually(lambda: {span.trace_id for span in spans(collector) if span.name == "send bill"}, 30)
    wanted = {"POST /orders/{name}", "publish OrderPlaced", "process OrderPlaced", "send bill"}
    eventually(lambda: wanted <= {span.name for span in spans(collector) if span.trace_id == trace_id}, 30)


def spans(collector: Any) -> list[Any]:
    return [span for exchange in tuple(collector.exchanges) for span in exchange.spans]


@pytest.mark.acceptance("J19")
def test_what_a_worker_broadcasts_reaches_the_clients_of_every_http_process(
    processes: dict[str, RunProcess], start: Start, environ: dict[str, str]
) -> None:
    other = start("shop:service", "http", **environ)
    one, two = processes["http"].address(), other.address()

    with connect(f"ws{one[4:]}/live") as here, connect(f"ws{two[4:]}/live") as there:
        httpx.post(f"{one}/orders/tea").raise_for_status()

        worker = processes["worker"].process.pid
        assert {f"tea packed by {worker}"} == {here.recv(timeout=20), there.recv(timeout=20)}


def test_ticks_run_once_among_several_schedulers(
    processes: dict[str, RunProcess], start: Start, environ: dict[str, str], eventually: Eventually
) -> None:
    """Two runs of one tick would break the primary key of its row, and show in a log."""
    other = start("shop:service", "scheduler", **environ)
    other.wait_for("scheduler is ready")
    address = processes["http"].address()

    before = httpx.get(f"{address}/ticks").json()
    eventually(lambda: httpx.get(f"{address}/ticks").json() >= before + 4, 30)

    assert "failed" not in processes["scheduler"].output + other.output
