"""What integration tests share: a real backend in a process of its own, a collector that can be made to misbehave."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from honeyhive.models.wire import ServerFile, server_file_path
from honeyhive.utils import SystemClock
from services import RunProcess, Start

T = TypeVar("T")
CLOCK = SystemClock()


class ServerProcess:
    """A backend started with ``python -m honeyhive.cli serve``, on a free port and a data directory of its own.

    Programs under test find it by themselves: it writes the discovery file of the test's own state directory.

    Attributes:
        address: Base URL.
        token: What to send as ``Authorization: Bearer``.
        data: The data directory.
        log: What the process has printed, on both streams.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.address = ""
        self.token = ""
        self.log = data.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Start the process and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "honeyhive.cli", "serve", "--port", "0", "--data", str(self.data), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        found = wait_for(self._own_file)
        self.address = found.address
        self.token = Path(found.token_file).read_text()

    def client(self) -> httpx.Client:
        """Return a client with the token, to be closed by the caller."""
        return httpx.Client(
            base_url=self.address, headers={"Authorization": f"Bearer {self.token}"}, trust_env=False, timeout=10
        )

    def kill(self) -> None:
        """Kill -9."""
        self._end(signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop gracefully and return the exit code."""
        return self._end(number)

    def output(self) -> str:
        """Return what the process has printed so far."""
        return self.log.read_text("utf-8")

    def _end(self, number: int) -> int:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)
        return self.process.wait(30)

    def _own_file(self) -> ServerFile | None:
        assert self.process is not None
        assert self.process.poll() is None, self.output()
        found = ServerFile.read(server_file_path())
        return found if found is not None and found.pid == self.process.pid else None


def wait_for(look: Callable[[], T | None], longest_s: float = 20.0) -> T:
    """Look until there is something true, and return it."""
    deadline = CLOCK.monotonic() + longest_s
    while not (found := look()):
        assert CLOCK.monotonic() < deadline, f"waited {longest_s:g} s in vain"
        CLOCK.sleep(0.01)
    return found


@pytest.fixture
def eventually() -> Callable[..., object]:
    """Look until there is something true, at most twenty seconds."""
    return wait_for


@pytest.fixture
def stopped_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A backend that the test starts itself."""
    server = ServerProcess(tmp_path / "data")
    yield server
    if server.process is not None and server.process.poll() is None:
        server.kill()


@pytest.fixture
def server(stopped_server: ServerProcess) -> ServerProcess:
    """A running backend."""
    stopped_server.start()
    return stopped_server


Behaviour = Callable[["Exchange"], None]


@dataclass
class Exchange:
    """One request, and the means to answer it."""

    handler: BaseHTTPRequestHandler
    body: bytes
    stopped: threading.Event
    path: str
    headers: Mapping[str, str]
    status: int = 0
    at: float = field(default_factory=time.monotonic)

    @property
    def spans(self) -> list[Span]:
        request = ExportTraceServiceRequest.FromString(self.body)
        return [
            span
            for resource_spans in request.resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        ]

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

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
                exchange = Exchange(self, body, collector._stopped, self.path, self.headers)
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
def start(tmp_path: Path) -> Iterator[Start]:
    """Start processes of services that lie in ``tmp_path``; whatever still runs is killed."""
    started: list[RunProcess] = []

    def run(*arguments: str, **environ: str) -> RunProcess:
        started.append(RunProcess(tmp_path, f"process-{len(started)}", arguments, environ))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.stop(signal.SIGKILL)
        assert each.process.stdin is not None
        each.process.stdin.close()
