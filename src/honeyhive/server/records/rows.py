"""What the backend stores: one row for each span or event, and how spans become rows.

A span that came over OTLP and an event that came over REST are the same thing to every reader. An event's trace is its
session (the session's id without hyphens), its span id is its event id without hyphens.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from honeyhive.models.conventions import BUCKETS, CanonicalEvent, canonical
from honeyhive.server.records.figures import count_of, figures_of
from honeyhive.utils import event_id

__all__ = ["EVENT_KIND", "Row", "attributes_of", "key_of", "plain_value", "row_of_event", "rows_of_request"]

EVENT_KIND: Final = "event"
"""The kind of rows that came over REST; spans have OpenTelemetry's kinds."""
_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES: Final = ("unset", "ok", "error")
_FAILED: Final = 2
_LARGEST: Final = 2**63 - 1
_KEY_BYTES: Final = 1_000
"""The longest text that is looked for by an index: two of them must fit into a page's entry."""
_KEY_START: Final = 200
_BUCKET_PREFIXES: Final = tuple(f"honeyhive_{name}." for name in BUCKETS)
"""Attributes that a bucket holds entirely; the others are kept as they came beside what they mean."""


@dataclass(frozen=True, slots=True)
class Row:
    """One span or event, as the table ``spans`` holds it.

    Times are nanoseconds since 1970, clamped to what SQLite can hold. *details* is everything that only a
    reader of this one span wants: the seven buckets, attributes, events, links, resource, scope.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    event_id: str
    parent_event_id: str | None
    name: str
    kind: str
    start_ns: int
    end_ns: int
    status: str
    event_type: str
    session_id: str | None
    session_name: str | None
    project: str | None
    source: str | None
    error: str | None
    model: str | None
    provider: str | None
    tokens_in: int | None
    tokens_out: int | None
    cost: float | None
    details: Mapping[str, object]


def rows_of_request(request: ExportTraceServiceRequest) -> Iterator[Row]:
    """Turn each span of a validated *request* into a row."""
    for resource_spans in request.resource_spans:
        resource = attributes_of(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield _row_of_span(resource, scope_spans.scope, span)


def row_of_event(event: Mapping[str, object]) -> Row:
    """Turn a REST event, complete and checked by `honeyhive.server.records.events`, into a row."""
    buckets = {name: dict(_object(event.get(name))) for name in BUCKETS}
    figures = figures_of(buckets)
    session_id, own_id = str(event["session_id"]), str(event["event_id"])
    parent = _optional_text(event.get("parent_id"))
    error = _optional_text(event.get("error"))
    start_ns, end_ns = _ns(event.get("start_time")), _ns(event.get("end_time"))
    return Row(
        trace_id=session_id.replace("-", ""),
        span_id=own_id.replace("-", ""),
        parent_id=None if parent is None or parent == session_id else parent.replace("-", ""),
        event_id=own_id,
        parent_event_id=None if parent == session_id else parent,
        name=str(event["event_name"]),
        kind=EVENT_KIND,
        start_ns=start_ns,
        end_ns=end_ns,
        status="error" if error else "unset",
        event_type=str(event["event_type"]),
        session_id=session_id,
        session_name=str(event["event_name"]) if event["event_type"] == "session" else None,
        project=key_of(_optional_text(event.get("project"))),
        source=_optional_text(event.get("source")),
        error=error,
        model=figures.model,
        provider=figures.provider,
        tokens_in=figures.tokens_in,
        tokens_out=figures.tokens_out,
        cost=figures.cost,
        details=buckets,
    )


def _row_of_span(resource: dict[str, object], scope: InstrumentationScope, span: Span) -> Row:
    attributes = attributes_of(span)
    events = [_event(event) for event in span.events]
    meaning = canonical(
        attributes,
        name=span.name,
        events=[(event.name, attributes_of(event)) for event in span.events],
        failed=span.status.code == _FAILED,
        status_message=span.status.message,
    )
    buckets = {name: getattr(meaning, name) for name in BUCKETS}
    figures = figures_of(buckets)
    trace_id, span_id = span.trace_id.hex(), span.span_id.hex()
    start_ns = min(span.start_time_unix_nano, _LARGEST)
    return Row(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=span.parent_span_id.hex() or None,
        event_id=key_of(meaning.event_id) or event_id(int(trace_id, 16), int(span_id, 16)),
        parent_event_id=key_of(meaning.parent_id),
        name=meaning.event_name,
        kind=_KINDS[span.kind] if 0 <= span.kind < len(_KINDS) else "unspecified",
        start_ns=start_ns,
        end_ns=min(span.end_time_unix_nano, _LARGEST) or start_ns,
        status=_STATUSES[span.status.code] if 0 <= span.status.code < len(_STATUSES) else "unset",
        event_type=meaning.event_type,
        session_id=key_of(meaning.session_id),
        session_name=meaning.session_name,
        project=key_of(meaning.project or _service_name(resource)),
        source=meaning.source,
        error=_error(meaning),
        model=meaning.model or figures.model,
        provider=meaning.provider or figures.provider,
        tokens_in=figures.tokens_in if meaning.tokens.input is None else count_of(meaning.tokens.input),
        tokens_out=figures.tokens_out if meaning.tokens.output is None else count_of(meaning.tokens.output),
        cost=figures.cost,
        details={
            **buckets,
            "attributes": {key: value for key, value in attributes.items() if not key.startswith(_BUCKET_PREFIXES)},
            "events": events,
            "links": [_link(link) for link in span.links],
            "resource": resource,
            "scope": {"name": scope.name, "version": scope.version},
        },
    )


def key_of(text: str | None) -> str | None:
    """Return *text*, or where it is too long for an index, its beginning and what tells it from others."""
    if text is None or len(text) * 4 <= _KEY_BYTES or len(encoded := text.encode()) <= _KEY_BYTES:
        return text
    return f"{text[:_KEY_START]}\u2026{hashlib.sha256(encoded).hexdigest()}"


def _error(meaning: CanonicalEvent) -> str | None:
    message, kind = meaning.error, meaning.error_type
    return f"{kind}: {message}" if message and kind and not message.startswith(kind) else message


def _service_name(resource: Mapping[str, object]) -> str | None:
    name = resource.get("honeyhive.project") or resource.get("service.name")
    return name if isinstance(name, str) and not name.startswith("unknown_service") else None


def _event(event: Span.Event) -> dict[str, object]:
    return {
        "name": event.name,
        "time_ns": min(event.time_unix_nano, _LARGEST),
        "attributes": attributes_of(event),
    }


def _link(link: Span.Link) -> dict[str, object]:
    return {
        "trace_id": link.trace_id.hex(),
        "span_id": link.span_id.hex(),
        "attributes": attributes_of(link),
    }


def attributes_of(owner: Resource | Span | Span.Event | Span.Link | LogRecord) -> dict[str, object]:
    """Return the attributes of *owner* as JSON can hold them."""
    return {pair.key: plain_value(pair.value) for pair in owner.attributes}


def plain_value(value: AnyValue) -> object:
    """Return *value* as JSON can hold it; recursion ends where protobuf's own depth limit does."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [plain_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain_value(pair.value) for pair in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    plain = getattr(value, kind)
    if kind == "double_value" and not math.isfinite(plain):
        return str(plain)
    return plain


def _ns(milliseconds: object) -> int:
    if isinstance(milliseconds, int | float) and math.isfinite(milliseconds):
        return max(0, min(round(milliseconds * 1_000_000), _LARGEST))
    return 0


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _optional_text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
