"""OTLP requests are read to the letter, or refused with a reason."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from honeyhive.server.admission.limits import Limits, Refusal
from honeyhive.server.records import otlp
from honeyhive.server.records.rows import rows_of_request

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"

MakeSpan = Callable[..., Span]
MakeRequest = Callable[..., ExportTraceServiceRequest]


def json_request(**span: object) -> bytes:
    fields = {"traceId": TRACE_ID, "spanId": SPAN_ID, "name": "work", **span}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}).encode()


def only_span(request: ExportTraceServiceRequest) -> Span:
    [span] = otlp.spans_of(request)
    return span


def test_json_and_protobuf_say_the_same(limits: Limits) -> None:
    body = json_request(
        parentSpanId=SPAN_ID[::-1],
        kind=3,
        startTimeUnixNano="1700000000000000001",
        endTimeUnixNano=1700000000000000002,
        traceState="a=b",
        flags=1,
        status={"code": 2, "message": "boom"},
        attributes=[
            {"key": "text", "value": {"stringValue": "x"}},
            {"key": "flag", "value": {"boolValue": False}},
            {"key": "whole", "value": {"intValue": "-7"}},
            {"key": "real", "value": {"doubleValue": 0.5}},
            {"key": "list", "value": {"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "y"}]}}},
            {"key": "object", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}}},
            {"key": "bytes", "value": {"bytesValue": "AAE="}},
            {"key": "nothing", "value": {}},
        ],
        events=[{"name": "e", "timeUnixNano": "5", "attributes": []}],
        links=[{"traceId": TRACE_ID, "spanId": SPAN_ID}],
        aFieldOfTheFuture=1,
    )

    span = only_span(otlp.from_json(body, limits))

    assert span == Span(
        trace_id=bytes.fromhex(TRACE_ID),
        span_id=bytes.fromhex(SPAN_ID),
        parent_span_id=bytes.fromhex(SPAN_ID[::-1]),
        name="work",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=1700000000000000001,
        end_time_unix_nano=1700000000000000002,
        trace_state="a=b",
        flags=1,
        status=Status(code=Status.STATUS_CODE_ERROR, message="boom"),
        attributes=[
            KeyValue(key="text", value=AnyValue(string_value="x")),
            KeyValue(key="flag", value=AnyValue(bool_value=False)),
            KeyValue(key="whole", value=AnyValue(int_value=-7)),
            KeyValue(key="real", value=AnyValue(double_value=0.5)),
            KeyValue(
                key="list",
                value=AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="y")])),
            ),
            KeyValue(
                key="object",
                value=AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=AnyValue(bool_value=True))])),
            ),
            KeyValue(key="bytes", value=AnyValue(bytes_value=b"\0\1")),
            KeyValue(key="nothing", value=AnyValue()),
        ],
        events=[Span.Event(name="e", time_unix_nano=5)],
        links=[Span.Link(trace_id=bytes.fromhex(TRACE_ID), span_id=bytes.fromhex(SPAN_ID))],
    )


@pytest.mark.parametrize("kind", ["SPAN_KIND_CLIENT", "CLIENT", 3])
def test_enums_are_read_as_number_and_as_name(limits: Limits, kind: object) -> None:
    assert only_span(otlp.from_json(json_request(kind=kind), limits)).kind == Span.SPAN_KIND_CLIENT


@pytest.mark.parametrize(
    "trace_id", ["", "00" * 16, TRACE_ID[:-2], TRACE_ID + "00", "zz" * 16, "CvdlGRbNQ92ESOshHIAxnA==", 7]
)
def test_a_wrong_trace_id_is_refused(limits: Limits, trace_id: object) -> None:
    with pytest.raises(Refusal) as refused:
        otlp.from_json(json_request(traceId=trace_id), limits)

    assert refused.value.status == 400


@pytest.mark.parametrize("span_id", ["", "00" * 8, SPAN_ID[:-1], SPAN_ID + "00", "t7rWsWkgMzE="])
def test_a_wrong_span_id_is_refused(limits: Limits, span_id: str) -> None:
    with pytest.raises(Refusal, match=r"[Ii]d"):
        otlp.from_json(json_request(spanId=span_id), limits)


def test_upper_case_ids_are_the_same_ids(limits: Limits) -> None:
    assert only_span(otlp.from_json(json_request(traceId=TRACE_ID.upper()), limits)).trace_id.hex() == TRACE_ID


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"resourceSpans": {}}',
        b'{"resourceSpans": [7]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [[]]}]}]}',
        b'{"resourceSpans": NaN}',
        b'{"resourceSpans": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        json_request(name=5),
        json_request(kind=99),
        json_request(kind="NO_SUCH"),
        json_request(startTimeUnixNano="-1"),
        json_request(startTimeUnixNano=str(2**64)),
        json_request(startTimeUnixNano="9" * 5_000),
        json_request(startTimeUnixNano="١٢"),
        json_request(attributes=[{"key": "k", "value": {"intValue": str(2**63)}}]),
        json_request(attributes=[{"key": "k", "value": {"intValue": True}}]),
        json_request(attributes=[{"key": "k", "value": {"bytesValue": "%"}}]),
        json_request(attributes=[{"key": "k", "value": {"doubleValue": "many"}}]),
    ],
)
def test_what_is_no_otlp_json_is_refused_with_a_reason(limits: Limits, body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        otlp.from_json(body, limits)

    assert refused.value.status == 400
    assert refused.value.reason.endswith(".")


def test_json_that_nests_deeper_than_the_limit_is_refused(limits: Limits) -> None:
    value: object = {"stringValue": "x"}
    for _ in range(limits.depth):
        value = {"arrayValue": {"values": [value]}}

    with pytest.raises(Refusal, match="64 levels"):
        otlp.from_json(json_request(attributes=[{"key": "k", "value": value}]), limits)


def test_protobuf_that_nests_too_deep_is_refused(limits: Limits) -> None:
    value = AnyValue(string_value="x").SerializeToString()
    for _ in range(limits.depth):
        value = _field(5, _field(1, value))  # a list of one
    span = _field(1, b"\1" * 16) + _field(2, b"\1" * 8) + _field(9, _field(1, b"key") + _field(2, value))

    with pytest.raises(Refusal) as refused:
        otlp.from_protobuf(_field(1, _field(2, _field(2, span))), limits)

    assert refused.value.status == 400


def test_more_spans_than_allowed_are_refused_before_they_are_parsed(limits: Limits) -> None:
    with pytest.raises(Refusal) as refused:
        otlp.from_protobuf(_field(1, _field(2, _field(2, b"") * 60_000)), limits)

    assert refused.value.status == 413


def test_json_with_more_spans_than_allowed_is_refused(limits: Limits) -> None:
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{}, {}, {}]}]}]}).encode()

    with pytest.raises(Refusal) as refused:
        otlp.from_json(body, replace(limits, spans=2))

    assert refused.value.status == 413


def test_no_mutation_of_a_valid_body_does_anything_but_pass_or_be_refused(
    limits: Limits, make_span: MakeSpan, request_with: MakeRequest
) -> None:
    dice = random.Random(20_260_101)
    spans = [make_span(n, parent_id=n - 1, attributes={"honeyhive_inputs.a": "x", "n": n}) for n in range(1, 4)]
    bodies = {
        otlp.from_protobuf: request_with(*spans).SerializeToString(),
        otlp.from_json: json_request(attributes=[{"key": "k", "value": {"stringValue": "v"}}], status={"code": 1}),
    }

    outcomes = set()
    for read, body in bodies.items():
        for _ in range(2_000):
            try:
                rows = list(rows_of_request(read(_mutated(body, dice), limits)))
            except Refusal as refusal:
                outcomes.add(refusal.status)
            else:
                outcomes.add("read")
                assert all(len(row.trace_id) == 32 and len(row.span_id) == 16 for row in rows)

    assert outcomes == {"read", 400}


def _mutated(body: bytes, dice: random.Random) -> bytes:
    mutable = bytearray(body)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(mutable))
        match dice.randrange(4):
            case 0:
                mutable[at] = dice.randrange(256)
            case 1:
                del mutable[at : at + dice.randint(1, 8)]
            case 2:
                mutable[at:at] = dice.randbytes(dice.randint(1, 8))
            case _:
                mutable[at] ^= 1 << dice.randrange(8)
        if not mutable:
            return b"\0"
    return bytes(mutable)


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])
