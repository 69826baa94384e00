"""What integration tests share: a real backend in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from honeyhive.models.wire import ServerFile, server_file_path
from honeyhive.utils import SystemClock

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
        return self.process.wait(10)

    def _own_file(self) -> ServerFile | None:
        assert self.process is not None
        assert self.process.poll() is None, self.output()
        found = ServerFile.read(server_file_path())
        return found if found is not None and found.pid == self.process.pid else None


def wait_for(look: Callable[[], T | None], longest_s: float = 10.0) -> T:
    """Look until there is something true, and return it."""
    deadline = CLOCK.monotonic() + longest_s
    while not (found := look()):
        assert CLOCK.monotonic() < deadline, f"waited {longest_s:g} s in vain"
        CLOCK.sleep(0.01)
    return found


@pytest.fixture
def eventually() -> Callable[..., object]:
    """Look until there is something true, at most ten seconds."""
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
