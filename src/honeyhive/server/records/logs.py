"""Log records over OTLP: checked as they arrive, and as rows. Who reads them finds them by their trace."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from honeyhive.server import jsontext
from honeyhive.server.admission.limits import Limits, Refusal
from honeyhive.server.records.otlp import count_leaves
from honeyhive.server.records.rows import attributes_of, plain_value

__all__ = ["LogRow", "accepted_logs", "logs_from_protobuf", "rows_of_logs"]

_LARGEST: Final = 2**63 - 1
_NO_REQUEST: Final = "The body is not an OTLP ExportLogsServiceRequest in protobuf."
_SESSION: Final = "honeyhive.session_id"


@dataclass(frozen=True, slots=True)
class LogRow:
    """One log record, as the table ``logs`` holds it; *log_id* is the same for the same record sent twice."""

    log_id: str
    trace_id: str | None
    span_id: str | None
    session_id: str | None
    time_ns: int
    severity: int
    level: str
    logger: str
    body: str
    attributes: Mapping[str, object]


def logs_from_protobuf(body: bytes, limits: Limits) -> tuple[ExportLogsServiceRequest, int]:
    """Read a protobuf request, and count its records.

    Raises:
        Refusal: 400 when it is no such request, 413 when it holds too many records.
    """
    try:
        count = count_leaves(body, limits.spans)
    except Refusal:
        raise Refusal(400, _NO_REQUEST) from None
    if count > limits.spans:
        raise Refusal(413, f"The request holds more than {limits.spans} log records; send fewer at once.")
    request = ExportLogsServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError:
        raise Refusal(400, _NO_REQUEST) from None
    return request, count


def accepted_logs() -> bytes:
    """Return the answer to an accepted request."""
    return ExportLogsServiceResponse().SerializeToString()


def rows_of_logs(request: ExportLogsServiceRequest) -> Iterator[LogRow]:
    """Turn each record of a validated *request* into a row."""
    for resource_logs in request.resource_logs:
        for scope_logs in resource_logs.scope_logs:
            for record in scope_logs.log_records:
                yield _row(record, scope_logs.scope.name)


def _row(record: LogRecord, logger: str) -> LogRow:
    attributes = attributes_of(record)
    session = attributes.get(_SESSION)
    body = plain_value(record.body)
    return LogRow(
        log_id=hashlib.sha256(logger.encode() + b"\0" + record.SerializeToString(deterministic=True)).hexdigest()[:32],
        trace_id=record.trace_id.hex() or None,
        span_id=record.span_id.hex() or None,
        session_id=session if isinstance(session, str) else None,
        time_ns=min(record.time_unix_nano or record.observed_time_unix_nano, _LARGEST),
        severity=record.severity_number,
        level=record.severity_text,
        logger=logger,
        body=body if isinstance(body, str) else jsontext.dumps(body).decode(),
        attributes=attributes,
    )
