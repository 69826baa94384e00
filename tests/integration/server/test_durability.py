"""What was answered with 200 is there, whatever happens to the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from honeyhive.journal import Journal
from honeyhive.models.wire import LOCAL, RecordKind, spool_root
from honeyhive.server import jsontext
from honeyhive.server.admission.limits import Limits
from honeyhive.server.records import otlp

Make = Callable[..., dict[str, object]]


def every_name(client: httpx.Client) -> set[str]:
    names: set[str] = set()
    cursor: dict[str, str] = {"wait": "1"}
    while True:
        page = client.get("/v1/traces", params={"limit": "1000", **cursor}).json()
        names |= {trace["name"] for trace in page["traces"]}
        if page["next_cursor"] is None:
            return names
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.fault
def test_kill_nine_under_load_loses_nothing_that_was_answered(
    stopped_server: Any, span: Make, request_of: Make
) -> None:
    server = stopped_server
    accepted: set[str] = set()
    enough = threading.Event()

    def send(sender: int) -> None:
        with server.client() as client:
            for n in range(10_000):
                name = f"{sender}-{n}"
                body = request_of(span(name, trace_id=f"{sender + 1:016x}{n + 1:016x}"))
                try:
                    reply = client.post("/v1/traces", json=body)
                except httpx.HTTPError:
                    return
                if reply.status_code == 200:
                    accepted.add(name)
                if len(accepted) > 200:
                    enough.set()

    server.start()
    senders = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for sender in senders:
        sender.start()
    assert enough.wait(8)
    server.kill()
    for sender in senders:
        sender.join(5)

    server.start()

    with server.client() as client:
        client.post("/session/start", json={"session": {}}, params={"wait": 1})
        assert accepted <= every_name(client)


def test_a_restart_keeps_everything_and_the_token(stopped_server: Any, span: Make, request_of: Make) -> None:
    server = stopped_server
    server.start()
    with server.client() as client:
        client.post("/v1/traces", json=request_of(span("kept")))
    token = server.token
    assert server.stop() == 0

    server.start("--rebuild")

    assert server.token == token
    with server.client() as client:
        client.post("/session/start", json={"session": {}}, params={"wait": 1})
        assert every_name(client) == {"kept"}


def test_a_damaged_index_is_put_aside_and_made_again(stopped_server: Any, span: Make, request_of: Make) -> None:
    server = stopped_server
    server.start()
    with server.client() as client:
        client.post("/v1/traces", json=request_of(span("kept")), params={"wait": 1})
    server.kill()
    data: Path = server.data
    (data / "index.sqlite-wal").unlink()
    (data / "index.sqlite").write_bytes(b"not a database" * 1_000)

    server.start()

    with server.client() as client:
        client.post("/session/start", json={"session": {}}, params={"wait": 1})
        assert every_name(client) == {"kept"}
    assert len(list(data.glob("index.sqlite.damaged-*"))) == 1


@pytest.fixture
def dead_program(span: Make, request_of: Make) -> Callable[[str], None]:
    """Leave behind what a program's exporter leaves when it dies before it could send."""

    def leave(name: str) -> None:
        request = otlp.from_json(jsontext.dumps(request_of(span(name))), Limits())
        with Journal(spool_root() / LOCAL, prefix=f"dead-{name}") as spool:
            spool.append(RecordKind.SPANS, request.SerializeToString())

    return leave


def test_what_was_recorded_while_no_backend_ran_appears(
    stopped_server: Any, dead_program: Callable[[str], None], eventually: Callable[..., object]
) -> None:
    dead_program("before")

    stopped_server.start()

    with stopped_server.client() as client:
        eventually(lambda: "before" in every_name(client))
    assert list((spool_root() / LOCAL).glob("*.seg")) == []


def test_programs_that_die_while_the_backend_runs_are_adopted_too(
    server: Any, client: httpx.Client, dead_program: Callable[[str], None], eventually: Callable[..., object]
) -> None:
    dead_program("meanwhile")

    eventually(lambda: "meanwhile" in every_name(client))
