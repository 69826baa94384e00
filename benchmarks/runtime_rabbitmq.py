"""What a worker needs to handle a message from RabbitMQ within five interceptors, beside jararaca's worker on the same.

    JARARACA_PYTHON=... python benchmarks/runtime_rabbitmq.py [ROUNDS]    fails where ours takes more CPU

Each side publishes by itself and has its messages wait in its queue; then its worker starts, as its command starts it, and
notes when it has handled a third of them, for warming up, and all. Five interceptors surround each: the publisher and four
that do nothing; *traced* has a span that is exported in the place of one of them. Both take 50 messages at once; without
its extra for OpenTelemetry jararaca makes no spans, so what is compared is without. The rate is shown, too; on a machine
with few cores it is RabbitMQ's as much as the worker's (the queues of our bus are quorum queues). RabbitMQ, and
the Redis that jararaca's worker wants, are started here, or given as BENCH_RABBITMQ and BENCH_REDIS, URLs of servers with
nothing else to do. jararaca is used from outside only, by its documentation.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import Request, urlopen

from parts.sink import sink

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from engines import Engine, RabbitMq, Redis, free_port

HERE = Path(__file__).parent
MESSAGES = 6_000
WARM_UP = 2_000
AT_ONCE = 50
PATIENCE_S = 60.0
PEER = "parts.messages_peer:app"


@dataclass
class Rate:
    """What came of handling all messages.

    Attributes:
        per_s: Messages a second.
        cpu_us: CPU of the worker for each, in microseconds.
    """

    per_s: float
    cpu_us: float


class Ours:
    """The program of `messages_ours`, as ``honeyhive run`` runs it."""

    def __init__(self, **settings: str) -> None:
        self.settings = settings

    def broker(self, url: str, _: str) -> str:
        """Return the address that the bus takes."""
        return url

    def declare(self, environment: Mapping[str, str]) -> None:
        """Have a worker make its queues, and end."""
        with running(self.worker(environment), environment, stdout=subprocess.PIPE) as worker:
            assert worker.stdout is not None
            while b"ready" not in worker.stdout.readline():
                assert worker.poll() is None, "the worker has ended"

    def worker(self, _: Mapping[str, str]) -> list[str]:
        """Return the command of a worker."""
        return [*self._run, "worker"]

    def server(self, port: int) -> list[str]:
        """Return the command of what publishes."""
        return [*self._run, "http", "--port", str(port)]

    @property
    def _run(self) -> list[str]:
        return [sys.executable, "-c", "from honeyhive.cli import main; main()", "run", "parts.messages_ours:service"]


class Jararaca:
    """The program of `messages_peer`, as its commands run it."""

    def __init__(self, python: str, backend: str) -> None:
        self._python = python
        self._command = str(Path(python).with_name("jararaca"))
        self._backend = backend
        self.settings: Mapping[str, str] = {}

    def broker(self, url: str, name: str) -> str:
        """Return the address that its worker takes."""
        return f"{url}?exchange={name}&prefetch_count={AT_ONCE}"

    def declare(self, environment: Mapping[str, str]) -> None:
        """Have its queues made."""
        command = [self._command, "declare", PEER, "--broker-url", environment["BENCH_BROKER"]]
        subprocess.run(command, check=True, cwd=HERE, env=environment, stdout=subprocess.DEVNULL)

    def worker(self, environment: Mapping[str, str]) -> list[str]:
        """Return the command of a worker."""
        given = ["--broker-url", environment["BENCH_BROKER"], "--backend-url", self._backend, "--src-dir", "."]
        return [self._command, "worker", PEER, *given]

    def server(self, port: int) -> list[str]:
        """Return the command of what publishes."""
        return [self._python, "-m", "parts.messages_peer", str(port)]


@contextmanager
def running(
    command: list[str], environment: Mapping[str, str], stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command*, and end it as a supervisor does."""
    with subprocess.Popen(command, env=environment, cwd=HERE, stdout=stdout) as process:
        try:
            yield process
        finally:
            process.terminate()


def publish(port: int) -> None:
    """Have all messages published, a hundred in each request."""
    for _ in range(MESSAGES // 100):
        request = Request(f"http://127.0.0.1:{port}/orders/100", method="POST")
        patiently(lambda request=request: urlopen(request, timeout=PATIENCE_S).close())  # noqa: S310 -- as above


def patiently(call: Callable[[], None]) -> None:
    """Call until the server listens."""
    until = monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except URLError as error:
            if monotonic() > until or not isinstance(error.reason, ConnectionRefusedError):
                raise
            sleep(0.1)


def handled(done: Path) -> Rate:
    """Wait until all messages were handled."""
    until = monotonic() + PATIENCE_S
    while len(lines := done.read_text().splitlines()) < 2:
        assert monotonic() < until, "the worker has not handled all messages in time"
        sleep(0.05)
    (began, worked), (ended, worked_more) = (map(float, line.split()) for line in lines)
    counted = MESSAGES - WARM_UP
    return Rate(counted / (ended - began), (worked_more - worked) / counted * 1e6)


def measure(side: Ours | Jararaca, url: str) -> Rate:
    """Publish, handle, and return how quickly."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        done, port = Path(folder) / "done", free_port()
        done.touch()
        environment = {
            **os.environ,
            **side.settings,
            "BENCH_BROKER": side.broker(url, name),
            "BENCH_NAME": name,
            "BENCH_WARM_UP": str(WARM_UP),
            "BENCH_MESSAGES": str(MESSAGES),
            "BENCH_DONE": str(done),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")])),
            "XDG_STATE_HOME": folder,
        }
        side.declare(environment)
        with running(side.server(port), environment):
            publish(port)
        with running(side.worker(environment), environment):
            return handled(done)


def started(engine_type: type[Engine], variable: str, folder: Path, stack: ExitStack) -> str | None:
    """Return where the engine is that *variable* names, or that is started here; ``None`` if it is nowhere."""
    if url := os.environ.get(variable):
        return url
    if engine_type.find() is None:
        print(f"NOT MEASURED: {engine_type.package} is not on this machine, and {variable} names none")
        return None
    folder.mkdir()
    engine = engine_type(folder)
    engine.prepare()
    engine.start()
    stack.callback(engine.stop)
    return engine.url


def main(arguments: list[str]) -> int:
    """Measure, print, and return 1 where ours is not ahead."""
    rounds = int(arguments[0]) if arguments else 5
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        address = stack.enter_context(sink())
        url = started(RabbitMq, "BENCH_RABBITMQ", Path(folder) / "rabbitmq", stack)
        if url is None:
            return 0
        traced = Ours(BENCH_TRACED="yes", OTEL_EXPORTER_OTLP_ENDPOINT=address)
        sides: dict[str, Ours | Jararaca] = {"ours": Ours(), "ours, traced": traced}
        if not (python := os.environ.get("JARARACA_PYTHON")):
            print("NOT MEASURED: jararaca, since JARARACA_PYTHON names no Python that has it")
        elif backend := started(Redis, "BENCH_REDIS", Path(folder) / "redis", stack):
            sides["jararaca"] = Jararaca(python, backend)
        table = [{name: measure(side, url) for name, side in sides.items()} for _ in range(rounds)]
    for name in sides:
        per_s, cpu_us = (median(getattr(row[name], figure) for row in table) for figure in ("per_s", "cpu_us"))
        print(f"{name:13} {per_s:7.0f} messages a second, {cpu_us:6.0f} µs of CPU for each")
    if "jararaca" not in sides:
        return 0
    for figure, promise in (("cpu_us", "less than 1 is promised"), ("per_s", "shown only")):
        ratios = {
            name: median(getattr(row[name], figure) / getattr(row["jararaca"], figure) for row in table)
            for name in sides
        }
        print(f"{figure} to jararaca's: ours {ratios['ours']:.2f}, {promise}; with a span {ratios['ours, traced']:.2f}")
    return int(median(row["ours"].cpu_us / row["jararaca"].cpu_us for row in table) >= 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
