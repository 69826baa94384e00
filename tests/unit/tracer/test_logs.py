"""Log lines that know their trace, and log records that travel with the spans."""

from __future__ import annotations

import logging
import sys

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from honeyhive.models.wire import RecordKind
from honeyhive.tracer.export.logs import LogEntry, encode_logs
from honeyhive.tracer.logs import LogHandler, TraceContextFilter, capture_logs
from honeyhive.utils.redact import Redactor


class FakePipeline:
    """Keeps what is submitted, until told to make it."""

    def __init__(self) -> None:
        self.parcels: list[object] = []
        self.has_room = True

    def submit(self, kind: RecordKind, make: object) -> bool:
        assert kind is RecordKind.LOGS
        if self.has_room:
            self.parcels.append(make)
        return self.has_room

    def requests(self):
        made = [make() for make in self.parcels]
        self.parcels.clear()
        return [ExportLogsServiceRequest.FromString(payload) for payload in made]


@pytest.fixture
def pipeline():
    return FakePipeline()


@pytest.fixture
def log(tracer, pipeline):
    """A logger whose records are taken for the tracer."""
    logger = logging.getLogger("shop.cart")
    handler = LogHandler(tracer.identity, pipeline, resource={"service.name": "shop"}, redactor=Redactor())
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.removeHandler(handler)


def records_of(pipeline):
    return [
        record
        for request in pipeline.requests()
        for resource_logs in request.resource_logs
        for scope_logs in resource_logs.scope_logs
        for record in scope_logs.log_records
    ]


def made(fields):
    return logging.makeLogRecord({"name": "app", "levelno": 20, "levelname": "INFO", **fields})


def attributes_of(record):
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in record.attributes}


def test_a_record_gets_the_ids_of_span_and_session(tracer):
    record = logging.makeLogRecord({"msg": "hello"})

    with tracer.start_span("work") as span:
        assert TraceContextFilter().filter(record)

    context = span.get_span_context()
    assert (record.trace_id, record.span_id) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert record.session_id == tracer.identity.session_id


def test_outside_of_spans_the_ids_are_empty():
    record = logging.makeLogRecord({"msg": "hello"})

    TraceContextFilter().filter(record)

    assert (record.trace_id, record.span_id, record.session_id) == ("", "", "")


def test_a_record_travels_with_ids_severity_and_message(tracer, log, pipeline):
    with tracer.start_span("work") as span:
        log.warning("%d items", 3, extra={"cart": {"id": 7}})

    (record,) = records_of(pipeline)
    context = span.get_span_context()
    assert record.body.string_value == "3 items"
    assert (record.severity_number, record.severity_text) == (13, "WARNING")
    assert (record.trace_id, record.span_id) == (context.trace_id.to_bytes(16), context.span_id.to_bytes(8))
    found = attributes_of(record)
    assert found["honeyhive.session_id"] == tracer.identity.session_id
    assert found["cart"] == '{"id":7}'


def test_an_error_travels_along(log, pipeline):
    try:
        [].pop()
    except IndexError:
        log.exception("it failed")

    found = attributes_of(records_of(pipeline)[0])
    assert (found["exception.type"], found["exception.message"]) == ("IndexError", "pop from empty list")
    assert "test_logs.py" in found["exception.stacktrace"]


def test_secrets_are_redacted(log, pipeline):
    log.info("password=hunter2", extra={"api_key": "abc", "note": "Bearer 0123456789abcdef"})

    (request,) = pipeline.requests()
    text = str(request)
    assert "hunter2" not in text
    assert '"abc"' not in text
    assert "0123456789abcdef" not in text


def test_records_that_wait_together_are_one_request_with_one_resource(log, pipeline):
    for number in range(5):
        log.info("line %d", number)

    (request,) = pipeline.requests()
    assert len(request.resource_logs) == 1
    (scope,) = request.resource_logs[0].scope_logs
    assert scope.scope.name == "shop.cart"
    assert [record.body.string_value for record in scope.log_records] == [f"line {number}" for number in range(5)]


def test_our_own_logs_are_never_fed_back(tracer, pipeline):
    handler = LogHandler(tracer.identity, pipeline, resource={}, redactor=None)

    for name in ("honeyhive", "honeyhive.server"):
        handler.handle(logging.makeLogRecord({"name": name, "msg": "ours"}))

    assert not pipeline.parcels


def test_a_record_within_a_span_of_another_tracer_is_that_ones(log, pipeline, make_tracer):
    other = make_tracer()

    with other.start_span("theirs"):
        log.info("theirs")
    log.info("ours")

    assert [record.body.string_value for record in records_of(pipeline)] == ["ours"]


def test_a_message_whose_arguments_do_not_fit_travels_without_them(log, pipeline):
    log.handlers[0].handle(made({"msg": "%d items", "args": ("three",)}))

    assert records_of(pipeline)[0].body.string_value == "%d items"


def test_what_finds_no_room_is_counted(tracer, pipeline):
    handler = LogHandler(tracer.identity, pipeline, resource={}, redactor=None)

    for _ in range(5):
        handler.handle(made({"msg": "x" * 1_000_000}))

    assert (handler.taken, handler.dropped) == (4, 1)
    assert len(records_of(pipeline)) == 4
    handler.handle(made({"msg": "again"}))
    assert handler.taken == 5


def test_a_full_pipeline_is_asked_again(log, pipeline):
    pipeline.has_room = False
    log.info("first")
    pipeline.has_room = True

    log.info("second")

    assert [record.body.string_value for record in records_of(pipeline)] == ["first", "second"]


def test_a_forked_child_does_not_repeat_its_parents_records(log, pipeline):
    log.info("parent's")
    log.handlers[0].renew()
    pipeline.parcels.clear()

    log.info("child's")

    assert [record.body.string_value for record in records_of(pipeline)] == ["child's"]


def test_shutdown_ends_the_capture(make_tracer, pipeline):
    tracer = make_tracer()
    tracer.span_processor.pipeline = pipeline
    untouched = logging.Logger.callHandlers
    handler = capture_logs(tracer, None)
    logging.getLogger("app").warning("before", extra={"more": 1})

    tracer.shutdown(0)
    logging.getLogger("app").warning("after")

    assert handler.taken == 1
    assert attributes_of(records_of(pipeline)[0])["more"] == 1
    assert logging.Logger.callHandlers is untouched
    assert handler not in logging.getLogger().handlers


def test_without_a_journal_nothing_is_captured(tracer):
    assert capture_logs(tracer, None) is None


def test_the_tracer_loads_none_of_it_unless_asked(run_python):
    code = "import sys, honeyhive; honeyhive.HoneyHiveTracer(test_mode=True); print('honeyhive.tracer.logs' in sys.modules)"

    assert run_python(code) == "False"


@pytest.fixture
def run_python():
    import subprocess

    def run(code):
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    return run


def test_a_record_without_a_span_has_no_ids():
    entry = LogEntry("app", 1, 9, "INFO", "hello", {})

    request = ExportLogsServiceRequest.FromString(encode_logs([entry], {}))

    record = request.resource_logs[0].scope_logs[0].log_records[0]
    assert (record.trace_id, record.span_id, record.flags) == (b"", b"", 0)
    assert (record.time_unix_nano, record.observed_time_unix_nano) == (1, 1)
