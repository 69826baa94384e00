"""Log records become rows that are found by their trace, and reports say what is missing."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from honeyhive.events.log import DatedRecord
from honeyhive.journal import Position
from honeyhive.models.wire import RecordKind
from honeyhive.server.admission.limits import Limits, Refusal
from honeyhive.server.records.logs import logs_from_protobuf

TRACE, SPAN = "0" * 31 + "7", "0" * 15 + "1"


@pytest.fixture
def request_of():
    def make(*records, logger="app"):
        scope = ScopeLogs(scope=InstrumentationScope(name=logger), log_records=records)
        return ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[scope])])

    return make


@pytest.fixture
def line():
    def make(body, *, at=1_000, trace=TRACE, span=SPAN):
        return LogRecord(
            time_unix_nano=at,
            severity_number=13,
            severity_text="WARNING",
            body=AnyValue(string_value=body),
            trace_id=bytes.fromhex(trace),
            span_id=bytes.fromhex(span),
            attributes=[KeyValue(key="honeyhive.session_id", value=AnyValue(string_value="s"))],
        )

    return make


@pytest.fixture
def keep(project, request_of):
    """Project lines as the journal would hold them."""

    def keep_lines(*lines, at=100):
        payload = request_of(*lines).SerializeToString()
        project([DatedRecord(RecordKind.LOGS, len(lines), payload, Position("0000000001", at), at)])

    return keep_lines


def test_the_lines_of_a_trace_are_found_oldest_first(keep, queries, line):
    keep(line("second", at=2), line("first", at=1), line("elsewhere", trace="0" * 31 + "8"))

    found = queries.logs(TRACE)

    assert [log["body"] for log in found] == ["first", "second"]
    assert (found[0]["level"], found[0]["logger"], found[0]["session_id"]) == ("WARNING", "app", "s")
    assert found[0]["attributes"] == {"honeyhive.session_id": "s"}


def test_the_lines_of_a_span_are_found(keep, queries, line):
    keep(line("here"), line("there", span="0" * 15 + "2"))

    assert [log["body"] for log in queries.logs(TRACE, SPAN)] == ["here"]


def test_a_line_that_comes_twice_is_one(keep, queries, line):
    keep(line("once"))
    keep(line("once"), at=200)

    assert len(queries.logs(TRACE)) == 1


def test_what_is_no_request_of_logs_is_refused():
    with pytest.raises(Refusal) as refused:
        logs_from_protobuf(b"\x0a\xffnonsense", Limits())

    assert refused.value.status == 400


def test_too_many_lines_are_refused_before_they_are_read(request_of):
    body = request_of(*[LogRecord() for _ in range(11)]).SerializeToString()

    with pytest.raises(Refusal) as refused:
        logs_from_protobuf(body, Limits(spans=10))

    assert refused.value.status == 413


def test_a_report_says_what_a_process_has_lost_once(records, project, queries):
    call = (
        "POST",
        "/v1/client-reports",
        {"report_id": "r", "process": "app.py", "pid": 7, "dropped": {"queue_full": 5}},
    )

    project(records(call, call))

    (report,) = queries.client_reports()
    assert (report["process"], report["pid"], report["dropped"]) == ("app.py", 7, {"queue_full": 5})
    assert report["time_ns"] == 5_000_000_000


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"dropped": {}},
        {"dropped": {"queue_full": 0}},
        {"dropped": {"queue_full": True}},
        {"dropped": {"x" * 300: 1}},
        {"dropped": {"a": 1}, "pid": "7"},
        {"dropped": {"a": 1}, "time": 1e300},
        {"dropped": {"a": 1}, "process": "\x1b[0m"},
        {"dropped": {str(number): 1 for number in range(51)}},
    ],
)
def test_what_is_no_report_is_refused(intake, wrong):
    with pytest.raises(Refusal):
        intake.submit("POST", "/v1/client-reports", wrong)
