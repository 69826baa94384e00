from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from honeyhive.exceptions import APIConnectionError, JournalError
from honeyhive.journal import JournalInterface, MemoryJournal
from honeyhive.models.wire import RecordKind
from honeyhive.resilience.breaker import CircuitBreaker
from honeyhive.tracer.export.delivery import Delivery, DeliveryLimits
from honeyhive.tracer.export.destination import Destination
from honeyhive.tracer.export.encode import SpanEncoder
from honeyhive.tracer.export.intake import Bell, Outlet
from honeyhive.tracer.export.pipeline import Pipeline
from honeyhive.tracer.export.reporting import Reporter
from honeyhive.tracer.export.settings import PipelineSettings
from honeyhive.tracer.export.spool import DeadJournal, Spool
from honeyhive.tracer.export.statistics import FlushResult, Ledger
from honeyhive.utils.clock import Clock


class HandClock(Clock):
    """Time moves only when a test says so, or when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        # Files in these tests are as old as the machine says.
        self._wall_ns = time.time_ns() - int(self.now_s * 1e9)

    def time_ns(self) -> int:
        return self._wall_ns + int(self.now_s * 1e9)

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.sleep(timeout_s)
        return event.is_set()


@dataclass
class Answer:
    """A reply of the fake backend."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class FakeBackend:
    """A sender that gives the planned answers in turn, then the default one, and remembers what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[RecordKind, bytes]] = []
        self.planned: list[Answer | Exception] = []
        self.rule: Callable[[bytes], Answer | Exception] = lambda _payload: Answer()
        self.is_there = True

    def ready(self) -> bool:
        return self.is_there

    def send(self, kind: RecordKind, payload: bytes) -> Answer:
        self.requests.append((kind, payload))
        answer = self.planned.pop(0) if self.planned else self.rule(payload)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def refuse(self) -> APIConnectionError:
        return APIConnectionError("connection refused")

    @property
    def names(self) -> list[list[str]]:
        """Names of the spans of each request."""
        return [names_in(payload) for kind, payload in self.requests if kind is RecordKind.SPANS]


def names_in(payload: bytes) -> list[str]:
    request = ExportTraceServiceRequest.FromString(payload)
    return [
        span.name
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


class FakeStorage:
    """Journals in memory that pass for journals on disk; `failure` makes the disk fail."""

    def __init__(self) -> None:
        self.failure: JournalError | None = None
        self.dead: list[DeadJournal] = []
        self.disk = _FailingJournal(self)

    def open_disk(self) -> JournalInterface:
        if self.failure is not None:
            raise self.failure
        return self.disk

    def open_memory(self) -> JournalInterface:
        return MemoryJournal(max_bytes=None)

    def left_by_the_dead(self) -> Iterator[DeadJournal]:
        return iter(self.dead)


class _FailingJournal(MemoryJournal):
    def __init__(self, storage: FakeStorage) -> None:
        super().__init__(max_bytes=None)
        self._storage = storage

    def append_many(self, drafts):  # type: ignore[no-untyped-def]
        if self._storage.failure is not None:
            raise self._storage.failure
        return super().append_many(drafts)


class FakeStaff:
    """A worker without threads: it counts calls, and does the work when told to flush.

    Attributes:
        gets_up: Whether it is at work once it was woken; if not, it has no spooler.
    """

    def __init__(self) -> None:
        self.asleep = True
        self.gets_up = False
        self.progress = Bell()
        self.wakes = 0
        self.calls = 0
        self.hurries = 0

    def wake(self) -> bool:
        self.wakes += 1
        self.asleep = self.asleep and not self.gets_up
        return self.gets_up

    def hasten(self) -> None:
        self.hurries += 1

    def call_sender(self) -> None:
        self.calls += 1

    def flush(self, outlets: Sequence[Outlet], timeout_millis: float) -> FlushResult:
        result = FlushResult(complete=True)
        for outlet in outlets:
            goal = outlet.goal(give_up=False)
            outlet.drain()
            goal.set()
            outlet.sync()
            while not goal.is_settled() and timeout_millis > 0:
                outlet.send()
                timeout_millis -= 1000
            goal.relax()
            result += goal.result(0.0)
        return result


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def answer() -> type[Answer]:
    return Answer


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage()


@pytest.fixture
def staff() -> FakeStaff:
    return FakeStaff()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def held() -> list[int]:
    """What the spool charged for memory."""
    return []


@pytest.fixture
def spool(storage: FakeStorage, ledger: Ledger, clock: HandClock, held: list[int]) -> Spool:
    reporter = Reporter("https://collector.example/v1/traces", "/spool", clock)
    return Spool(storage, ledger=ledger, reporter=reporter, charge=held.append, clock=clock)


@pytest.fixture
def delivery(spool: Spool, backend: FakeBackend, ledger: Ledger, clock: HandClock) -> Delivery:
    return Delivery(
        spool,
        backend,
        ledger=ledger,
        reporter=Reporter("https://collector.example/v1/traces", "/spool", clock),
        breaker=CircuitBreaker(failure_threshold=5, timeout=10.0, clock=clock),
        limits=DeliveryLimits(),
        clock=clock,
        random=lambda: 1.0,
    )


@pytest.fixture
def make_spans() -> Callable[..., list[ReadableSpan]]:
    """Make ended spans of a stock provider, by name."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("tests")

    def make(*names: str, **attributes: str) -> list[ReadableSpan]:
        spans = [tracer.start_span(name, attributes=attributes) for name in names]
        for span in spans:
            span.end()
        return spans  # type: ignore[return-value]

    return make


@pytest.fixture
def put(spool: Spool, ledger: Ledger, make_spans: Callable[..., list[ReadableSpan]]) -> Callable[..., None]:
    """Put spans into the spool, one record each call."""
    encoder = SpanEncoder()

    def put_spans(*names: str, **attributes: str) -> None:
        spans = make_spans(*names, **attributes)
        ledger.finish(len(spans))
        spool.append(RecordKind.SPANS, encoder.request(spans), len(spans))

    return put_spans


@pytest.fixture
def request_of(make_spans: Callable[..., list[ReadableSpan]]) -> Callable[..., bytes]:
    """Encode spans of the given names."""
    return lambda *names, **attributes: SpanEncoder().request(make_spans(*names, **attributes))


@pytest.fixture
def make_pipeline(
    staff: FakeStaff, backend: FakeBackend, storage: FakeStorage, clock: HandClock
) -> Callable[..., Pipeline]:
    def make(destination: Destination | None = None, **settings: object) -> Pipeline:
        return Pipeline(
            destination or Destination.remote("https://collector.example/v1/traces", key="k"),
            PipelineSettings(**settings),  # type: ignore[arg-type]
            staff=staff,
            encode=SpanEncoder().request,
            sender=backend,
            storage=storage,
            breaker=CircuitBreaker(timeout=10.0, clock=clock),
            clock=clock,
            random=lambda: 1.0,
        )

    return make


@pytest.fixture
def names() -> Callable[[bytes], list[str]]:
    return names_in
