"""What a service costs: CPU of the server for each request, as a ratio to the same FastAPI route bare.

    JARARACA_PYTHON=... python benchmarks/runtime.py [ROUNDS]    fails above the promised limit

Servers are processes of their own under uvicorn; the spans of *five* are exported to a backend that accepts everything.
They take turns within each round, and the median of the rounds' ratios is shown. Two processes of one program differ by
some percent for as long as they live, so all are started anew for every third of the rounds.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from parts.promises import kept
from parts.sink import sink

APPS = Path(__file__).parent / "parts" / "runtime_apps.py"
REQUESTS = 1_500
CONNECTIONS = 8
STARTS = 3
BODY = b'{"customer": "ann", "lines": ["tea", "milk"]}'
REQUEST = (
    b"POST /orders/tea HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: "
    + str(len(BODY)).encode()
    + b"\r\n\r\n"
    + BODY
)
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

OURS = {
    "bare": "bare",
    "empty": "no interceptors",
    "plain": "five that do nothing",
    "five": "five of ours, with a span",
}
PEER = Path(__file__).parent / "parts" / "runtime_peer.py"
PEERS = {"bare": "bare, jararaca's FastAPI", "five": "five of jararaca"}

PROMISED = {"five that do nothing": 1.15}
"""At most this much of the bare route."""


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One of the applications in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self._port = port

    def cost(self) -> tuple[float, float]:
        """Return microseconds of CPU, and of time, for each request."""
        before, began = self._cpu_s(), perf_counter()
        asyncio.run(self._ask())
        return (self._cpu_s() - before) / REQUESTS * 1e6, (perf_counter() - began) / REQUESTS * 1e6

    def wait(self) -> None:
        """Wait until it answers."""
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port)).close()
            except OSError:
                assert self._process.poll() is None
                sleep(0.05)
            else:
                return

    async def _ask(self) -> None:
        await asyncio.gather(*(self._connection() for _ in range(CONNECTIONS)))

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for _ in range(REQUESTS // CONNECTIONS):
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


@contextmanager
def serving(which: str, address: str, python: str = sys.executable, program: Path = APPS) -> Iterator[Server]:
    """Start one of the applications."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": address, "XDG_STATE_HOME": folder}
        port = free_port()
        with subprocess.Popen([python, str(program), which, str(port)], env=environment) as process:
            server = Server(process, port)
            server.wait()
            try:
                yield server
            finally:
                process.kill()


def main(arguments: list[str]) -> int:
    """Measure, print a table, and return 1 where a promise is broken."""
    rounds = int(arguments[0]) if arguments else 9
    if not os.environ.get("JARARACA_PYTHON"):
        print("NOT MEASURED: jararaca, since JARARACA_PYTHON names no Python that has it")
    with sink() as address:
        table = [row for _ in range(STARTS) for row in turns(address, max(1, rounds // STARTS))]
    for name in table[0]:
        cpu, time = (median(row[name][at] for row in table) for at in (0, 1))
        print(f"{name:26} {cpu:7.0f} µs of CPU, {time:7.0f} µs of time for each request")
    return int(not kept(ratios(table), PROMISED))


def turns(address: str, rounds: int) -> list[dict[str, tuple[float, float]]]:
    """Start all servers, have them take turns, and return what each request cost in every round."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(serving(which, address)) for which, name in OURS.items()}
        if peer := os.environ.get("JARARACA_PYTHON"):
            servers |= {name: stack.enter_context(serving(which, address, peer, PEER)) for which, name in PEERS.items()}
        for server in servers.values():
            server.cost()
        return [{name: server.cost() for name, server in servers.items()} for _ in range(rounds)]


def ratios(table: list[dict[str, tuple[float, float]]]) -> dict[str, float]:
    """Return the CPU of each server relative to the bare route under the same Python."""
    bare = {name: PEERS["bare"] if name in PEERS.values() else OURS["bare"] for name in table[0]}
    return {name: median(row[name][0] / row[of][0] for row in table) for name, of in bare.items() if name != of}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
