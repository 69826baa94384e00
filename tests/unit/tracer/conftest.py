"""A tracer whose spans stay in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from opentelemetry import context as otel_context
from opentelemetry.context.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from honeyhive.tracer import Components, HoneyHiveTracer, clear_registry
from honeyhive.tracer.interfaces import Outbox

MakeTracer = Callable[..., HoneyHiveTracer]


class RecordingOutbox(Outbox):
    """Keeps every call of the REST API that it is told of."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, dict[str, object]]] = []

    def tell(self, method: str, path: str, body: object, *, at_once: bool = True) -> bool:
        self.told.append((method, path, body))  # type: ignore[arg-type]
        return True


@pytest.fixture(autouse=True)
def _each_test_begins_with_nothing() -> Iterator[None]:
    """Leave no tracer and no context behind: some calls change the context of the thread for good."""
    clear_registry()
    token = otel_context.attach(Context())
    yield
    otel_context.detach(token)
    clear_registry()


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def exported(exporter: InMemorySpanExporter) -> Callable[[], list[ReadableSpan]]:
    """Return the finished spans in the order of their start."""
    return lambda: sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)


@pytest.fixture
def outbox() -> RecordingOutbox:
    return RecordingOutbox()


@pytest.fixture
def make_tracer(exporter: InMemorySpanExporter, outbox: RecordingOutbox) -> MakeTracer:
    def make(**settings: object) -> HoneyHiveTracer:
        parts = Components(span_processor=SimpleSpanProcessor(exporter), outbox=outbox)
        return HoneyHiveTracer.init(**{"project": "tests", "test_mode": True, "components": parts, **settings})

    return make


@pytest.fixture
def tracer(make_tracer: MakeTracer) -> HoneyHiveTracer:
    return make_tracer()
