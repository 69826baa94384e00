from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from honeyhive.tracer.export.payload import TRUNCATED, halves, shortened, span_count


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5).filter(lambda sizes: sum(sizes) > 1))
def test_halves_hold_every_span_once_and_in_order(request_of, names, sizes):
    """Also for payloads that were joined from several records."""
    payload = b"".join(request_of(*(f"{record}.{span}" for span in range(size))) for record, size in enumerate(sizes))

    first, second = halves(payload)

    assert names(first) + names(second) == names(payload)
    assert span_count(first) - span_count(second) in (0, 1)


def test_each_half_keeps_resource_and_scope(request_of):
    request = ExportTraceServiceRequest.FromString(request_of("a", "b"))

    for half in halves(request.SerializeToString()):
        part = ExportTraceServiceRequest.FromString(half)

        assert part.resource_spans[0].resource == request.resource_spans[0].resource
        assert part.resource_spans[0].scope_spans[0].scope == request.resource_spans[0].scope_spans[0].scope


def test_long_texts_are_cut_and_the_span_is_marked(request_of):
    payload = request_of("a", long="x" * 10_000, short="y")

    smaller = shortened(payload)

    assert smaller is not None
    (span,) = ExportTraceServiceRequest.FromString(smaller).resource_spans[0].scope_spans[0].spans
    attributes = {attribute.key: attribute.value for attribute in span.attributes}
    assert len(attributes["long"].string_value) == 2_500
    assert attributes["short"].string_value == "y"
    assert attributes[TRUNCATED].int_value == 10_000


def test_cutting_ends_when_nothing_long_is_left(request_of):
    payload: bytes | None = request_of("a", long="x" * 10_000)
    sizes = []

    while payload is not None:
        sizes.append(len(payload))
        payload = shortened(payload)

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 1_000


def test_what_is_no_request_is_told_from_one():
    with pytest.raises(ValueError, match="no OTLP request"):
        halves(b"\xff\xff\xff")
