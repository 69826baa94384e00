"""Which requests are made of records, and how the backend on this machine is found."""

from __future__ import annotations

import json

import pytest

from honeyhive.exceptions import APIConnectionError
from honeyhive.models.wire import RecordKind, ServerFile
from honeyhive.tracer.export.destination import Destination
from honeyhive.tracer.export.sender import HttpSender, LocalSender, Muted


class FakeTransport:
    """Remembers requests; answers all alike, or not at all."""

    def __init__(self, answer):
        self.requests = []
        self.answer = answer

    def send(self, request, timeout_s):
        self.requests.append((request, timeout_s))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self):
        pass


@pytest.fixture
def transport(answer):
    return FakeTransport(answer())


@pytest.fixture
def sender(transport):
    destination = Destination.remote(
        "https://c.example/opentelemetry/v1/traces", key="k", headers={"X-Source": "dev"}, rest_url="https://c.example/"
    )
    return HttpSender(destination, lambda: transport, lambda: 3.0)


def test_spans_are_posted_as_protobuf_with_the_headers(sender, transport):
    sender.send(RecordKind.SPANS, b"spans")

    ((request, timeout_s),) = transport.requests
    assert (request.method, request.url, request.body, timeout_s) == (
        "POST",
        "https://c.example/opentelemetry/v1/traces",
        b"spans",
        3.0,
    )
    assert request.headers == {
        "authorization": "Bearer k",
        "x-source": "dev",
        "content-type": "application/x-protobuf",
    }


def test_logs_go_beside_the_traces(sender, transport):
    sender.send(RecordKind.LOGS, b"logs")

    assert transport.requests[0][0].url == "https://c.example/opentelemetry/v1/logs"


def test_rest_records_say_themselves_where_they_go(sender, transport):
    sender.send(RecordKind.REST, json.dumps({"method": "PUT", "path": "/events", "body": {"a": 1}}).encode())

    request = transport.requests[0][0]
    assert (request.method, request.url, json.loads(request.body)) == ("PUT", "https://c.example/events", {"a": 1})
    assert request.headers["content-type"] == "application/json"


@pytest.fixture
def server_file(tmp_path):
    return tmp_path / "state" / "server.json"


@pytest.fixture
def local(transport, clock, server_file):
    return LocalSender(lambda: transport, lambda: 3.0, clock, lambda: server_file)


@pytest.fixture
def serve(server_file, tmp_path):
    def write(port=4580, token="t0ken"):
        (tmp_path / "token").write_text(f"{token}\n")
        ServerFile(f"http://127.0.0.1:{port}", str(tmp_path / "token"), 1).write(server_file)

    return write


def test_a_backend_is_found_by_its_discovery_file(local, serve, transport):
    serve()

    assert local.ready()
    local.send(RecordKind.SPANS, b"spans")
    request = transport.requests[0][0]
    assert request.url == "http://127.0.0.1:4580/v1/traces"
    assert request.headers["authorization"] == "Bearer t0ken"


def test_it_is_looked_for_at_most_once_a_second(local, serve, clock):
    assert not local.ready()
    serve()
    assert not local.ready()

    clock.now_s += 1

    assert local.ready()


def test_a_backend_that_went_away_is_looked_for_anew(local, serve, transport, clock, answer):
    serve()
    local.ready()
    transport.answer = APIConnectionError("refused")
    with pytest.raises(APIConnectionError):
        local.send(RecordKind.SPANS, b"")
    assert not local.ready()

    serve(port=4999)
    transport.answer = answer()
    clock.now_s += 1

    assert local.ready()
    local.send(RecordKind.SPANS, b"")
    assert transport.requests[-1][0].url == "http://127.0.0.1:4999/v1/traces"


def test_a_refused_token_is_read_anew(local, serve, transport, clock, answer):
    serve()
    local.ready()
    transport.answer = answer(401)
    local.send(RecordKind.SPANS, b"")

    serve(token="n3w")
    clock.now_s += 1

    assert local.ready()
    local.send(RecordKind.SPANS, b"")
    assert transport.requests[-1][0].headers["authorization"] == "Bearer n3w"


@pytest.mark.parametrize("content", ["", "not json", "{}", '{"address": "x", "token_file": "/nowhere", "pid": 1}'])
def test_a_discovery_file_that_means_nothing_is_no_backend(local, server_file, content):
    server_file.parent.mkdir()
    server_file.write_text(content)

    assert not local.ready()


def test_nobody_is_ever_behind_an_unusable_address():
    assert not Muted().ready()
