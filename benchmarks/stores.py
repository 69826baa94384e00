"""What event stores cost: durable appends beside the bare driver, replay, snapshots, and orchestrix where it does the same.

    python benchmarks/stores.py [--batches 40] [--replay 1000000] [--postgres URL] [--orchestrix PYTHON]

Stores and bare drivers take turns, batch by batch, so that a busy machine hits them alike; the ratio is that of the
medians. A batch is 512 events; the bare driver inserts the very rows that the store would, into the same table, and
commits them as durably. Without --postgres the server of this machine is started in a temporary folder, if there is
one. With --orchestrix, the Python of an environment that has orchestrix 0.1.0, its stores are measured in a process of
their own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import aiosqlite
import asyncpg

from honeyhive.events import (
    Aggregate,
    AsyncJournalEventStore,
    AsyncPostgreSQLEventStore,
    AsyncSQLiteEventStore,
    Event,
    InMemoryEventStore,
    InMemoryProjection,
    InMemorySnapshotStore,
    JournalEventStore,
    Repository,
    catch_up,
    on,
)
from honeyhive.events.sql.tables import Tables

BATCH = 512
ROW_SQLITE = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)"
ROW_POSTGRES = "INSERT INTO events VALUES ($1, $2, $3, $4, $5, $6, $7)"
ORCHESTRIX = Path(__file__).with_name("parts") / "orchestrix_stores.py"


class Measured(Event):
    """What is saved: a handful of fields, as events have."""

    sensor: str
    value: float
    unit: str
    tags: tuple[str, ...]


@dataclass
class Sensor(Aggregate):
    """An aggregate that reads every event."""

    count: int = 0
    total: float = 0.0
    latest: str = ""
    tags: list[str] = field(default_factory=list)

    @on(Measured)
    def _measured(self, event: Measured) -> None:
        self.count += 1
        self.total += event.value


class Total(InMemoryProjection):
    """A projection that reads every event."""

    def clear(self) -> None:
        self.count = 0

    @on(Measured)
    def _measured(self, _: Measured) -> None:
        self.count += 1


def events(number: int, count: int = BATCH) -> list[Measured]:
    """Make *count* events of batch *number*."""
    return [
        Measured(sensor=f"sensor-{number}", value=index / 7, unit="celsius", tags=("indoor", "calibrated"))
        for index in range(count)
    ]


Append = Callable[[int], Awaitable[None]]


async def rows_of(number: int) -> list[tuple[Any, ...]]:
    """Return the rows that a store would insert for batch *number*."""
    from honeyhive.events import encode

    return [
        (number * BATCH + index, f"sensor-{number}", index, event.id, event.type, 1, encode(event).decode())
        for index, event in enumerate(events(number), 1)
    ]


@asynccontextmanager
async def bare_sqlite(folder: Path) -> AsyncIterator[Append]:
    """The driver alone, on a file of its own."""
    async with aiosqlite.connect(folder / "bare.db", isolation_level=None) as connection:
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = FULL")
        for statement in schema("sqlite"):
            await connection.execute(statement)

        async def append(number: int) -> None:
            rows = prepared[number]
            await connection.execute("BEGIN IMMEDIATE")
            await connection.executemany(ROW_SQLITE, rows)
            await connection.commit()

        yield append


@asynccontextmanager
async def bare_postgres(url: str) -> AsyncIterator[Append]:
    """The driver alone, in a database of its own."""
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE SCHEMA bare")
    await connection.execute("SET search_path TO bare")
    for statement in schema("postgresql"):
        await connection.execute(statement)

    async def append(number: int) -> None:
        async with connection.transaction():
            await connection.executemany(ROW_POSTGRES, prepared[number])

    yield append
    await connection.close()


prepared: dict[int, list[tuple[Any, ...]]] = {}
"""The rows of the batches, made before anything is measured."""


def schema(dialect: str) -> list[str]:
    """Return the statements that make the stores' own table."""
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.schema import CreateTable

    dialects: dict[str, Any] = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect()}  # type: ignore[no-untyped-call]
    return [str(CreateTable(Tables().events).compile(dialect=dialects[dialect]))]


def saving(store: Any) -> Append:
    """Append a batch to *store*, made before it is measured."""

    async def append(number: int) -> None:
        await store.save(f"sensor-{number}", batches[number], 0)

    return append


batches: dict[int, list[Measured]] = {}


async def appends(folder: Path, postgres: str | None, count: int) -> dict[str, float]:
    """Measure durable appends; return events per second."""
    async with AsyncExitStack() as stack:
        cases: dict[str, Append] = {"aiosqlite, bare": await stack.enter_async_context(bare_sqlite(folder))}
        stores: dict[str, Any] = {
            "SQLite store": AsyncSQLiteEventStore(folder / "events.db"),
            "journal store": AsyncJournalEventStore(folder / "journal"),
        }
        if postgres is not None:
            cases["asyncpg, bare"] = await stack.enter_async_context(bare_postgres(postgres))
            stores["PostgreSQL store"] = AsyncPostgreSQLEventStore(postgres)
        for name, store in stores.items():
            stack.push_async_callback(store.close)
            cases[name] = saving(store)
        return await in_turns(cases, count)


async def in_turns(cases: dict[str, Append], count: int) -> dict[str, float]:
    """Run the cases batch by batch; return the median rate of each in events per second."""
    taken: dict[str, list[float]] = defaultdict(list)
    for number in range(count):
        batches[number] = events(number)
        prepared[number] = await rows_of(number)
        for name, append in cases.items():
            began = perf_counter()
            await append(number)
            taken[name].append(perf_counter() - began)
        del batches[number], prepared[number]
    return {name: BATCH / median(times[2:]) for name, times in taken.items()}


def replay(folder: Path, count: int) -> tuple[float, float, float]:
    """Replay *count* events from journal files; return events per second, and memory before and after in MB."""
    store = JournalEventStore(folder / "replay")
    for number in range(count // BATCH + 1):
        store.save(f"sensor-{number % 1_000}", events(number))
    half = Total()
    for _ in range(1):
        catch_up(_Head(store, store.head() // 10), half)
    before, projection, began = resident_mb(), Total(), perf_counter()
    catch_up(store, projection)
    rate, after = projection.count / (perf_counter() - began), resident_mb()
    store.close()
    return rate, before, after


class _Head:
    """The first events of a store, to warm up on."""

    def __init__(self, store: JournalEventStore, last: int) -> None:
        self._store = store
        self._last = last

    def read_all(self, after: int, limit: int) -> list[Any]:
        return self._store.read_all(after, min(limit, max(self._last - after, 0)))


def resident_mb() -> float:
    """Return how much memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096 / 2**20


def snapshots(folder: Path, count: int = 10_000) -> dict[str, float]:
    """Load an aggregate with *count* events with and without a snapshot; return the ratio for each store."""
    ratios = {}
    for name, store in {"memory": InMemoryEventStore(), "journal": JournalEventStore(folder / "snapshots")}.items():
        kept = InMemorySnapshotStore()
        writing = Repository(store, Sensor, snapshots=kept, snapshot_every=count)
        sensor = Sensor()
        for event in events(0, count):
            sensor.record(event)
        writing.save("sensor", sensor)
        store.save("sensor", events(1, 10))
        ratios[name] = load_time(Repository(store, Sensor)) / load_time(writing)
        store.close()
    return ratios


def load_time(repository: Repository[Sensor]) -> float:
    """Return the median of several loads, in seconds."""
    times = []
    for _ in range(7):
        began = perf_counter()
        assert repository.load("sensor").count == 10_010
        times.append(perf_counter() - began)
    return median(times)


def memory_appends(count: int) -> float:
    """Return events per second saved in memory, one at a time, each for its version."""
    store, made = InMemoryEventStore(), events(0, count)
    began = perf_counter()
    for version, event in enumerate(made):
        store.save("sensor", [event], version)
    return count / (perf_counter() - began)


def beside(python: str, count: int) -> None:
    """Print what orchestrix does in the same time, where it does the same."""
    script = [python, str(ORCHESTRIX), str(count)]
    theirs = json.loads(subprocess.run(script, check=True, capture_output=True, text=True).stdout)
    ours, rounds = [], []
    for _ in range(5):
        ours.append(memory_appends(count))
        rounds.append(json.loads(subprocess.run(script, check=True, capture_output=True, text=True).stdout)["save"])
    print(f"in memory, one event a save     {median(ours):12,.0f} events/s, orchestrix {median(rounds):,.0f} {theirs}")


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--replay", type=int, default=1_000_000)
    parser.add_argument("--postgres")
    parser.add_argument("--orchestrix")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stores-") as name:
        folder = Path(name)
        rates = asyncio.run(appends(folder, chosen.postgres, chosen.batches))
        for case, rate in rates.items():
            print(f"{case:20} {rate:12,.0f} events/s")
        verdict = [ratio_line("SQLite store", "aiosqlite, bare", rates, 0.5)]
        if "PostgreSQL store" in rates:
            verdict.append(ratio_line("PostgreSQL store", "asyncpg, bare", rates, 0.5))
            verdict.append(ratio_line("journal store", "PostgreSQL store", rates, 1.0))
        verdict.append(ratio_line("journal store", "SQLite store", rates, 1.0))
        for kind, ratio in snapshots(folder).items():
            print(f"loading 10,010 events from a snapshot, {kind}: {ratio:,.0f} times faster, at least 20")
            verdict.append(ratio >= 20)
        if chosen.replay:
            rate, before, after = replay(folder, chosen.replay)
            print(f"replay of {chosen.replay:,}: {rate:,.0f} events/s, {before:.0f} MB before and {after:.0f} MB after")
    if chosen.orchestrix:
        beside(chosen.orchestrix, 20_000)
    sys.exit(0 if all(verdict) else 1)


def ratio_line(ours: str, theirs: str, rates: dict[str, float], least: float) -> bool:
    """Print one ratio and what was promised; tell whether it is kept."""
    ratio = rates[ours] / rates[theirs]
    print(f"{ours} / {theirs}: {ratio:.2f}, at least {least}{'' if ratio >= least else '  -- TOO LITTLE'}")
    return ratio >= least


if __name__ == "__main__":
    main()
