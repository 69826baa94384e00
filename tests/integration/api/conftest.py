"""A server on loopback that misbehaves on request, over real sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from honeyhive.testing import ManualClock


class Exchange:
    """One connection on which one request has arrived."""

    def __init__(self, server: FaultServer, connection: socket.socket, head: str, body: bytes) -> None:
        self.server = server
        self.connection = connection
        self.method, self.path, _ = head.split("\r\n", 1)[0].split(" ", 2)
        lines = (line.partition(":") for line in head.split("\r\n")[1:] if line)
        self.headers = {name.lower(): value.strip() for name, _, value in lines}
        self.body = body

    def answer(self, status: int = 200, body: bytes = b"{}", **headers: str) -> None:
        given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        given = {"content-type": "application/json", "content-length": str(len(body)), **given}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self.send(f"HTTP/1.1 {status} Because\r\n{lines}\r\n".encode() + body)

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def drip(self, data: bytes, every_s: float = 0.05) -> None:
        for byte in data:
            if self.server.stopping.wait(every_s):
                return
            self.send(bytes([byte]))

    def hang(self) -> None:
        self.server.stopping.wait(20)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


Behaviour = Callable[[Exchange], None]


class FaultServer:
    """Answers each request as told: with the planned behaviours in order, the last one for ever."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.exchanges: list[Exchange] = []
        self.connections: list[socket.socket] = []
        self.behaviours: list[Behaviour] = [Exchange.answer]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def plan(self, *behaviours: Behaviour) -> None:
        self.behaviours = list(behaviours)

    def answer_json(self, payload: object, status: int = 200, **headers: str) -> None:
        self.plan(lambda exchange: exchange.answer(status, json.dumps(payload).encode(), **headers))

    def close(self) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while (exchange := self._receive(connection)) is not None:
                self.exchanges.append(exchange)
                behaviour = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
                behaviour(exchange)

    def _receive(self, connection: socket.socket) -> Exchange | None:
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = connection.recv(65536)
            if not chunk:
                return None
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        exchange = Exchange(self, connection, head.decode("latin-1"), b"")
        while len(body) < int(exchange.headers.get("content-length", "0")):
            body += connection.recv(65536)
        exchange.body = body
        return exchange


@pytest.fixture
def server() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.close()


@pytest.fixture
def closed_port() -> str:
    """The address of a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
