"""``honeyhive spool``: what people do with the spans that wait."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from opentelemetry.sdk.trace import TracerProvider

from honeyhive.cli import main
from honeyhive.journal import Journal
from honeyhive.models.wire import LOCAL, RecordKind, destination_id
from honeyhive.tracer.export.encode import encode_spans


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder of all spools."""
    monkeypatch.setenv("HH_SPOOL_DIR", str(tmp_path / "spool"))
    return tmp_path / "spool"


@pytest.fixture
def current(root, collector, monkeypatch):
    """Configure the collector, and name its spool."""
    monkeypatch.setenv("HH_API_KEY", "hh_new")
    monkeypatch.setenv("HH_API_URL", collector.url)
    monkeypatch.setenv("HH_OTLP_ENDPOINT", collector.url)
    return destination_id(collector.url, "hh_new")


@pytest.fixture
def leave(root):
    """Leave spans in a spool as a process does that died, or that is alive while the journal is open."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("tests")
    opened = []

    def leave_spans(destination, *names, alive=False, others=()):
        journal = Journal(root / destination, prefix=f"{len(opened)}-boot")
        for name in names:
            span = tracer.start_span(name)
            span.end()
            journal.append(RecordKind.SPANS, encode_spans([span]), 1)
        for kind, payload in others:
            journal.append(kind, payload, 0)
        opened.append(journal)
        if not alive:
            journal.close()

    yield leave_spans
    for journal in opened:
        journal.close()


def honeyhive(*arguments, answer=None):
    return CliRunner().invoke(main, ["spool", *arguments], input=answer)


def test_an_empty_spool_is_said_to_be_empty(root):
    for command in ("ls", "verify", "send", "purge"):
        done = honeyhive(command)

        assert done.exit_code == 0, done.output


def test_the_list_says_whose_what_and_how_old(current, leave):
    leave(current, "a", "b")
    leave("f" * 32, "c", alive=True)

    listed = {row["destination"]: row for row in json.loads(honeyhive("ls", "--json").output)}

    assert (listed[current]["spans"], listed[current]["owner_alive"], listed[current]["is_current"]) == (2, False, True)
    assert (listed["f" * 32]["spans"], listed["f" * 32]["owner_alive"]) == (1, True)
    table = honeyhive("ls").output
    assert current in table
    assert "alive" in table


def test_damage_is_found_and_makes_the_command_fail(current, root, leave):
    leave(current, "a", "b", "c")
    (segment,) = (root / current).glob("*.seg")
    content = bytearray(segment.read_bytes())
    content[40] ^= 0xFF
    segment.write_bytes(content)

    done = honeyhive("verify")

    assert done.exit_code == 1
    assert "1 damaged place," in done.output


def test_what_is_whole_is_said_to_be_whole(current, leave):
    leave(current, "a")

    done = honeyhive("verify")

    assert (done.exit_code, done.output) == (0, "1 span waiting, nothing damaged.\n")


def test_what_waits_is_sent_and_gone(current, root, leave, collector):
    leave(current, "a", "b")
    leave(current, "c")

    done = honeyhive("send")

    assert (done.exit_code, done.output) == (0, "3 spans sent, 0 left.\n")
    assert dict(collector.delivered) == {"a": 1, "b": 1, "c": 1}
    assert not list((root / current).glob("*.seg"))


def test_new_credentials_send_what_waits_for_the_old_ones(root, leave, collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=new")
    old = destination_id(collector.url, "x-api-key:old")
    leave(old, "a", others=[(RecordKind.REST, b'{"method": "POST", "path": "/session/start", "body": {}}')])
    assert honeyhive("send").output == "0 spans sent, 0 left.\n"

    done = honeyhive("send", "--from", old[:8])

    assert (done.exit_code, done.output) == (0, "1 span sent, 0 left.\n")
    assert dict(collector.delivered) == {"a": 1}
    assert collector.exchanges[-1].handler.headers["x-api-key"] == "new"
    assert "authorization" not in collector.exchanges[-1].handler.headers


def test_a_destination_that_is_not_there_is_said(current):
    done = honeyhive("send", "--from", "abc")

    assert done.exit_code == 1
    assert "No spools have the name abc" in done.output


def test_segments_of_living_processes_are_left_to_them(current, leave, collector):
    leave(current, "theirs", alive=True)

    done = honeyhive("send")

    assert done.exit_code == 0
    assert "1 span held by running processes" in done.output
    assert not collector.delivered


def test_what_cannot_be_sent_in_time_stays(current, leave, collector):
    collector.stop()
    leave(current, "a")

    done = honeyhive("send", "--timeout", "0.3")

    assert done.exit_code == 1
    assert "0 spans sent, 1 left." in done.output
    assert json.loads(honeyhive("ls", "--json").output)[0]["spans"] == 1


def test_without_a_backend_on_this_machine_it_says_what_starts_one(root, leave):
    leave(LOCAL, "a")

    done = honeyhive("send")

    assert done.exit_code == 1
    assert "honeyhive serve" in done.output


def test_purge_asks_says_what_goes_and_leaves_the_living(current, root, leave):
    leave(current, "a", "b")
    leave("f" * 32, "c", alive=True)

    refused = honeyhive("purge", answer="n\n")
    done = honeyhive("purge", "--yes")

    assert refused.exit_code == 1
    assert f"{current}: 2 spans in 1 segment," in refused.output
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "2 spans deleted.")
    assert [row["destination"] for row in json.loads(honeyhive("ls", "--json").output)] == ["f" * 32]


def test_the_line_at_exit_says_how_spans_get_on(run, collector):
    local = """
        local = pipeline_for(Destination.local(), settings)
        other = TracerProvider(shutdown_on_exit=False)
        other.add_span_processor(BatchSpanProcessor(pipeline=local))
        other.get_tracer("program").start_span("kept").end()
    """

    program = run(local)

    assert program.code == 0
    assert "1 span kept in" in program.errors
    assert "to be seen when the backend starts (`honeyhive serve`)" in program.errors
