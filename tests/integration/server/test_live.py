"""The live tail: spans reach those who watch as they become readable."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from select import select
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from honeyhive.exceptions import APIConnectionError, ConfigurationError
from honeyhive.server.admission.limits import Limits
from honeyhive.server.admission.security import own_token_file
from honeyhive.server.reading.watching import live_spans

Make = Callable[..., dict[str, object]]


@contextmanager
def watching(server: Any, query: str = "", **headers: str) -> Iterator[ClientConnection]:
    address = server.address.replace("http:", "ws:")
    headers = headers or {"Authorization": f"Bearer {server.token}"}
    with connect(f"{address}/v1/live{query}", additional_headers=headers, proxy=None) as socket:
        yield socket


def told(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=10))
    return message


def test_spans_are_told_as_they_become_readable(
    server: Any, client: httpx.Client, span: Make, request_of: Make
) -> None:
    with watching(server) as socket:
        client.post("/v1/traces", json=request_of(span("first"), span("second")))
        message = told(socket)

        assert [each["name"] for each in message["spans"]] == ["first", "second"]
        assert message["omitted"] == 0
        [shown, _] = message["spans"]
        assert "details" not in shown
        assert client.get(f"/v1/traces/{shown['trace_id']}/spans/{shown['span_id']}").status_code == 200


def test_a_watcher_is_told_what_it_asked_for_only(
    server: Any, client: httpx.Client, span: Make, request_of: Make
) -> None:
    def of(session: str) -> dict[str, object]:
        return span(session, attributes={"honeyhive.session_id": session, "honeyhive.project": "tea"})

    with watching(server, "?session_id=mine&project=tea") as socket:
        client.post("/v1/traces", json=request_of(of("theirs")))
        client.post("/v1/traces", json=request_of(of("theirs"), of("mine")))

        assert [each["name"] for each in told(socket)["spans"]] == ["mine"]


def test_of_very_many_the_rest_is_counted(server: Any, client: httpx.Client, span: Make, request_of: Make) -> None:
    with watching(server) as socket:
        client.post("/v1/traces", json=request_of(*(span(str(number)) for number in range(250))))
        message = told(socket)

    assert (len(message["spans"]), message["omitted"]) == (100, 150)


def test_whatever_a_watcher_says_is_passed_over(
    server: Any, client: httpx.Client, span: Make, request_of: Make
) -> None:
    with watching(server) as socket:
        socket.send("text")
        socket.send(b"bytes")
        client.post("/v1/traces", json=request_of(span("after all")))

        assert [each["name"] for each in told(socket)["spans"]] == ["after all"]
    assert "Traceback" not in server.log.read_text()


def test_of_long_texts_the_beginning_is_told(server: Any, client: httpx.Client, span: Make, request_of: Make) -> None:
    failed = {"code": "STATUS_CODE_ERROR", "message": "m" * 100_000}
    with watching(server) as socket:
        client.post("/v1/traces", json=request_of(*(span("n" * 10_000, status=failed) for _ in range(100))))
        message = socket.recv(timeout=10)

    assert len(message) < 200_000
    [shown, *_] = json.loads(message)["spans"]
    assert (shown["name"], shown["error"]) == ("n" * 200, "m" * 200)


def test_those_who_watch_cannot_keep_others_out(
    server: Any, client: httpx.Client, span: Make, request_of: Make
) -> None:
    with ExitStack() as stack:
        for _ in range(Limits().watchers):
            stack.enter_context(watching(server))

        with watching(server) as one_more, pytest.raises(ConnectionClosed, match="Too many are watching"):
            one_more.recv(timeout=10)
        with pytest.raises(APIConnectionError, match="Too many are watching"):
            next(live_spans())
        with server.client() as new:
            assert new.post("/v1/traces", json=request_of(span())).status_code == 200


def test_whoever_is_not_let_in_hears_nothing(server: Any) -> None:
    with pytest.raises(InvalidStatus, match="401"), watching(server, Authorization="Bearer wrong"):
        pass


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.com"}, {"Sec-Fetch-Site": "cross-site"}])
def test_pages_of_other_sites_hear_nothing_and_fill_no_log(server: Any, headers: dict[str, str]) -> None:
    before = server.log.read_text()

    with (
        pytest.raises(InvalidStatus, match="403"),
        watching(server, Authorization=f"Bearer {server.token}", **headers),
    ):
        pass

    assert server.log.read_text() == before


def test_a_token_that_is_gone_is_named(server: Any) -> None:
    own_token_file().unlink()

    with pytest.raises(ConfigurationError, match="token file"):
        next(live_spans())


def test_those_who_watch_do_not_keep_it_from_stopping(server: Any) -> None:
    with watching(server):
        assert server.stop() == 0


def test_spans_can_be_followed_in_the_terminal(
    server: Any, client: httpx.Client, span: Make, request_of: Make, eventually: Callable[..., object]
) -> None:
    follow = [sys.executable, "-m", "honeyhive.cli", "traces", "follow", "--project", "tea"]
    with subprocess.Popen([*follow, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None

        def brewed() -> bool:
            client.post("/v1/traces", json=request_of(span("brew", attributes={"honeyhive.project": "tea"})))
            return bool(select([following.stdout], [], [], 0.2)[0])

        eventually(brewed)
        server.stop()
        lines, said = following.communicate(timeout=20)
        spans = [json.loads(line) for line in lines.splitlines()]

    assert following.returncode == 1
    assert said == "Error: The backend has stopped.\n"
    assert {"brew"} == {each["name"] for each in spans}


def test_there_is_nothing_to_follow_without_a_backend() -> None:
    follow = [sys.executable, "-m", "honeyhive.cli", "traces", "follow"]
    done = subprocess.run(follow, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 1
    assert "honeyhive serve" in done.stderr
