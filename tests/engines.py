"""Real databases and brokers for tests: each a process of its own, on a free loopback port, in a folder of its own.

A fixture starts its engine when the first test asks for it and stops it, by its process id, when the run is over. Where
an engine is not installed, the tests that need it are skipped, and the reason names the package.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from honeyhive.utils import SystemClock

CLOCK = SystemClock()
FIXTURES = ("nats_server", "postgres_server", "rabbitmq_server", "redis_server")
"""The fixtures in here; tests that use one are marked `engine`."""


class Engine(ABC):
    """A server under test that can be stopped, killed and started again on the same data.

    Attributes:
        folder: Its data, its log.
        port: Where it listens on 127.0.0.1.
    """

    package: ClassVar[str]
    program: ClassVar[str]
    places: ClassVar[tuple[str, ...]] = ()
    """Folders to look for the program in, besides the path; may hold wildcards."""
    patience_s: ClassVar[float] = 20.0
    user: ClassVar[str | None] = None
    """Who runs it where the tests run as root, since it refuses to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return what starts it."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Tell whether it serves."""

    def environment(self) -> Mapping[str, str]:
        """Return what it needs beyond our own environment."""
        return {}

    def prepare(self) -> None:  # noqa: B027 - most engines need nothing
        """Make what must be there before the first start."""

    def start(self) -> None:
        """Start it on its data and wait until it serves."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, **self.environment()},
                user=self.runs_as(),
            )
        deadline = CLOCK.monotonic() + self.patience_s
        while not self.is_ready():
            log_text = (self.folder / "log").read_text("utf-8", "replace")
            assert self._process.poll() is None, f"{self.program} ended at once:\n{log_text[-2000:]}"
            assert CLOCK.monotonic() < deadline, f"{self.program} is not ready:\n{log_text[-2000:]}"
            CLOCK.sleep(0.05)

    def stop(self) -> None:
        """Stop it as an administrator would."""
        if self._process is not None:
            self._process.terminate()
            self._wait()

    def kill(self) -> None:
        """Kill -9."""
        if self._process is not None:
            self._process.kill()
            self._wait()

    def restart(self) -> None:
        """Kill it and start it again on the same data and port."""
        self.kill()
        self.start()

    @classmethod
    def find(cls) -> str | None:
        """Return the path of the program, or ``None`` where it is not installed."""
        folders = [str(path) for place in cls.places for path in sorted(Path("/").glob(place.lstrip("/")))]
        return shutil.which(cls.program, path=os.pathsep.join([*folders, *os.get_exec_path(), "/usr/sbin"]))

    def runs_as(self) -> str | None:
        """Return the user to run it as, or ``None`` for our own."""
        return self.user if hasattr(os, "geteuid") and os.geteuid() == 0 else None

    def _wait(self) -> None:
        assert self._process is not None
        try:
            self._process.wait(self.patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class Redis(Engine):
    """A Redis server that keeps its data over a restart."""

    package = "redis-server"
    program = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", ""]
        return [self.find() or "", *options, "--appendonly", "yes"]

    def is_ready(self) -> bool:
        return b"+PONG" in answer(self.port, b"PING\r\n")


class Nats(Engine):
    """A NATS server with JetStream."""

    package = "nats-server"
    program = "nats-server"

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        options = ["--addr", "127.0.0.1", "--port", str(self.port), "--jetstream", "--store_dir", str(self.folder)]
        return [self.find() or "", *options]

    def is_ready(self) -> bool:
        return b"INFO" in answer(self.port)


class Postgres(Engine):
    """A PostgreSQL server that trusts whoever comes over loopback, as user ``postgres``."""

    package = "postgresql-15"
    program = "postgres"
    places = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin")
    user = "postgres"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def prepare(self) -> None:
        initdb = Path(self.find() or "").parent / "initdb"
        command = [str(initdb), "-D", str(self.folder / "data"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, user=self.runs_as())

    def command(self) -> list[str]:
        options = ["-D", str(self.folder / "data"), "-p", str(self.port), "-k", str(self.folder)]
        return [self.find() or "", *options, "-c", "listen_addresses=127.0.0.1"]

    def kill(self) -> None:
        """Kill -9; what it has started notices, and is waited for, since it would keep a new one from starting."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)  # from now on it starts no more
        found = subprocess.run(
            [shutil.which("pgrep") or "pgrep", "-P", str(self._process.pid)],
            capture_output=True,
            check=False,
            text=True,
        )
        super().kill()
        deadline = CLOCK.monotonic() + self.patience_s
        while are_alive(found.stdout.split()):
            assert CLOCK.monotonic() < deadline, "processes of a killed PostgreSQL do not end"
            CLOCK.sleep(0.01)

    def is_ready(self) -> bool:
        isready = Path(self.find() or "").parent / "pg_isready"
        asked = subprocess.run([isready, "-h", "127.0.0.1", "-p", str(self.port)], capture_output=True, check=False)
        return asked.returncode == 0


class RabbitMq(Engine):
    """A RabbitMQ server, with a port mapper of its own, so that it meets no other on this machine."""

    package = "rabbitmq-server"
    program = "rabbitmq-server"
    # What stands on the path in Debian is a wrapper that insists on a user and on folders of its own.
    places = ("/usr/lib/rabbitmq/bin",)
    patience_s = 60.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._mapper_port = free_port()
        self._mapper: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        return [self.find() or ""]

    def environment(self) -> Mapping[str, str]:
        return {
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._mapper_port),
            "HOME": str(self.folder),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none.conf"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_NODENAME": f"honeyhive{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            # Then the script becomes the server, and does not stand in front of it: its process is the one to kill.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def prepare(self) -> None:
        (self.folder / "plugins").write_text("[].\n")

    def start(self) -> None:
        if self._mapper is None:
            command = [shutil.which("epmd") or "epmd", "-address", "127.0.0.1", "-port", str(self._mapper_port)]
            self._mapper = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        super().start()

    def is_ready(self) -> bool:
        return answer(self.port, b"AMQP\x00\x00\x09\x01").startswith(b"\x01\x00\x00")

    def stop(self) -> None:
        super().stop()
        if self._mapper is not None:
            self._mapper.terminate()
            self._mapper.wait()
            self._mapper = None


def are_alive(pids: Sequence[str]) -> bool:
    """Tell whether one of *pids* still runs."""
    if not pids:
        return False
    command = [shutil.which("ps") or "ps", "-o", "stat=", "-p", ",".join(pids)]
    found = subprocess.run(command, capture_output=True, check=False, text=True)
    return any(not state.startswith("Z") for state in found.stdout.split())


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answer(port: int, question: bytes = b"") -> bytes:
    """Return what a server says first, after *question*; nothing if it does not listen yet."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(question)
            return connection.recv(64)
    except OSError:
        return b""


def running(engine: type[Engine]) -> Iterator[Engine]:
    """Yield a running engine and stop it; skip where it is not installed."""
    if engine.find() is None:
        pytest.skip(f"{engine.program} is not on this machine: apt-get install {engine.package}")
    # Not pytest's own folders: those are closed to the user some engines run as.
    folder = Path(tempfile.mkdtemp(prefix=f"{engine.program}-"))
    try:
        started = engine(folder)
        if (user := started.runs_as()) is not None:
            shutil.chown(folder, user)
        started.prepare()
        try:
            started.start()
            yield started
        finally:
            started.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Engine]:
    """A running Redis."""
    yield from running(Redis)


@pytest.fixture(scope="session")
def nats_server() -> Iterator[Engine]:
    """A running NATS with JetStream."""
    yield from running(Nats)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Engine]:
    """A running PostgreSQL."""
    yield from running(Postgres)


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[Engine]:
    """A running RabbitMQ."""
    yield from running(RabbitMq)


def mark(items: list[pytest.Item]) -> None:
    """Mark the tests that use an engine; those of one engine go to one worker, so that it is started once.

    A test may name the fixture among its own parameters, to ask for it by ``request.getfixturevalue``.
    """
    for item in items:
        callspec = getattr(item, "callspec", None)
        values = callspec.params.values() if callspec is not None else ()
        named = [value for value in values if type(value) is str]
        used = [name for name in FIXTURES if name in getattr(item, "fixturenames", ()) or name in named]
        if used:
            item.add_marker(pytest.mark.engine)
            item.add_marker(pytest.mark.xdist_group("+".join(used)))
            # The first one also waits for the engine to start.
            item.add_marker(pytest.mark.timeout(120))
