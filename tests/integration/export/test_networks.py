"""What lies between a program and its backend: names, certificates, proxies, and servers of another age."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
import time
import warnings
from contextlib import suppress

import pytest
import trustme
from opentelemetry.sdk.trace import TracerProvider

from honeyhive.tracer.export import Destination, PipelineSettings
from honeyhive.tracer.export.batch import BatchSpanProcessor
from honeyhive.tracer.export.worker import Worker

NAMES = tuple(f"span {number}" for number in range(20))
PROXY_SECRET = "proxy-secret-of-nobody"


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.exit()


@pytest.fixture
def trace_to(worker, spool_dir, eventually):
    """Trace twenty spans to an address, and return the pipeline when they are written or sent."""

    def trace(url):
        settings = PipelineSettings(spool_dir=spool_dir, request_timeout_s=3.0, schedule_delay_s=0.05)
        pipeline = worker.pipeline(Destination.remote(url, key="hh_secret"), settings)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(
            BatchSpanProcessor(settings.max_batch_size, settings.schedule_delay_s * 1000, pipeline=pipeline)
        )
        for name in NAMES:
            provider.get_tracer("tests").start_span(name).end()
        eventually(lambda: not pipeline.statistics().in_memory)
        return pipeline

    return trace


# -- names ------------------------------------------------------------------------------------


def test_a_name_that_nobody_knows_keeps_spans(trace_to):
    pipeline = trace_to("http://collector.invalid/v1/traces")

    result = pipeline.flush(1_000)

    assert (result.complete, result.delivered, result.spooled) == (True, 0, 20)


@pytest.mark.fault
def test_a_name_server_that_never_answers_stops_neither_flush_nor_exit(run, collector):
    program = run("""
        import socket
        never = threading.Event()
        socket.getaddrinfo = lambda *address, **options: never.wait(600)
        work("before")
        started = time.monotonic()
        result = pipeline.flush(500)
        assert time.monotonic() - started < 10
        assert result.spooled == 1, result
        work("after")
    """)

    assert program.code == 0, program.errors
    assert program.took_s < 25, "five seconds are promised"
    assert "2 spans kept" in program.errors
    assert not collector.delivered
    run("work('again'); assert pipeline.flush(15_000); wait_until(lambda: adopted(2))")
    assert dict(collector.delivered) == {"before": 1, "after": 1, "again": 1}


# -- certificates -----------------------------------------------------------------------------


class TlsServer:
    """Shakes hands as its context says, and remembers what it was sent in confidence."""

    def __init__(self, context):
        self.received = []
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self):
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}/v1/traces"

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(5)
                with self._context.wrap_socket(connection, server_side=True) as tls:
                    self.received.append(tls.recv(65_536))

    def close(self):
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def serve_tls(authority, monkeypatch, tmp_path):
    """Start a TLS server with a certificate that the program trusts, but for what is wrong with it."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    servers = []

    def serve(*names, issuer=authority, newest=None, **certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer.issue_cert(*names, **certificate).configure_cert(context)
        if newest is not None:
            with warnings.catch_warnings(action="ignore"):
                context.maximum_version = newest
        servers.append(TlsServer(context))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


@pytest.mark.parametrize(
    "flaw, cause",
    [
        ({"issuer": trustme.CA()}, "certificate verify failed"),
        ({"not_after": YESTERDAY, "not_before": YESTERDAY - dt.timedelta(days=9)}, "certificate has expired"),
        ({"names": ("elsewhere.example",)}, "certificate is not valid for"),
        ({"newest": ssl.TLSVersion.TLSv1_1}, "SSL"),
    ],
    ids=["unknown authority", "expired", "another host", "ancient protocol"],
)
def test_a_server_that_cannot_be_trusted_is_sent_nothing_and_the_cause_is_said_once(
    trace_to, serve_tls, eventually, caplog, flaw, cause
):
    flaw = dict(flaw)
    server = serve_tls(*flaw.pop("names", ("127.0.0.1",)), **flaw)

    pipeline = trace_to(server.url)
    eventually(lambda: "cannot deliver" in caplog.text)
    result = pipeline.flush(1_000)

    assert (result.delivered, result.spooled) == (0, 20)
    assert b"" == b"".join(server.received)
    (warning,) = [record.getMessage() for record in caplog.records if "cannot deliver" in record.getMessage()]
    assert cause in warning


# -- proxies ----------------------------------------------------------------------------------


@pytest.fixture
def behind(monkeypatch):
    """Have the environment name a proxy, with a password."""

    def use(url):
        address = url.removesuffix("/v1/traces").replace("http://", f"http://user:{PROXY_SECRET}@")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, address)

    return use


def test_a_proxy_takes_spans_to_where_only_it_can_reach(trace_to, behind, collector):
    behind(collector.url)

    result = trace_to("http://collector.invalid/v1/traces").flush(15_000)

    assert result.delivered == 20
    assert {exchange.path for exchange in collector.exchanges} == {"http://collector.invalid/v1/traces"}


def test_a_proxy_that_refuses_us_keeps_spans_and_its_password_stays_secret(
    trace_to, behind, collector, answering, caplog
):
    caplog.set_level("DEBUG")
    collector.behave = answering(407)
    behind(collector.url)
    pipeline = trace_to("http://collector.invalid/v1/traces")
    assert pipeline.flush(500).spooled == 20

    collector.behave = answering(200)

    assert pipeline.flush(15_000).delivered == 20
    assert "HTTP 407" in caplog.text
    assert PROXY_SECRET not in caplog.text


def test_a_proxy_that_hangs_does_not_outlast_a_flush(trace_to, behind, collector):
    collector.behave = lambda exchange: exchange.hang()
    behind(collector.url)
    pipeline = trace_to("http://collector.invalid/v1/traces")
    started = time.monotonic()

    result = pipeline.flush(500)

    assert time.monotonic() - started < 10
    assert result.spooled == 20


def test_a_backend_on_this_machine_needs_no_proxy(trace_to, behind, collector):
    behind("http://127.0.0.1:9")

    assert trace_to(collector.url).flush(15_000).delivered == 20


# -- servers of another age -------------------------------------------------------------------


def of_http_1_0(exchange):
    exchange.handler.protocol_version = "HTTP/1.0"
    exchange.answer()


def that_closes_each_time(exchange):
    exchange.answer(connection="close")
    exchange.handler.close_connection = True


def that_closes_without_a_word(exchange):
    """As a server does that finds a connection idle for too long, in the very moment it is used again."""
    exchange.answer()
    exchange.handler.close_connection = True


@pytest.mark.parametrize("server", [of_http_1_0, that_closes_each_time, that_closes_without_a_word])
def test_a_server_that_keeps_no_connection_loses_and_repeats_nothing(trace_to, collector, server):
    collector.behave = server

    for _ in range(3):
        assert trace_to(collector.url).flush(15_000)

    assert dict(collector.delivered) == dict.fromkeys(NAMES, 3)


def test_a_server_that_speaks_http_2_only_keeps_spans(trace_to, collector):
    def goodbye(exchange):
        exchange.handler.wfile.write(b"\0\0\x12\x04\0\0\0\0\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\x01")
        exchange.handler.close_connection = True

    collector.behave = goodbye
    pipeline = trace_to(collector.url)
    assert pipeline.flush(500).spooled == 20

    collector.behave = of_http_1_0

    assert pipeline.flush(15_000).delivered == 20
