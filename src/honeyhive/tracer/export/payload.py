"""Surgery on encoded requests, for backends that will not take them whole.

All of it is off the usual path, so it may be slow and load the official message classes; it is only imported when a
backend answers with content, refuses a request, or hands one back in parts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["TRUNCATED", "halves", "rejected_spans", "shortened", "span_count"]

TRUNCATED = "honeyhive.truncated"
"""Attribute that marks a span whose values were cut because the backend refused its size."""

_SHORTEST_CUT = 64
_SURE_TO_CUT = 256


def span_count(payload: bytes) -> int:
    """Count the spans of a request.

    Raises:
        ValueError: *payload* is no request.
    """
    return sum(1 for _ in _spans(_parsed(payload)))


def halves(payload: bytes) -> tuple[bytes, bytes]:
    """Split a request of two spans or more into two requests, in order, the first being the larger if they differ.

    Raises:
        ValueError: *payload* is no request.
    """
    request = _parsed(payload)
    total = sum(1 for _ in _spans(request))
    middle = (total + 1) // 2
    return _part(request, 0, middle), _part(request, middle, total)


def shortened(payload: bytes) -> bytes | None:
    """Cut every long text to a quarter of the longest one's length, and mark the spans.

    Returns:
        The smaller request, or ``None`` when no text is left that is worth cutting.

    Raises:
        ValueError: *payload* is no request.
    """
    request = _parsed(payload)
    longest = max((_length(value) for span in _spans(request) for value in _leaves(span)), default=0)
    if longest < _SURE_TO_CUT:
        return None
    limit = max(_SHORTEST_CUT, longest // 4)
    for span in _spans(request):
        _shorten(span, limit)
    smaller: bytes = request.SerializeToString()
    return smaller


def rejected_spans(body: bytes, *, json_body: bool) -> int:
    """Read how many spans an accepted request lost; 0 if *body* does not say."""
    try:
        if json_body:
            rejected = int(json.loads(body)["partialSuccess"]["rejectedSpans"])
        else:
            rejected = ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans
    except (DecodeError, ValueError, KeyError, TypeError, RecursionError):
        return 0
    return max(0, rejected)


def _parsed(payload: bytes) -> ExportTraceServiceRequest:
    try:
        request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(payload)
    except DecodeError as error:
        raise ValueError("these bytes are no OTLP request") from error
    return request


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield from scope_spans.spans


def _part(request: ExportTraceServiceRequest, first: int, end: int) -> bytes:
    """Serialise the spans from *first* up to *end*, each still under its resource and scope."""
    part = ExportTraceServiceRequest()
    position = 0
    for resource_spans in request.resource_spans:
        resource_copy = None
        for scope_spans in resource_spans.scope_spans:
            chosen = scope_spans.spans[max(0, first - position) : max(0, end - position)]
            position += len(scope_spans.spans)
            if not chosen:
                continue
            if resource_copy is None:
                resource_copy = part.resource_spans.add(schema_url=resource_spans.schema_url)
                resource_copy.resource.CopyFrom(resource_spans.resource)
            scope_copy = resource_copy.scope_spans.add(schema_url=scope_spans.schema_url)
            scope_copy.scope.CopyFrom(scope_spans.scope)
            scope_copy.spans.extend(chosen)
    serialised: bytes = part.SerializeToString()
    return serialised


def _shorten(span: Span, limit: int) -> None:
    cut = [_cut(value, limit) for value in _leaves(span) if _length(value) > limit]
    if len(span.name) > limit:
        span.name = span.name[:limit]
    if len(span.status.message) > limit:
        span.status.message = span.status.message[:limit]
    if cut and not any(attribute.key == TRUNCATED for attribute in span.attributes):
        span.attributes.append(KeyValue(key=TRUNCATED, value=AnyValue(int_value=sum(cut))))


def _cut(value: AnyValue, limit: int) -> int:
    """Cut one text or byte string; returns its original length."""
    length = _length(value)
    if value.WhichOneof("value") == "bytes_value":
        value.bytes_value = value.bytes_value[:limit]
    else:
        value.string_value = value.string_value[:limit]
    return length


def _length(value: AnyValue) -> int:
    return len(value.string_value) or len(value.bytes_value)


def _leaves(span: Span) -> Iterator[AnyValue]:
    for attribute in span.attributes:
        yield from _values(attribute.value)
    for event in span.events:
        for attribute in event.attributes:
            yield from _values(attribute.value)
    for link in span.links:
        for attribute in link.attributes:
            yield from _values(attribute.value)


def _values(value: AnyValue) -> Iterator[AnyValue]:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        for item in value.array_value.values:
            yield from _values(item)
    elif kind == "kvlist_value":
        for pair in value.kvlist_value.values:
            yield from _values(pair.value)
    else:
        yield value
