"""A collector on loopback that can be made to misbehave, and programs that export to it."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Behaviour = Callable[["Exchange"], None]


@dataclass
class Exchange:
    """One request, and the means to answer it."""

    handler: BaseHTTPRequestHandler
    body: bytes
    stopped: threading.Event
    status: int = 0
    at: float = field(default_factory=time.monotonic)

    @property
    def names(self) -> list[str]:
        request = ExportTraceServiceRequest.FromString(self.body)
        return [
            span.name
            for resource_spans in request.resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        ]

    def answer(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        self.status = status
        self.handler.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def hang(self) -> None:
        self.stopped.wait(60)
        self.handler.close_connection = True

    def reset(self) -> None:
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.connection.close()
        self.handler.close_connection = True

    def drip(self) -> None:
        self.handler.send_response(200)
        self.handler.send_header("content-length", "60")
        self.handler.end_headers()
        while not self.stopped.wait(0.5):
            self.handler.wfile.write(b"x")
            self.handler.wfile.flush()


class Collector:
    """Behaves as the planned behaviours say, in turn, then as the default one."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.planned: list[Behaviour] = []
        self.behave: Behaviour = Exchange.answer
        self._stopped = threading.Event()
        self._connections: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1/traces"

    @property
    def delivered(self) -> Counter[str]:
        """How often each span name was accepted."""
        return Counter(name for exchange in tuple(self.exchanges) if exchange.status == 200 for name in exchange.names)

    def start(self) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                collector._connections.add(self.request)
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                exchange = Exchange(self, body, collector._stopped)
                collector.exchanges.append(exchange)
                behave = collector.planned.pop(0) if collector.planned else collector.behave
                behave(exchange)

            def log_message(self, *_arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_arguments: object) -> None:
                pass

        self._stopped.clear()
        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Go down, and take kept-alive connections along."""
        self._stopped.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in tuple(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._connections.clear()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture
def answering() -> Callable[..., Behaviour]:
    """Make a behaviour that answers in one way."""
    return lambda status, body=b"", **headers: lambda exchange: exchange.answer(status, body, **headers)


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Wait until a condition holds; fail after *within_s* seconds."""

    def wait(condition: Callable[[], bool], within_s: float = 8.0) -> None:
        deadline, pause = time.monotonic() + within_s, threading.Event()
        while not condition():
            assert time.monotonic() < deadline, "it did not come true in time"
            pause.wait(0.01)

    return wait


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@dataclass
class Program:
    """A finished process."""

    code: int
    output: str
    errors: str
    took_s: float


PREAMBLE = """
import os, signal, sys, threading, time
from opentelemetry.sdk.trace import TracerProvider
from honeyhive.tracer.export import Destination, PipelineSettings, pipeline_for, process_statistics
from honeyhive.tracer.export.batch import BatchSpanProcessor

settings = PipelineSettings()
pipeline = pipeline_for(Destination.remote(os.environ["COLLECTOR"], key="hh_secret"), settings)
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(BatchSpanProcessor(pipeline=pipeline))
tracer = provider.get_tracer("program")

def work(*names):
    for name in names:
        with tracer.start_as_current_span(name):
            pass

def wait_until(condition):
    deadline = time.monotonic() + 8
    while not condition():
        assert time.monotonic() < deadline, process_statistics()
        time.sleep(0.01)

def adopted(count):
    statistics = process_statistics()
    return statistics.adopted == count and not statistics.spooled
"""


@pytest.fixture
def run(collector: Collector, tmp_path: Path) -> Callable[..., Program]:
    """Run a program of a few lines in a process of its own; programs of one test share their spool."""

    def run_program(lines: str, python: str = sys.executable, **environment: str) -> Program:
        script = tmp_path / "program.py"
        script.write_text(PREAMBLE + textwrap.dedent(lines))
        known = {**os.environ, "COLLECTOR": collector.url, "XDG_STATE_HOME": str(tmp_path), **environment}
        started = time.monotonic()
        done: Any = subprocess.run(
            [python, "-Wignore::DeprecationWarning", script],
            env=known,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return Program(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    return run_program
