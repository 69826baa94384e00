"""Data goes in over real sockets and comes out again."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PROTOBUF = {"Content-Type": "application/x-protobuf"}

Make = Callable[..., dict[str, object]]


@pytest.fixture
def protobuf_body() -> bytes:
    span = Span(trace_id=bytes.fromhex(TRACE_ID), span_id=b"\1" * 8, name="work", start_time_unix_nano=10**18)
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])]
    ).SerializeToString()


@pytest.mark.parametrize("path", ["/v1/traces", "/opentelemetry/v1/traces"])
def test_a_protobuf_request_is_answered_in_protobuf_and_can_be_read(
    client: httpx.Client, protobuf_body: bytes, path: str
) -> None:
    reply = client.post(path, params={"wait": 1}, content=protobuf_body, headers=PROTOBUF)

    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/x-protobuf"
    assert ExportTraceServiceResponse.FromString(reply.content) == ExportTraceServiceResponse()
    assert client.get(f"/v1/traces/{TRACE_ID}").json()["span_list"][0]["name"] == "work"


def test_a_gzip_request_is_read(client: httpx.Client, protobuf_body: bytes) -> None:
    headers = {**PROTOBUF, "Content-Encoding": "gzip"}

    reply = client.post("/v1/traces", params={"wait": 1}, content=gzip.compress(protobuf_body), headers=headers)

    assert reply.status_code == 200
    assert client.get(f"/v1/traces/{TRACE_ID}").status_code == 200


def test_a_json_request_becomes_a_tree(client: httpx.Client, span: Make, request_of: Make) -> None:
    spans = [
        span("child", span_id="b" * 16, parent_id="a" * 16, start_ms=1),
        span("root", span_id="a" * 16, duration_ms=20),
    ]

    reply = client.post("/v1/traces", params={"wait": 1}, json=request_of(*spans))

    tree = client.get(f"/v1/traces/{TRACE_ID}").json()["span_list"]
    assert reply.json() == {}
    assert [(found["name"], found["depth"], found["children"]) for found in tree] == [
        ("root", 0, ["b" * 16]),
        ("child", 1, []),
    ]
