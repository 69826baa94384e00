"""Over real sockets: slow, endless, lying and uninvited clients."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest


@pytest.fixture
def connect(server: Any) -> Iterator[Any]:
    """Open raw connections to the backend."""
    with contextlib.ExitStack() as stack:
        url = httpx.URL(server.address)

        def connect_once() -> socket.socket:
            return stack.enter_context(socket.create_connection((url.host, url.port or 0), timeout=5))

        yield connect_once


def ask(connection: socket.socket, request: bytes) -> bytes:
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        connection.sendall(request)
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(65_536)
    return b""


@pytest.mark.parametrize(
    "head, status",
    [
        (b"GET /v1/traces HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n", b"400"),
        (b"GET /v1/traces HTTP/1.1\r\nHost: evil.com\r\n\r\n", b"403"),
        (b"GET http://evil.com/v1/traces HTTP/1.1\r\nHost: evil.com\r\n\r\n", b"403"),
        (b"GET /v1/traces HTTP/1.0\r\n\r\n", b"403"),
        (b"POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", b"400"),
        (b"\x16\x03\x01 not http", b"400"),
    ],
)
def test_a_bad_head_is_refused(connect: Any, head: bytes, status: bytes) -> None:
    answer = ask(connect(), head)

    assert answer.split(b" ")[1:2] == [status]


def test_a_head_without_end_is_refused_unread(connect: Any) -> None:
    answer = ask(connect(), b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 2_000_000)

    assert answer == b"" or answer.split(b" ")[1:2] == [b"400"]


def test_a_body_that_declares_too_much_is_refused_unread(server: Any, connect: Any) -> None:
    head = (
        f"POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 10000000000\r\n\r\n"
    )

    assert b" 413 " in ask(connect(), head.encode())


def test_an_endless_body_is_cut_off(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * 1_000_000

    try:
        status = client.post("/v1/traces", content=endless(), headers={"Content-Type": "application/json"}).status_code
    except httpx.TransportError:
        return  # hung up on, which is as good
    assert status == 413


def test_hundreds_of_silent_connections_keep_nobody_out(server: Any, connect: Any) -> None:
    for _ in range(300):
        connection = connect()
        connection.sendall(b"GET / HTTP/1.1\r\nHost: ")

    begun = time.monotonic()
    with server.client() as client:
        assert client.get("/v1/traces").status_code == 200
    assert time.monotonic() - begun < 15


def test_hundreds_of_refused_senders_keep_nobody_out(server: Any, connect: Any) -> None:
    for _ in range(300):
        connection = connect()
        connection.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{")

    with server.client() as client:
        assert client.get("/v1/traces").status_code == 200


def test_other_sites_cannot_plant_a_trace(client: httpx.Client) -> None:
    for headers in ({"Origin": "http://evil.com"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.com"}):
        assert client.post("/v1/traces", json={"resourceSpans": []}, headers=headers).status_code == 403


def test_no_preflight_is_ever_granted(client: httpx.Client) -> None:
    headers = {"Origin": "http://evil.com", "Access-Control-Request-Method": "POST"}

    reply = client.options("/v1/traces", headers=headers)

    assert not [name for name in reply.headers if name.startswith("access-control-")]


def test_the_token_is_never_logged(server: Any, client: httpx.Client) -> None:
    client.get("/v1/traces", headers={"Authorization": "Bearer wrong-token-value"})
    client.get(f"/traces?token={server.token}")

    output = server.output()
    assert output.count(server.token) == 1
    assert "wrong-token-value" not in output


def test_anonymous_ingest_is_off_unless_asked_for(stopped_server: Any) -> None:
    body = {"resourceSpans": []}
    stopped_server.start()
    assert httpx.post(f"{stopped_server.address}/v1/traces", json=body, trust_env=False).status_code == 401
    stopped_server.stop()

    stopped_server.start("--allow-anonymous-ingest")

    address = stopped_server.address
    assert httpx.post(f"{address}/v1/traces", json=body, trust_env=False).status_code == 200
    assert httpx.get(f"{address}/v1/traces", trust_env=False).status_code == 401
