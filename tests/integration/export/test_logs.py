"""Log records that travel with the spans of a program, over the wire and through its death."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

LOGGING = """
import logging
from honeyhive import HoneyHiveTracer
traced = HoneyHiveTracer.init(project="logs", capture_logs=True, otlp_endpoint=os.environ["COLLECTOR"])
log = logging.getLogger("app")
log.setLevel(logging.INFO)
with traced.start_span("work"):
    log.info("within, with password=hunter2")
"""


@pytest.fixture
def lines(collector):
    """What arrives at the address for logs: each message, and whether it has a trace."""
    arrived = []

    def take(exchange):
        if exchange.handler.path == "/v1/logs":
            arrived.extend(lines_in(exchange.body))
        exchange.answer()

    collector.behave = take
    return arrived


def lines_in(body):
    return [
        (record.body.string_value, bool(record.trace_id))
        for resource_logs in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope_logs in resource_logs.scope_logs
        for record in scope_logs.log_records
    ]


def test_a_programs_records_arrive_with_their_trace(run, lines):
    program = run(LOGGING + "log.info('outside')")

    assert program.code == 0, program.errors
    assert lines == [("within, with password=[REDACTED]", True), ("outside", False)]


def test_records_of_a_killed_process_are_sent_by_the_next(run, lines, collector, answering):
    taking, collector.behave = collector.behave, answering(503)
    run(LOGGING + "time.sleep(0.5); os.kill(os.getpid(), signal.SIGKILL)")
    collector.behave = taking

    program = run(LOGGING + "traced.flush(20_000); wait_until(lambda: adopted(1))")

    assert program.code == 0, program.errors
    assert len(lines) == 2


def test_a_backend_without_logs_gets_the_spans_all_the_same(run, collector):
    names = []

    def take_spans_only(exchange):
        is_for_spans = exchange.handler.path == "/v1/traces"
        if is_for_spans:
            names.extend(exchange.names)
        exchange.answer(200 if is_for_spans else 404)

    collector.behave = take_spans_only

    program = run(LOGGING + "assert traced.flush(20_000)")

    assert program.code == 0, program.errors
    assert names == ["work"]
    assert "takes no logs" in program.errors
