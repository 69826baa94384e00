"""OTLP trace requests as they arrive: protobuf or JSON, both read into the one protobuf message.

Whatever was sent, the journal keeps protobuf, so that there is one thing to project. JSON is mapped by hand: ids are
hex in OTLP/JSON (not base64 as in protobuf's own JSON), and protobuf's own reader is ten times slower.

Depth needs no check in protobuf: its parser follows 100 messages, which is less than 50 levels of values.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from honeyhive.server import jsontext
from honeyhive.server.admission.limits import Limits, Refusal

__all__ = ["JSON", "PROTOBUF", "accepted", "count_leaves", "from_json", "from_protobuf", "refused", "spans_of"]

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

T = TypeVar("T")
Fields = Mapping[str, object]

_HEX = re.compile(r"[0-9a-fA-F]*")
_U64 = range(2**64)
_U32 = range(2**32)
_I64 = range(-(2**63), 2**63)


def from_protobuf(body: bytes, limits: Limits) -> ExportTraceServiceRequest:
    """Read a protobuf request.

    Raises:
        Refusal: 400 when it is no such request or an id is wrong, 413 when it holds too many spans.
    """
    refuse_too_many(count_leaves(body, limits.spans), limits)
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError:
        raise Refusal(400, "The body is not an OTLP ExportTraceServiceRequest in protobuf.") from None
    _check_ids(request)
    return request


def from_json(body: bytes, limits: Limits) -> ExportTraceServiceRequest:
    """Read an OTLP/JSON request; fields that are not known are ignored, as OTLP wants it.

    Raises:
        Refusal: 400 when it is no such request or an id is wrong, 413 when it holds too many spans.
    """
    try:
        fields = jsontext.loads(body)
    except ValueError:
        raise Refusal(400, "The body is not JSON.") from None
    if jsontext.is_deeper_than(fields, limits.depth):
        raise Refusal(400, f"The body nests deeper than {limits.depth} levels.")
    try:
        request = _request(_fields(fields, "the body"), limits)
    except ValueError as error:
        raise Refusal(400, f"The body is not an OTLP/JSON trace request: {error}.") from None
    _check_ids(request)
    return request


def accepted(media_type: str) -> bytes:
    """Return the answer to an accepted request, in the encoding of the request."""
    return ExportTraceServiceResponse().SerializeToString() if media_type == PROTOBUF else b"{}"


def refused(reason: str) -> bytes:
    """Return *reason* as a ``google.rpc.Status`` in protobuf, which is what OTLP senders read."""
    message = reason.encode()[:16_000]
    return b"\x12" + _varint_of(len(message)) + message  # field 2, message


def spans_of(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """Yield every span, in the order sent."""
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield from scope_spans.spans


def refuse_too_many(count: int, limits: Limits) -> None:
    """Refuse a request with more spans than allowed."""
    if count > limits.spans:
        raise Refusal(413, f"The request holds more than {limits.spans} spans; send fewer at once.")


def _check_ids(request: ExportTraceServiceRequest) -> None:
    for span in spans_of(request):
        if len(span.trace_id) != 16 or not any(span.trace_id):
            raise Refusal(400, "A span's trace id is not 16 bytes, or all zero.")
        if len(span.span_id) != 8 or not any(span.span_id):
            raise Refusal(400, "A span's id is not 8 bytes, or all zero.")
        if len(span.parent_span_id) not in {0, 8}:
            raise Refusal(400, "A span's parent id is not 8 bytes.")


# --- counting without parsing: a million empty spans must not become a million objects ---


def count_leaves(body: bytes, limit: int) -> int:
    """Count spans, or log records, by skipping over the three outer levels of the message; stop soon after *limit*."""
    count = 0
    try:
        for resource_start, resource_end in _submessages(body, 0, len(body), 1):
            for scope_start, scope_end in _submessages(body, resource_start, resource_end, 2):
                for _ in _submessages(body, scope_start, scope_end, 2):
                    count += 1
                    if count > limit:
                        return count
    except IndexError:
        raise Refusal(400, "The body is cut short or is not protobuf.") from None
    return count


def _submessages(body: bytes, at: int, end: int, number: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each length-delimited field *number* between *at* and *end*."""
    while at < end:
        tag, at = _varint(body, at)
        wire = tag & 7
        if wire == 2:
            length, at = _varint(body, at)
            if at + length > end:
                raise IndexError
            if tag >> 3 == number:
                yield at, at + length
            at += length
        elif wire == 0:
            _, at = _varint(body, at)
        elif wire in {1, 5}:
            at += 8 if wire == 1 else 4
        else:
            raise IndexError


def _varint_of(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint_of(number >> 7)


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = body[at]
    at += 1
    if value < 128:
        return value, at
    value &= 127
    for shift in range(7, 70, 7):
        byte = body[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise IndexError


# --- OTLP/JSON to protobuf ---


def _request(fields: Fields, limits: Limits) -> ExportTraceServiceRequest:
    if "resourceSpans" not in fields:
        raise ValueError("resourceSpans is missing")
    listed = _items(fields, "resourceSpans")
    scopes = [scope for resource in listed for scope in _items(resource, "scopeSpans")]
    refuse_too_many(sum(len(_items(scope, "spans")) for scope in scopes), limits)
    return ExportTraceServiceRequest(resource_spans=[_resource_spans(item) for item in listed])


def _resource_spans(fields: Fields) -> ResourceSpans:
    resource = _fields(fields.get("resource") or {}, "resource")
    return ResourceSpans(
        resource=Resource(attributes=_attributes(resource)),
        scope_spans=[_scope_spans(item) for item in _items(fields, "scopeSpans")],
        schema_url=_text(fields, "schemaUrl"),
    )


def _scope_spans(fields: Fields) -> ScopeSpans:
    scope = _fields(fields.get("scope") or {}, "scope")
    return ScopeSpans(
        scope=InstrumentationScope(
            name=_text(scope, "name"), version=_text(scope, "version"), attributes=_attributes(scope)
        ),
        spans=[_span(item) for item in _items(fields, "spans")],
        schema_url=_text(fields, "schemaUrl"),
    )


def _span(fields: Fields) -> Span:
    status = _fields(fields.get("status") or {}, "status")
    return Span(
        trace_id=_hex(fields, "traceId"),
        span_id=_hex(fields, "spanId"),
        parent_span_id=_hex(fields, "parentSpanId"),
        trace_state=_text(fields, "traceState"),
        name=_text(fields, "name"),
        kind=Span.SpanKind.ValueType(_enum(fields, "kind", Span.SpanKind.items(), "SPAN_KIND_")),
        start_time_unix_nano=_integer(fields.get("startTimeUnixNano"), "startTimeUnixNano", _U64),
        end_time_unix_nano=_integer(fields.get("endTimeUnixNano"), "endTimeUnixNano", _U64),
        attributes=_attributes(fields),
        dropped_attributes_count=_integer(fields.get("droppedAttributesCount"), "droppedAttributesCount", _U32),
        events=[_event(item) for item in _items(fields, "events")],
        dropped_events_count=_integer(fields.get("droppedEventsCount"), "droppedEventsCount", _U32),
        links=[_link(item) for item in _items(fields, "links")],
        dropped_links_count=_integer(fields.get("droppedLinksCount"), "droppedLinksCount", _U32),
        flags=_integer(fields.get("flags"), "flags", _U32),
        status=Status(
            code=Status.StatusCode.ValueType(_enum(status, "code", Status.StatusCode.items(), "STATUS_CODE_")),
            message=_text(status, "message"),
        ),
    )


def _event(fields: Fields) -> Span.Event:
    return Span.Event(
        name=_text(fields, "name"),
        time_unix_nano=_integer(fields.get("timeUnixNano"), "timeUnixNano", _U64),
        attributes=_attributes(fields),
    )


def _link(fields: Fields) -> Span.Link:
    return Span.Link(
        trace_id=_hex(fields, "traceId"),
        span_id=_hex(fields, "spanId"),
        trace_state=_text(fields, "traceState"),
        attributes=_attributes(fields),
    )


def _attributes(fields: Fields) -> list[KeyValue]:
    return [_attribute(item) for item in _items(fields, "attributes")]


def _attribute(fields: Fields) -> KeyValue:
    return KeyValue(key=_text(fields, "key"), value=_value(_fields(fields.get("value") or {}, "value")))


def _value(fields: Fields) -> AnyValue:
    for kind, read in _VALUE_KINDS.items():
        if fields.get(kind) is not None:
            return read(fields[kind])
    return AnyValue()


def _list_value(value: object) -> AnyValue:
    result = AnyValue()
    result.array_value.SetInParent()
    result.array_value.values.extend(_value(item) for item in _items(_fields(value, "arrayValue"), "values"))
    return result


def _object_value(value: object) -> AnyValue:
    result = AnyValue()
    result.kvlist_value.SetInParent()
    result.kvlist_value.values.extend(_attribute(item) for item in _items(_fields(value, "kvlistValue"), "values"))
    return result


def _bytes_value(value: object) -> AnyValue:
    try:
        return AnyValue(bytes_value=base64.b64decode(_typed(value, str, "bytesValue"), validate=True))
    except binascii.Error:
        raise ValueError("bytesValue is not base64") from None


def _double(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("doubleValue is not a number")
    return float(value)


_VALUE_KINDS: Final[Mapping[str, Callable[[object], AnyValue]]] = {
    "stringValue": lambda value: AnyValue(string_value=_typed(value, str, "stringValue")),
    "boolValue": lambda value: AnyValue(bool_value=_typed(value, bool, "boolValue")),
    "intValue": lambda value: AnyValue(int_value=_integer(value, "intValue", _I64)),
    "doubleValue": lambda value: AnyValue(double_value=_double(value)),
    "arrayValue": _list_value,
    "kvlistValue": _object_value,
    "bytesValue": _bytes_value,
}


def _typed(value: object, kind: type[T], name: str) -> T:
    if not isinstance(value, kind):
        raise ValueError(f"{name} is not of type {kind.__name__}")
    return value


def _fields(value: object, name: str) -> Fields:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not an object")
    return value


def _items(fields: Fields, name: str) -> list[Fields]:
    value = fields.get(name)
    if value is None:
        return []
    return [_fields(item, f"an item of {name}") for item in _typed(value, list, name)]


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return "" if value is None else _typed(value, str, name)


def _hex(fields: Fields, name: str) -> bytes:
    text = _text(fields, name)
    if len(text) % 2 or not _HEX.fullmatch(text):
        raise ValueError(f"{name} is not hexadecimal")
    return bytes.fromhex(text)


def _integer(value: object, name: str, allowed: range) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{name} is not an integer")
    if isinstance(value, str) and not (
        len(value) <= 20 and value.lstrip("-").isascii() and value.lstrip("-").isdigit()
    ):
        raise ValueError(f"{name} is not an integer")
    number = int(value)
    if number not in allowed:
        raise ValueError(f"{name} is out of range")
    return number


def _enum(fields: Fields, name: str, members: Iterable[tuple[str, int]], prefix: str) -> int:
    """Read an enum given as number or, as some senders do, as name with or without its prefix."""
    value = fields.get(name)
    if value is None:
        return 0
    by_name = dict(members)
    if isinstance(value, str):
        found = by_name.get(value, by_name.get(prefix + value))
    else:
        found = value if isinstance(value, int) and value in by_name.values() else None
    if found is None:
        raise ValueError(f"{name} is not known")
    return found
