"""What the backend's unit tests are made of: requests, records, a read model in a temporary file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from honeyhive.events.log import DatedRecord
from honeyhive.journal import Position
from honeyhive.models.wire import RecordKind
from honeyhive.server import jsontext
from honeyhive.server.events import Intake
from honeyhive.server.limits import Limits
from honeyhive.server.projector import changes_of
from honeyhive.server.queries import Queries
from honeyhive.server.store import Store


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
def make_span() -> Callable[..., Span]:
    """Make a protobuf span; ids are small numbers."""

    def make(
        span_id: int = 1,
        *,
        trace_id: int = 7,
        parent_id: int = 0,
        name: str = "work",
        start_ns: int = 1_000,
        end_ns: int = 2_000,
        attributes: Mapping[str, str | int] | None = None,
    ) -> Span:
        return Span(
            trace_id=trace_id.to_bytes(16, "big"),
            span_id=span_id.to_bytes(8, "big"),
            parent_span_id=parent_id.to_bytes(8, "big") if parent_id else b"",
            name=name,
            start_time_unix_nano=start_ns,
            end_time_unix_nano=end_ns,
            attributes=[
                KeyValue(
                    key=key, value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
                )
                for key, value in (attributes or {}).items()
            ],
        )

    return make


@pytest.fixture
def request_with() -> Callable[..., ExportTraceServiceRequest]:
    """Wrap spans into a request."""
    return lambda *spans: ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])]
    )


@pytest.fixture
def intake(limits: Limits) -> Intake:
    """REST calls are completed with ids ``id-1``, ``id-2``, ... and the time 5,000 ms."""
    numbers = itertools.count(1)
    return Intake(new_id=lambda: f"id-{next(numbers)}", now_ms=lambda: 5_000.0, limits=limits)


@pytest.fixture
def records(request_with: Callable[..., ExportTraceServiceRequest], intake: Intake) -> Callable[..., list[DatedRecord]]:
    """Make journal records: of a list of spans, or of a REST call ``(method, path, body)``."""
    offsets = itertools.count(100, 100)

    def make(*contents: object) -> list[DatedRecord]:
        made = []
        for content in contents:
            offset = next(offsets)
            if isinstance(content, list):
                kind, payload = RecordKind.SPANS, request_with(*content).SerializeToString()
            else:
                assert isinstance(content, tuple)
                kind, payload = RecordKind.REST, jsontext.dumps(intake.submit(*content).call)
            made.append(DatedRecord(kind, 1, payload, Position("0000000001", offset), offset))
        return made

    return make


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def store(index: Path) -> Iterator[Store]:
    store = Store(index)
    yield store
    store.close()


@pytest.fixture
def project(store: Store) -> Callable[[list[DatedRecord]], None]:
    """Apply records to the read model."""
    return lambda made: store.apply([(record.position, changes_of(record)) for record in made])


@pytest.fixture
def queries(index: Path) -> Queries:
    return Queries(index)
