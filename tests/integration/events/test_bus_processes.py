"""Events shared out over worker processes: one dies in the middle, and nothing is lost or out of order."""

from __future__ import annotations

import itertools
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import honeyhive.events
from honeyhive.events import Event, MessageBus
from honeyhive.testing import MemoryExporter, TestableTracer

WORKER = Path(__file__).with_name("bus_worker.py")


@dataclass(frozen=True, kw_only=True)
class Step(Event, type="test.step", key="order_id"):
    """What the workers handle, by a class of their own with the same name."""

    order_id: str
    number: int


@dataclass(frozen=True)
class Line:
    """What a worker has written down."""

    process: int
    order_id: str
    number: int
    trace: str


class Workers:
    """Worker processes of one group, and the log they share."""

    def __init__(self, bus_class: str, url: str, folder: Path) -> None:
        self.name = f"steps-{uuid.uuid4().hex[:8]}"
        self._arguments = (bus_class, url, self.name, str(folder / "log"))
        self._log = folder / "log"
        self._processes: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, WORKER, *self._arguments], stdout=subprocess.PIPE, text=True)
        self._processes.append(process)
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        return process

    def log(self) -> list[Line]:
        text = self._log.read_text() if self._log.exists() else ""
        found = [line.split() for line in text.splitlines()]
        return [Line(int(process), order_id, int(number), trace) for process, order_id, number, trace in found]

    def kill_all(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


BUSES = {"redis_server": "RedisMessageBus", "nats_server": "NATSMessageBus", "rabbitmq_server": "RabbitMQMessageBus"}


@pytest.fixture(params=BUSES)
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    return BUSES[request.param], request.getfixturevalue(request.param).url


@pytest.fixture
def workers(kind: tuple[str, str], tmp_path: Path) -> Iterator[Workers]:
    started = Workers(*kind, tmp_path)
    yield started
    started.kill_all()


@pytest.fixture
def bus(kind: tuple[str, str], workers: Workers) -> Iterator[MessageBus]:
    bus_class, url = kind
    with getattr(honeyhive.events, bus_class)(url, name=workers.name, group="workers", partitions=4, lease_s=1) as bus:
        yield bus


@pytest.mark.fault
@pytest.mark.acceptance("O20")
def test_events_are_shared_out_over_processes_and_survive_the_death_of_one(
    workers: Workers, bus: MessageBus, eventually: Callable[..., object]
) -> None:
    first, second = workers.start(), workers.start()
    numbers = itertools.count()

    def publish() -> bool:
        number = next(numbers)
        bus.publish(Step(order_id=str(number % 7), number=number))
        return {first.pid, second.pid} == {line.process for line in workers.log()}

    eventually(publish, 20)
    first.kill()
    for _ in range(100):
        publish()
    workers.start()
    for _ in range(100):
        publish()
    published = next(numbers)
    eventually(lambda: {line.number for line in workers.log()} == set(range(published)), 25)

    assert {str(order): list(range(order, published, 7)) for order in range(7)} == first_occurrences(workers.log())


def test_one_trace_runs_from_the_publisher_to_the_worker(
    workers: Workers, bus: MessageBus, eventually: Callable[..., object]
) -> None:
    exporter = MemoryExporter()
    tracer = TestableTracer(span_processor=exporter.processor(), test_mode=True)
    workers.start()

    with tracer.start_span("request"):
        bus.publish(Step(order_id="1", number=1))
    eventually(workers.log)

    assert [f"{exporter.named('request').trace_id:032x}"] == [line.trace for line in workers.log()]


def first_occurrences(lines: list[Line]) -> dict[str, list[int]]:
    """Return the numbers of each order as they were handled first; what a dying worker had in hand may come twice."""
    found: dict[str, dict[int, None]] = defaultdict(dict)
    for line in lines:
        found[line.order_id][line.number] = None
    return {order_id: list(numbers) for order_id, numbers in found.items()}
