"""Each small example runs as its reader would run it, and its trace arrives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from local_backend import LocalBackend

    from conftest import Story

Run = Callable[..., str]
Read = Callable[[str], "Story"]


def test_three_lines_make_a_trace(run: Run, story: Read) -> None:
    """No key, no account, no setting."""
    printed = run("quickstart.py")

    trace = story("quickstart")
    assert printed == "Hello, bees!\n"
    assert trace.lines == ["__main__.greet tool"]
    assert trace.spans[0]["details"]["inputs"] == {"name": "bees"}
    assert trace.spans[0]["details"]["outputs"] == {"result": "Hello, bees!"}


def test_what_is_traced_without_a_backend_is_there_when_one_starts(tmp_path: Path) -> None:
    """The program does not wait for it, and says in one line where its span is."""
    from local_backend import LocalBackend, private_environment

    program = Path(__file__).resolve().parents[3] / "examples" / "quickstart.py"
    done = subprocess.run(
        [sys.executable, program], env=private_environment(tmp_path), capture_output=True, text=True, check=False
    )
    with LocalBackend(tmp_path) as backend:
        trace = backend.wait_for_trace(project="quickstart")

    assert done.stdout == "Hello, bees!\n"
    assert [line for line in done.stderr.splitlines() if str(tmp_path) in line] == done.stderr.splitlines()
    assert len(done.stderr.splitlines()) == 1
    assert [span["name"] for span in trace["span_list"]] == ["__main__.greet"]


def test_coroutines_generators_and_classes_nest(run: Run, story: Read, backend: LocalBackend) -> None:
    """Concurrent tasks are siblings; a generator's span holds what it calls."""
    printed = run("async_and_streaming.py")

    trace = story("async-and-streaming")
    assert printed == "TEXT OF PAGE 1 TEXT OF PAGE 2\n"
    assert trace.lines == [
        "__main__.read_all chain",
        "  __main__.fetch tool",
        "  __main__.fetch tool",
        "  __main__.fetch tool !",
        "  __main__.shout model",
        "    __main__.words tool",
        "  __main__.shout model",
        "    __main__.words tool",
        "  Archive.keep tool",
        "    Archive.size tool",
    ]
    assert [span["details"]["metrics"] for span in trace.named("__main__.shout")] == [{"words": 4}] * 2
    other = backend.wait_for_trace(project="async-and-streaming", besides=frozenset({trace.trace["trace_id"]}))
    assert [span["name"] for span in other["span_list"]] == ["afterwards"]


@pytest.mark.acceptance("A22")
def test_a_pipeline_keeps_going_through_an_outage(run: Run, story: Read) -> None:
    """No line is lost, and what the helpers did is on the spans of the batches."""
    printed = run("resilient_pipeline.py")

    trace = story("resilient-pipeline")
    batches = trace.named("label a batch")
    told = [batch["details"]["attributes"] for batch in batches]
    assert printed == "2000 lines labelled, some of them by rule\n"
    assert len(batches) == 40
    assert sum(batch["details"]["metrics"]["lines"] for batch in batches) == 2_000
    assert sum(facts.get("honeyhive.resilience.items.done", 0) for facts in told) == 2_000
    assert any("honeyhive.resilience.circuit.refusals" in facts for facts in told)
    assert any("honeyhive.resilience.retry.attempts" in facts for facts in told)


@pytest.mark.acceptance("A22")
def test_the_pipelines_own_failure_tests_pass(backend: LocalBackend) -> None:
    """Outage, hanging call, back-pressure: the example tests its own failures."""
    example = Path(__file__).resolve().parents[3] / "examples" / "resilient_pipeline.py"

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", example],
        env=backend.environment,
        cwd=example.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "5 passed" in done.stdout, done.stdout


def test_a_trace_goes_through_two_processes(run: Run, story: Read, backend: LocalBackend) -> None:
    """One trace, one session, the callee's span below the caller's."""
    printed = run("distributed.py")

    trace = wait_for_spans(backend, "distributed", 2)
    assert printed == "lantern is packed\n"
    assert [(span["depth"], span["name"]) for span in trace["span_list"]] == [
        (0, "__main__.order"),
        (1, "__main__.pick"),
    ]
    assert len({span["session_id"] for span in trace["span_list"]}) == 1


def wait_for_spans(backend: LocalBackend, project: str, count: int) -> Any:
    """The project's one trace, once it has *count* spans and all their parents."""
    trace = backend.wait_for_trace(project=project)
    for _ in range(200):
        if trace["spans"] >= count:
            break
        backend.pause()
        trace = backend.wait_for_trace(project=project)
    return trace


def test_any_opentelemetry_backend_gets_the_spans(run: Run, collector: Collector) -> None:
    """The standard variable is enough; the backend is sent plain OTLP."""
    printed = run("any_otel_backend.py", OTEL_EXPORTER_OTLP_ENDPOINT=collector.address)

    assert printed.splitlines()[-1] == "3 spans delivered, 0 kept for later, 0 dropped"
    assert collector.paths == {"/v1/traces"}
    assert sorted(span.name for span in collector.spans) == ["__main__.plan", "__main__.walk", "__main__.walk"]
    assert collector.services == {"hike-planner"}


def test_a_program_with_opentelemetry_keeps_its_provider(run: Run, story: Read) -> None:
    """Our processor on a stock provider takes that program's own spans."""
    run("existing_otel.py")

    trace = story("existing-otel")
    assert trace.lines == ["handle request tool", "  query database tool"]


def test_users_test_their_traces_with_the_fixture(backend: LocalBackend) -> None:
    """The example is itself a passing test file."""
    example = Path(__file__).resolve().parents[3] / "examples" / "testing_your_code.py"

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", example],
        env=backend.environment,
        cwd=example.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_programs_for_the_public_sdk_run_unchanged(run: Run, story: Read, backend: LocalBackend) -> None:
    """Every documented call form works, and its spans are where they belong."""
    printed = run("public_sdk_forms.py")

    trace = story("public-sdk-forms")
    assert printed == "every form ran\n"
    assert trace.lines == [
        "__main__.one_request chain",
        "  __main__.bare tool",
        "  completion model",
        "  __main__.explicit_tracer demo",
        "  __main__.by_the_instance tool",
        "  __main__.asynchronous tool",
        "  Service.answer tool",
        "    Service.polish tool",
        "  lookup tool",
        "  rank tool",
        "  ended later tool",
    ]
    completion = trace.named("completion")[0]["details"]
    assert completion["config"] == {"model": "trail-mini", "temperature": 0.2}
    assert completion["metadata"] == {"attempt": 1}
    assert completion["metrics"] == {"latency_ms": 12.5}
    assert completion["feedback"] == {"helpful": True}
    assert completion["inputs"] == {"prompt": "say hello"}
    assert completion["outputs"] == {"text": "fine", "result": "fine"}
    assert sorted(s["name"] for s in backend.get("/v1/sessions", project="public-sdk-forms")["sessions"]) == [
        "customer 2",
        "documented forms",
        "second tracer",
    ]


class Collector:
    """Some other OpenTelemetry backend: takes OTLP over HTTP and remembers it."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, ExportTraceServiceRequest]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                collector.requests.append((self.path, ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def paths(self) -> set[str]:
        return {path for path, _ in self.requests}

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for _, request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def services(self) -> set[str]:
        return {
            attribute.value.string_value
            for _, request in self.requests
            for resource in request.resource_spans
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        }


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector on loopback."""
    running = Collector()
    thread = Thread(target=running.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield running
    running.server.shutdown()
    thread.join()
    running.server.server_close()


def test_a_scope_gives_services_and_owns_tasks_in_one_trace(run: Run, story: Read) -> None:
    """Mails are sent after the block has ended and before the connection is closed."""
    printed = run("scopes.py")

    trace = story("scopes")
    assert printed == "sold sold refused\n{'tea': 1, 'honey': 4}\n3 mails sent, connection closed\n"
    assert trace.lines == ["shop chain", *["  order chain"] * 3, *["  mail chain"] * 3]
    assert trace.named("order")[2]["details"]["metadata"]["Order.amount"] == 2
