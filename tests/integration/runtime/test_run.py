"""``honeyhive run``: one process for each role, or all roles in one; its signals, its health, its children."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from services import CLOCK, Start

SERVICE = """
import os

import anyio
from starlette.websockets import WebSocket

from honeyhive.events import AsyncMessageBus, Event, MessageBus
from honeyhive.runtime import (
    HttpSettings, Provider, Publishing, Service, Sockets, every, get, on_message, use_publisher, use_ws_manager, websocket,
)


class Greeted(Event):
    name: str


class Greetings:
    @get("/hello/{name}")
    async def hello(self, name: str) -> int:
        await use_publisher().publish(Greeted(name=name))
        return os.getpid()

    @get("/slow")
    async def slow(self) -> str:
        print("slow began", flush=True)
        await anyio.sleep(0.5)
        return "slow ended"

    @on_message(Greeted)
    async def greeted(self, message: Greeted) -> None:
        await use_ws_manager().broadcast(f"{message.name} was greeted")

    @every("* * * * * *")
    async def tick(self) -> None:
        print("tick", flush=True)

    @websocket("/live")
    async def live(self, socket: WebSocket) -> None:
        async with use_ws_manager().connected(socket):
            async for _ in socket.iter_text():
                pass


service = Service(
    "greeter",
    providers=[Provider(MessageBus, AsyncMessageBus)],
    controllers=[Greetings],
    interceptors=[Sockets, Publishing],
    http=HttpSettings(port=0),
)
"""


@pytest.fixture(autouse=True)
def _service(tmp_path: Path) -> None:
    (tmp_path / "greeter.py").write_text(SERVICE)


@pytest.mark.acceptance("J10")
def test_all_roles_run_in_one_process(start: Start) -> None:
    """Whatever kind of handler it is, it reaches the clients that are connected."""
    process = start("greeter:service", "all")
    address = process.address()

    with connect(address.replace("http", "ws") + "/live") as socket:
        httpx.get(f"{address}/hello/ann")
        assert socket.recv(timeout=10) == "ann was greeted"
    process.wait_for("(tick)", count=2)

    assert process.stop() == 0


@pytest.mark.acceptance("J13")
def test_each_role_is_a_process_of_its_own(start: Start) -> None:
    http, worker, scheduler = (start("greeter:service", role) for role in ("http", "worker", "scheduler"))

    http.address()
    worker.wait_for("worker is ready")
    scheduler.wait_for(r"Greetings.tick \(\* \* \* \* \* \*\) runs next at")
    scheduler.wait_for("(tick)")

    assert "tick" not in http.output + worker.output
    assert "its AsyncMessageBus reaches this process only" in http.output
    assert [0, 0, 0] == [process.stop() for process in (http, worker, scheduler)]


def test_health_tells_whether_a_process_is_ready(start: Start) -> None:
    http = start("greeter:service", "http")
    worker = start("greeter:service", "worker", "--health-port", "0")
    worker.wait_for("worker is ready")

    ready = httpx.get(f"{http.address()}/health/ready")
    live = httpx.get(f"{http.address()}/health/live")

    assert (200, {"ready": True, "waiting_for": []}) == (ready.status_code, ready.json())
    assert live.status_code == 200
    assert worker.stop(signal.SIGINT) == 0


def test_a_request_that_runs_is_answered_before_the_process_ends(start: Start) -> None:
    process = start("greeter:service", "http")
    address = process.address()

    with ThreadPoolExecutor() as threads:
        answer = threads.submit(httpx.get, f"{address}/slow", timeout=10)
        process.wait_for("slow began")
        code = process.stop()

    assert (200, "slow ended") == (answer.result().status_code, answer.result().json())
    assert code == 0


def test_several_processes_share_one_port_and_the_dead_are_replaced(start: Start) -> None:
    process = start("greeter:service", "http", "--processes", "2")
    address = process.address()
    assert len(set(process.wait_for(r"http is ready.*\(process (\d+)\)", count=2))) == 2
    first = httpx.get(f"{address}/hello/ann").json()

    os.kill(first, signal.SIGKILL)
    process.wait_for("http is ready", count=3)

    assert first != httpx.get(f"{address}/hello/ann").json()
    assert process.stop() == 0


def test_children_end_with_a_supervisor_that_is_killed(start: Start) -> None:
    process = start("greeter:service", "http", "--processes", "2")
    address = process.address()
    process.wait_for("http is ready", count=2)

    process.stop(signal.SIGKILL)

    deadline = CLOCK.monotonic() + 10
    while answers(address):
        assert CLOCK.monotonic() < deadline, "somebody still answers"
        CLOCK.sleep(0.05)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/live").is_success
    except httpx.TransportError:
        return False


def test_a_change_of_the_code_starts_the_process_anew(start: Start, tmp_path: Path) -> None:
    process = start("greeter:service", "scheduler", "--reload")
    process.wait_for("(tick)")

    (tmp_path / "greeter.py").write_text(SERVICE.replace('print("tick"', 'print("changed"'))
    os.utime(tmp_path / "greeter.py", (2_000_000_000, 2_000_000_000))

    process.wait_for("(changed)")
    assert process.stop() == 0


def test_processes_that_would_each_run_every_tick_are_refused(start: Start) -> None:
    process = start("greeter:service", "all", "--processes", "2")

    assert process.wait() == 2
    assert "2 processes of 'greeter' keep time and share no ledger" in process.output


def test_what_the_program_says_about_its_log_holds(start: Start, tmp_path: Path) -> None:
    (tmp_path / "talking.py").write_text(
        "import logging\nlogging.basicConfig(level=logging.INFO)\nfrom greeter import service\n"
        "logging.getLogger('talking').info('good day')\n"
    )

    process = start("talking:service", "http")

    process.address()
    assert "INFO:talking:good day" in process.output
    assert process.stop() == 0


@pytest.mark.parametrize(
    "place, role, words",
    [
        ("greeter", "http", "package.module:name"),
        ("greeter:nothing", "http", "is no Service but NoneType"),
        ("nowhere:service", "http", "there is no module 'nowhere'"),
        ("idle:service", "worker", "declares nothing for a worker"),
        ("idle:service", "all", "declares nothing that a process could do"),
        ("broken:service", "http", "Needy.__init__: parameter 'value' asks for int"),
    ],
)
def test_what_cannot_run_says_why(start: Start, tmp_path: Path, place: str, role: str, words: str) -> None:
    (tmp_path / "idle.py").write_text("from honeyhive.runtime import Service\nservice = Service('idle')\n")
    (tmp_path / "broken.py").write_text(
        "from honeyhive.runtime import Service, get\n"
        "class Needy:\n    def __init__(self, value: int) -> None: ...\n    @get('/')\n    async def read(self): ...\n"
        "service = Service('broken', controllers=[Needy])\n"
    )

    process = start(place, role)

    assert process.wait() == 2
    assert words in process.output
    assert ("Usage:" in process.output) is (":" not in place)


def test_a_controller_that_raises_at_import_shows_its_own_error(start: Start, tmp_path: Path) -> None:
    (tmp_path / "raising.py").write_text("raise ZeroDivisionError('theirs')\n")

    process = start("raising:service", "http")

    assert process.wait() == 1
    assert "ZeroDivisionError: theirs" in process.output
