"""The backend as several processes, with a real database and each of the brokers between them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from websockets.sync.client import connect

from engines import Engine
from honeyhive import HoneyHiveTracer
from honeyhive.runtime import ScheduleExecution
from honeyhive.server.cluster import backend
from services import CLOCK, RunProcess, Start

CLUSTER = "honeyhive.server.cluster:backend"
TOKEN = "t" * 40
ROLES = ("http", "worker", "scheduler")
KILLING_S = float(os.environ.get("KILLING_SECONDS", "4"))
"""How long processes are killed at random; KILLING_SECONDS=60 for a whole minute."""

Make: TypeAlias = Callable[..., dict[str, object]]
Places: TypeAlias = dict[str, str]
Eventually: TypeAlias = Callable[..., Any]


@pytest.fixture(params=["redis", "nats", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Engine:
    """What stands between the processes."""
    engine: Engine = request.getfixturevalue(f"{request.param}_server")
    return engine


@pytest.fixture
def database(postgres_server: Engine) -> str:
    """An empty database of the test's own."""
    name = f"backend_{CLOCK.time_ns()}"
    asyncio.run(make_database(postgres_server.url, name))
    return postgres_server.url.rpartition("/")[0] + f"/{name}"


async def make_database(url: str, name: str) -> None:
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    await engine.dispose()


@pytest.fixture
def places(database: str, tmp_path: Path) -> Places:
    """What all processes of the backend are told, but for the bus."""
    token_file = tmp_path / "token"
    token_file.touch(0o600)
    token_file.write_text(TOKEN)
    return {"HH_SERVER_DATABASE_URL": database, "HH_SERVER_TOKEN_FILE": str(token_file)}


def started(start: Start, role: str, places: Places) -> RunProcess:
    process = start(CLUSTER, role, *(["--port", "0"] if role == "http" else []), **places)
    process.wait_for(f"{role} is ready", longest_s=60)
    return process


def client_of(process: RunProcess) -> httpx.Client:
    return httpx.Client(
        base_url=process.address(), headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=20
    )


def names_in(client: httpx.Client) -> list[str]:
    """Return the names of all traces, which must be readable by now."""
    names: list[str] = []
    page = client.get("/v1/traces", params={"limit": "1000", "wait": "1"}).raise_for_status().json()
    while True:
        names += [trace["name"] for trace in page["traces"]]
        if page["next_cursor"] is None:
            return names
        page = client.get("/v1/traces", params={"limit": "1000", "cursor": page["next_cursor"]}).json()


def test_what_one_process_accepts_every_other_one_shows(
    start: Start, places: Places, broker: Engine, span: Make, request_of: Make
) -> None:
    places["HH_SERVER_BUS_URL"] = broker.url
    one, other = (started(start, "http", places) for _ in range(2))
    for role in ("worker", "worker", "scheduler"):
        started(start, role, places)

    with client_of(one) as here, client_of(other) as there:
        socket = connect(
            f"ws{other.address()[4:]}/v1/live", additional_headers={"Authorization": f"Bearer {TOKEN}"}, proxy=None
        )
        with socket:
            here.post("/v1/traces", json=request_of(span("tea\x00"))).raise_for_status()
            told = json.loads(socket.recv(timeout=20))
        here.post("/session/start", json={"session": {"session_id": "s", "session_name": "talk"}}).raise_for_status()

        assert [each["name"] for each in told["spans"]] == ["tea\x00"]
        assert len(names_in(there)) == 1
        assert there.get("/v1/sessions/s", params={"wait": 1}).json()["event_name"] == "talk"
        assert there.get("/traces").status_code == 200
        assert httpx.get(f"{one.address()}/v1/traces", trust_env=False).status_code == 401


def test_programs_send_to_it_as_to_any_service(
    start: Start, places: Places, redis_server: Engine, eventually: Eventually
) -> None:
    places["HH_SERVER_BUS_URL"] = redis_server.url
    http = started(start, "http", places)
    started(start, "worker", places)
    tracer = HoneyHiveTracer(api_key=TOKEN, server_url=http.address(), project="tea", session_name="talk")

    with tracer.start_span("brew"):
        pass
    assert tracer.flush(20_000)
    tracer.shutdown()

    with client_of(http) as client:
        [trace] = eventually(lambda: client.get("/v1/traces", params={"wait": 1}).json()["traces"])
        session = client.get(f"/v1/sessions/{trace['session_id']}").json()
    assert (trace["name"], trace["project"], session["event_name"]) == ("brew", "tea", "talk")


@pytest.mark.anyio
async def test_what_is_too_old_is_forgotten_by_whichever_scheduler_looks(
    start: Start, places: Places, redis_server: Engine, span: Make, request_of: Make
) -> None:
    places["HH_SERVER_BUS_URL"] = redis_server.url
    http = started(start, "http", places)
    started(start, "worker", places)
    with client_of(http) as client:
        client.post("/v1/traces", json=request_of(span("old")), params={"wait": 1}).raise_for_status()
        assembly = backend.build({**places, "HH_SERVER_KEEP_DAYS": "0.000001"})
        [handler] = assembly.schedules()
        tick = ScheduleExecution(name="sweep", schedule="sweep", cron="* * * * *", tick=datetime.now(UTC))

        async with assembly.opened(lambda each: each == handler) as process:
            await process.run(tick, partial(process.handle, tick, handler))

        assert names_in(client) == []


@pytest.mark.fault
@pytest.mark.timeout(max(150, KILLING_S * 5))
def test_killing_processes_at_random_loses_nothing_that_was_accepted(
    start: Start, places: Places, broker: Engine, span: Make, request_of: Make
) -> None:
    """Two of each; whatever was answered with 200 is shown, once."""
    places["HH_SERVER_BUS_URL"] = broker.url
    processes = {(role, number): started(start, role, places) for role in ROLES for number in (1, 2)}
    random = Random(11)
    accepted: list[str] = []
    sent = 0
    deadline = CLOCK.monotonic() + KILLING_S

    while CLOCK.monotonic() < deadline:
        for number in (1, 2):
            with client_of(processes["http", number]) as client:
                for _ in range(20):
                    sent += 1
                    name = f"span-{sent}"
                    body = request_of(span(name, trace_id=f"{sent:032x}", span_id=f"{sent:016x}"))
                    # As an exporter would: what was not answered is sent again, here at once and twice.
                    for _ in range(2):
                        if client.post("/v1/traces", json=body).status_code == 200:
                            accepted.append(name)
                            break
        place = random.choice(list(processes))
        processes[place].stop(signal.SIGKILL)
        processes[place] = started(start, place[0], places)

    with client_of(processes["http", 1]) as client:
        shown = names_in(client)
        spans = [client.get(f"/v1/traces/{number:032x}").json()["spans"] for number in range(1, 20)]

    assert set(accepted) <= set(shown)
    assert len(shown) == len(set(shown))
    assert set(spans) == {1}


@pytest.mark.fault
def test_without_a_worker_everything_is_accepted_and_shown_when_one_comes(
    start: Start, places: Places, redis_server: Engine, span: Make, request_of: Make
) -> None:
    places["HH_SERVER_BUS_URL"] = redis_server.url
    http = started(start, "http", places)
    with client_of(http) as client:
        for number in range(20):
            client.post("/v1/traces", json=request_of(span(str(number), trace_id=f"{number + 1:032x}")))
        assert client.get("/v1/traces").status_code == 503

        started(start, "worker", places)

        assert sorted(names_in(client), key=int) == [str(number) for number in range(20)]


def test_a_database_that_is_away_is_told_without_a_traceback(
    start: Start, places: Places, redis_server: Engine
) -> None:
    places |= {"HH_SERVER_BUS_URL": redis_server.url, "HH_SERVER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}
    process = start(CLUSTER, "http", "--port", "0", **places)

    assert process.wait(60) == 1
    assert "Traceback" not in process.output
    assert "PostgreSQL cannot be reached" in process.output


@pytest.mark.parametrize("missing", ["HH_SERVER_DATABASE_URL", "HH_SERVER_BUS_URL", "HH_SERVER_TOKEN_FILE"])
def test_what_a_cluster_must_be_told_is_named(start: Start, tmp_path: Path, missing: str) -> None:
    token_file = tmp_path / "token"
    token_file.touch(0o600)
    token_file.write_text(TOKEN)
    given = {
        "HH_SERVER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
        "HH_SERVER_BUS_URL": "redis://127.0.0.1:1",
        "HH_SERVER_TOKEN_FILE": str(token_file),
    }
    del given[missing]
    process = start(CLUSTER, "http", **given)

    assert process.wait(30) == 2
    assert missing in process.output


def test_a_bus_of_an_unknown_kind_is_refused_with_those_that_are_known(start: Start, places: Places) -> None:
    process = start(CLUSTER, "worker", **places, HH_SERVER_BUS_URL="smtp://127.0.0.1")

    assert process.wait(30) != 0
    assert "amqp://, nats:// or redis://" in process.output
