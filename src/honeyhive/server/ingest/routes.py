"""The routes that take data in.

=======  ===========================================  =====================================================
POST     ``/v1/traces``, ``/opentelemetry/v1/traces``  OTLP, protobuf or JSON, gzip or not
POST     ``/v1/logs``, ``/opentelemetry/v1/logs``      OTLP logs, protobuf, gzip or not
POST     ``/session/start``                           ``{"session": {...}}`` -> the whole session event
POST     ``/events`` (also ``/v1/events``)            ``{"event": {...}}`` -> ``{"success", "event_id"}``
PUT      ``/events`` (also ``/v1/events``)            ``{"event_id", ...}`` -> empty
POST     ``/events/batch`` (also ``/v1/events/...``)  ``{"events": [...]}`` -> ``{"event_ids", "success"}``
=======  ===========================================  =====================================================

What programs have lost comes to ``POST /v1/client-reports``: ``{"report_id", "process", "pid", "time", "dropped"}``,
``dropped`` being counts by reason. A 200 means: checked, in the journal, and on the disk. With ``?wait=1`` it also means: readable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from honeyhive.journal import Position
from honeyhive.models.wire import RecordKind
from honeyhive.runtime.declaring import post, put
from honeyhive.server import jsontext
from honeyhive.server.admission.body import inflated, media_type_of, read_body
from honeyhive.server.admission.limits import Limits, Refusal
from honeyhive.server.records import otlp
from honeyhive.server.records.events import Intake, Submission
from honeyhive.server.records.logs import accepted_logs, logs_from_protobuf
from honeyhive.server.records.reports import CLIENT_REPORTS
from honeyhive.server.storage.interface import Storage, readable

__all__ = ["Ingest", "retry_headers"]

_READERS: Final = {otlp.PROTOBUF: otlp.from_protobuf, otlp.JSON: otlp.from_json}


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked request: what goes into the journal, and what is answered once it is there."""

    kind: RecordKind
    payload: bytes
    items: int
    reply: Callable[[], Response]


class Ingest:
    """Takes requests in: check, append, answer.

    Args:
        storage: Where accepted requests go, and how far readers can see.
        intake: Checks REST calls.
        limits: The bounds of one request.
    """

    def __init__(self, storage: Storage, intake: Intake, limits: Limits) -> None:
        self._log = storage.log
        self._progress = storage.progress
        self._intake = intake
        self._limits = limits

    @post("/v1/traces")
    @post("/opentelemetry/v1/traces")
    async def take_traces(self, request: Request) -> Response:
        """Take an OTLP trace request."""
        media_type = media_type_of(request)
        if media_type not in _READERS:
            return _otlp_refusal(Refusal(415, f"Send {otlp.PROTOBUF} or {otlp.JSON}."), otlp.JSON)
        try:
            body, compressed = await read_body(request, self._limits)
            return await self._store(request, lambda: self._traces_draft(body, compressed, media_type))
        except Refusal as refusal:
            return _otlp_refusal(refusal, media_type)

    @post("/v1/logs")
    @post("/opentelemetry/v1/logs")
    async def take_logs(self, request: Request) -> Response:
        """Take an OTLP logs request."""
        if media_type_of(request) != otlp.PROTOBUF:
            return _otlp_refusal(Refusal(415, f"Send {otlp.PROTOBUF}."), otlp.JSON)
        try:
            body, compressed = await read_body(request, self._limits)
            return await self._store(request, lambda: self._logs_draft(body, compressed))
        except Refusal as refusal:
            return _otlp_refusal(refusal, otlp.PROTOBUF)

    @post("/session/start")
    @post("/events")
    @put("/events")
    @post("/v1/events")
    @put("/v1/events")
    @post("/events/batch")
    @post("/v1/events/batch")
    @post(CLIENT_REPORTS)
    async def take_call(self, request: Request) -> Response:
        """Take a REST call that creates or updates sessions and events."""
        if media_type_of(request) != otlp.JSON:
            raise Refusal(415, f"Send {otlp.JSON}.")
        body, compressed = await read_body(request, self._limits)
        return await self._store(request, lambda: self._call_draft(request, body, compressed))

    def _traces_draft(self, body: bytes, compressed: bool, media_type: str) -> Draft:
        plain = inflated(body, self._limits) if compressed else body
        message = _READERS[media_type](plain, self._limits)
        payload = plain if media_type == otlp.PROTOBUF else message.SerializeToString()
        count = sum(1 for _ in otlp.spans_of(message))
        return Draft(
            RecordKind.SPANS, payload, count, lambda: Response(otlp.accepted(media_type), media_type=media_type)
        )

    def _logs_draft(self, body: bytes, compressed: bool) -> Draft:
        plain = inflated(body, self._limits) if compressed else body
        _, count = logs_from_protobuf(plain, self._limits)
        return Draft(RecordKind.LOGS, plain, count, lambda: Response(accepted_logs(), media_type=otlp.PROTOBUF))

    def _call_draft(self, request: Request, body: bytes, compressed: bool) -> Draft:
        plain = inflated(body, self._limits) if compressed else body
        try:
            fields = jsontext.loads(plain)
        except ValueError:
            raise Refusal(400, "The body is not JSON.") from None
        submission = self._intake.submit(request.method, request.url.path, fields)
        return Draft(RecordKind.REST, jsontext.dumps(submission.call), 1, lambda: _reply(submission))

    async def _store(self, request: Request, draft: Callable[[], Draft]) -> Response:
        """Check and append in a worker thread, so that a big body delays nobody else's answer."""
        if self._progress.backlog > self._limits.lag_records:
            raise Refusal(429, "The backend is behind; come back in a moment.", retry_after_s=1)
        response, position = await to_thread.run_sync(self._append, draft)
        if request.query_params.get("wait") == "1" and position is not None:
            await readable(self._progress.reached(position), self._limits)
        return response

    def _append(self, draft: Callable[[], Draft]) -> tuple[Response, Position | None]:
        checked = draft()
        if not checked.items:
            return checked.reply(), None
        position = self._log.append(checked.kind, checked.payload, checked.items)
        return checked.reply(), position


def _reply(submission: Submission) -> Response:
    return Response(status_code=200) if submission.reply is None else JSONResponse(submission.reply)


def _otlp_refusal(refusal: Refusal, media_type: str) -> Response:
    if media_type == otlp.PROTOBUF:
        content = otlp.refused(refusal.reason)
    else:
        content = jsontext.dumps({"message": refusal.reason})
    return Response(content, refusal.status, headers=retry_headers(refusal), media_type=media_type)


def retry_headers(refusal: Refusal) -> dict[str, str]:
    """Return the headers that tell a refused sender when to come back."""
    return {} if refusal.retry_after_s is None else {"Retry-After": str(refusal.retry_after_s)}
