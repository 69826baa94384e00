"""One exchange against a server that misbehaves: it ends in time, reads no more than told, and never tells the key."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import traceback

import anyio
import httpx
import pytest
from opentelemetry import context as otel_context

from honeyhive.api import ConnectionPool, Request, Transport
from honeyhive.exceptions import APIConnectionError, APITimeoutError, ConfigurationError

KEY = "hh-secret-key-0123456789"
HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def transport():
    transport = Transport()
    yield transport
    transport.close()


@pytest.fixture(params=["sync", "async"])
def post(request, transport):
    """Post in both ways; a test holds for each."""
    if request.param == "sync":
        return lambda url, body=b"x", timeout_s=5.0: transport.post(url, body, HEADERS, timeout_s)

    def post_async(url: str, body: bytes = b"x", timeout_s: float = 5.0):
        async def run():
            try:
                return await transport.send_async(Request("POST", url, HEADERS, body), timeout_s)
            finally:
                await transport.aclose()

        return anyio.run(run)

    return post_async


def refused(post, url, kind=APIConnectionError, **arguments):
    with pytest.raises(kind) as caught:
        post(url, **arguments)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    return caught.value


def test_a_body_travels_and_the_reply_comes_back(server, post):
    server.plan(lambda exchange: exchange.answer(202, b'{"ok":1}', X_Request_Id="r1"))

    reply = post(f"{server.url}/v1/traces", b"spans")

    assert (reply.status, reply.body, reply.truncated) == (202, b'{"ok":1}', False)
    assert reply.headers["x-request-id"] == "r1"
    sent = server.exchanges[0]
    assert (sent.method, sent.path, sent.body) == ("POST", "/v1/traces", b"spans")
    assert sent.headers["authorization"] == f"Bearer {KEY}"


def test_nobody_listening_is_a_connection_error(closed_port, post):
    error = refused(post, closed_port)

    assert closed_port in str(error)


def test_an_unknown_host_is_a_connection_error(post):
    refused(post, "http://nowhere.invalid/")


def test_an_address_that_is_none_is_a_connection_error(post):
    refused(post, "gopher://127.0.0.1/")


def test_a_reset_is_a_connection_error(server, post):
    server.plan(lambda exchange: exchange.reset())

    refused(post, server.url)


def test_a_hang_is_a_timeout(server, post):
    server.plan(lambda exchange: exchange.hang())

    refused(post, server.url, APITimeoutError, timeout_s=0.2)


@pytest.mark.parametrize(
    "start",
    [b"", b"HTTP/1.1 200 OK\r\nx-long: ", b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n"],
    ids=["status line", "headers", "body"],
)
def test_a_dripping_server_does_not_outlast_the_deadline(start, server, post):
    def drip(exchange):
        exchange.send(start)
        exchange.drip(b"H" * 400)

    server.plan(drip)
    started = time.monotonic()

    refused(post, server.url, APITimeoutError, timeout_s=0.4)

    assert time.monotonic() - started < 10


def test_a_server_that_reads_nothing_does_not_outlast_the_deadline(post):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        refused(post, url, APITimeoutError, body=b"x" * 20_000_000, timeout_s=0.4)


def test_a_reset_amid_a_large_body_is_a_connection_error(post):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def reset() -> None:
            connection = listener.accept()[0]
            connection.recv(1000)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        resetting = threading.Thread(target=reset)
        resetting.start()

        refused(post, url, APIConnectionError, body=b"x" * 20_000_000)
        resetting.join()


@pytest.mark.parametrize(
    "garbage",
    [b"garbage\r\n\r\n", b"HTTP/9 yes\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000 + b"\r\n\r\n"],
    ids=["no HTTP", "bad status line", "endless headers"],
)
def test_an_answer_that_is_not_http_is_a_connection_error(garbage, server, post):
    def answer(exchange):
        exchange.send(garbage)
        exchange.connection.shutdown(socket.SHUT_WR)

    server.plan(answer)

    refused(post, server.url)


def test_an_answer_that_quotes_the_key_does_not_put_it_into_the_error(server, post):
    server.plan(lambda exchange: exchange.send(exchange.headers["authorization"].encode() + b"\r\n\r\n"))

    refused(post, server.url)


def test_of_a_huge_reply_only_the_first_part_is_read(server, post):
    def flood(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 500000000\r\n\r\n")
        while not server.stopping.is_set():
            exchange.send(b"x" * 65_536)

    server.plan(flood)

    reply = post(server.url)

    assert len(reply.body) == 65_536
    assert reply.truncated


def test_a_compressed_bomb_is_not_inflated(server, post):
    bomb = b"\x1f\x8b" + b"\0" * 100
    server.plan(lambda exchange: exchange.answer(200, bomb, content_encoding="gzip"))

    reply = post(server.url)

    assert reply.body == bomb
    assert "accept-encoding" not in server.exchanges[0].headers


def test_a_body_in_chunks_without_end_is_read_to_the_bound_only(server, post):
    def flood(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while not server.stopping.is_set():
            exchange.send(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")

    server.plan(flood)

    reply = post(server.url)

    assert len(reply.body) == 65_536
    assert reply.truncated


def test_a_thousand_promises_of_an_answer_are_passed_over(server, post):
    server.plan(lambda exchange: exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000) or exchange.answer())

    assert post(server.url).status == 200


def test_promises_without_end_do_not_outlast_the_deadline(server, post):
    def promise(exchange):
        while not server.stopping.is_set():
            exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    server.plan(promise)
    started = time.monotonic()

    refused(post, server.url, APITimeoutError, timeout_s=0.4)

    assert time.monotonic() - started < 10


def test_a_redirect_is_a_reply_and_not_followed(server, post):
    server.plan(lambda exchange: exchange.answer(307, b"", location="/elsewhere"))

    reply = post(server.url)

    assert reply.status == 307
    assert len(server.exchanges) == 1


def test_a_proxy_of_the_environment_is_used_but_not_for_this_machine(server, closed_port, post, monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", server.url.replace("http://", "http://user:proxy-secret@"))

    post("http://service.example/v1/traces")
    error = refused(post, closed_port)

    assert [exchange.path for exchange in server.exchanges] == ["http://service.example/v1/traces"]
    assert "proxy-secret" not in "".join(traceback.format_exception(error))


def test_instrumentations_see_nothing_of_it():
    seen = []

    def handler(request):
        seen.append(otel_context.get_value("suppress_instrumentation"))
        return httpx.Response(200)

    Transport(ConnectionPool(transport=lambda _: httpx.MockTransport(handler))).post("http://x/", b"", {}, 1)

    assert seen == [True]
    assert otel_context.get_value("suppress_instrumentation") is None


@pytest.mark.parametrize("key", ["two\nlines", "with-blank ", "ключ"])
def test_a_key_that_http_cannot_carry_is_named_but_not_shown(key, transport):
    with pytest.raises(ConfigurationError, match="Authorization") as caught:
        transport.post("http://127.0.0.1/", b"", {"Authorization": key}, 1)

    assert key not in "".join(traceback.format_exception(caught.value))


@pytest.mark.acceptance("S22")
def test_requests_of_many_threads_share_a_bounded_number_of_connections(server):
    pool = ConnectionPool(max_connections=2, max_keepalive_connections=2, keepalive_expiry=30)
    transport = Transport(pool)
    threads = [threading.Thread(target=transport.post, args=(server.url, b"x", {}, 5)) for _ in range(12)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.close()

    assert len(server.exchanges) == 12
    assert len(server.connections) <= 2


@pytest.mark.acceptance("S22")
def test_asynchronous_requests_share_connections_too(server):
    pool = ConnectionPool(max_connections=2, max_keepalive_connections=2, keepalive_expiry=30)
    transport = Transport(pool)

    async def run():
        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(transport.send_async, Request("POST", server.url, {}), 5)
        await pool.aclose()

    anyio.run(run)

    assert len(server.exchanges) == 12
    assert len(server.connections) <= 2


def test_one_transport_serves_one_event_loop_after_another(server, post):
    assert [post(server.url).status for _ in range(3)] == [200, 200, 200]


def test_a_connection_closed_while_idle_is_replaced(server, transport):
    transport.post(server.url, b"first", {}, 5)
    server.connections[0].shutdown(socket.SHUT_RDWR)
    poll(lambda: server.connections[0].fileno() == -1)

    assert transport.post(server.url, b"second", {}, 5).status == 200


def test_a_forked_child_opens_connections_of_its_own(server, transport):
    transport.post(server.url, b"parent", {}, 5)

    child = os.fork()
    if child == 0:
        os._exit(0 if transport.post(server.url, b"child", {}, 5).status == 200 else 1)

    assert os.waitpid(child, 0)[1] == 0
    transport.post(server.url, b"parent again", {}, 5)
    assert len(server.connections) == 2


def test_closing_twice_is_fine_and_a_later_request_opens_again(server, transport):
    transport.post(server.url, b"", {}, 5)
    transport.close()
    transport.close()

    assert transport.post(server.url, b"", {}, 5).status == 200


def test_no_header_shows_in_a_repr(transport):
    request = Request("POST", "http://user:login@host/path?token=1", HEADERS, b"x")

    assert repr(request) == "Request(POST http://host, 1 bytes)"
    assert KEY not in repr(transport)


@pytest.mark.parametrize(
    "wrong", [{"max_connections": 0}, {"max_keepalive_connections": -1}, {"keepalive_expiry": float("nan")}]
)
def test_a_pool_refuses_numbers_out_of_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ConnectionPool(**wrong)


def poll(condition, deadline_s=5.0):
    ends = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < ends, "the condition did not come about"
        threading.Event().wait(0.005)


class TestTls:
    @pytest.fixture
    def tls_server(self, tmp_path):
        """A server whose certificate nobody vouches for."""
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("needs the openssl program to make a certificate")
        subprocess.run(
            [
                openssl,
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "1",
                "-subj",
                "/CN=127.0.0.1",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-keyout",
                tmp_path / "key",
                "-out",
                tmp_path / "certificate",
            ],
            check=True,
            capture_output=True,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
        listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        received = []

        def serve():
            try:
                connection, _ = listener.accept()
                with connection:
                    received.append(b"")
                    while not received[0].endswith(b"\r\n\r\nx"):
                        received[0] += connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", received, tmp_path / "certificate"
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)

    def test_an_unknown_certificate_is_refused_before_anything_is_sent(self, tls_server, post):
        url, received, _ = tls_server

        error = refused(post, url)

        assert "certificate verify failed" in str(error)
        assert b"".join(received) == b""

    def test_a_certificate_that_the_environment_trusts_is_accepted(self, tls_server, post, monkeypatch):
        url, received, certificate = tls_server
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

        assert post(url).status == 200
        assert received

    def test_a_server_that_knows_no_tls_is_a_timeout_on_a_tls_address(self, server, post):
        server.plan(lambda exchange: exchange.answer())

        refused(post, server.url.replace("http:", "https:"), APITimeoutError, timeout_s=0.5)
