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


def test_json_and_rest_come_together_in_a_session(client: httpx.Client, span: Make, request_of: Make) -> None:
    session = {"session_id": "11111111-2222-4333-8444-555555555555", "session_name": "chat", "project": "x"}
    started = client.post("/session/start", json={"session": session}).json()
    traced = span("root", attributes={"honeyhive.session_id": session["session_id"], "honeyhive.project": "x"})
    client.post("/v1/traces", json=request_of(traced))
    created = client.post(
        "/events", json={"event": {"event_type": "model", "session_id": session["session_id"]}}
    ).json()
    client.put("/events", json={"event_id": created["event_id"], "metrics": {"score": 1}})

    tree = client.get(f"/v1/sessions/{session['session_id']}", params={"wait": 1}).json()

    assert {"org_id", "workspace_id", "project_id"} <= started.keys()
    assert tree["event_name"] == "chat"
    assert tree["metadata"]["num_events"] == 2
    assert sorted(child["event_name"] for child in tree["children"]) == ["root", "unknown"]
    assert client.get(f"/v1/events/{created['event_id']}").json()["metrics"] == {"score": 1}
    found = client.post("/v1/events/export", json={"project": "x", "filters": []}).json()
    assert (found["totalEvents"], found["events"][0]["event_name"]) == (1, "root")


def test_a_session_can_be_updated_through_its_id(client: httpx.Client) -> None:
    session_id = client.post("/session/start", json={"session": {"session_name": "s"}}).json()["session_id"]

    client.put("/events", json={"event_id": session_id, "feedback": {"stars": 4}}, params={"wait": 1})

    assert client.get(f"/v1/events/{session_id}").json()["feedback"] == {"stars": 4}


def test_the_same_batch_ten_times_is_stored_once(client: httpx.Client, span: Make, request_of: Make) -> None:
    body = request_of(*(span(f"s{n}") for n in range(5)))

    for _ in range(10):
        client.post("/v1/traces", json=body, params={"wait": 1})

    assert client.get(f"/v1/traces/{TRACE_ID}").json()["spans"] == 5


@pytest.mark.parametrize(
    "headers, body, status",
    [
        ({"Content-Type": "application/x-protobuf"}, b"\xff\xff\xff", 400),
        ({"Content-Type": "application/json"}, b"{", 400),
        ({"Content-Type": "application/json"}, b'{"resourceSpans": [{"scopeSpans": [{"spans": [{}]}]}]}', 400),
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({}, b"{}", 415),
        ({"Content-Type": "application/json", "Content-Encoding": "br"}, b"{}", 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip, gzip"}, b"{}", 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, b"{}", 400),
        ({"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}, gzip.compress(b"\0" * 4_000_000), 413),
    ],
)
def test_what_is_malformed_is_refused_and_nothing_is_stored(
    client: httpx.Client, headers: dict[str, str], body: bytes, status: int
) -> None:
    reply = client.post("/v1/traces", content=body, headers=headers)

    assert reply.status_code == status
    assert reply.content
    assert "Traceback" not in reply.text
    assert client.get("/v1/traces", params={"wait": 1}).json()["traces"] == []


def test_a_request_of_no_spans_is_accepted(client: httpx.Client) -> None:
    assert client.post("/v1/traces", json={"resourceSpans": []}).status_code == 200


def test_lists_are_given_out_in_pages(client: httpx.Client, span: Make, request_of: Make) -> None:
    spans = [span(f"t{n}", trace_id=f"{n:032x}", start_ms=n) for n in range(1, 6)]
    client.post("/v1/traces", json=request_of(*spans), params={"wait": 1})

    first = client.get("/v1/traces", params={"limit": 3}).json()
    second = client.get("/v1/traces", params={"limit": 3, "cursor": first["next_cursor"]}).json()

    assert [trace["name"] for trace in first["traces"] + second["traces"]] == ["t5", "t4", "t3", "t2", "t1"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    "path", ["/v1/traces?limit=0", "/v1/traces?limit=x", "/v1/traces?cursor=x", "/traces?limit=-1"]
)
def test_parameters_that_make_no_sense_are_refused(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/v1/traces/unknown",
        "/v1/events/unknown",
        "/v1/sessions/unknown",
        "/traces/unknown",
        "/nowhere",
        "/static/..%2fhtml.py",
        "/static/%2e%2e/html.py",
        "/static/..%5chtml.py",
        "/static/style.css%00",
        "/static//etc/passwd",
    ],
)
def test_what_is_not_there_is_not_found(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404
