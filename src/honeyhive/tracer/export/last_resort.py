"""Spans that our encoder cannot take as they are: by the official encoder, or without their attributes."""

from __future__ import annotations

from typing import Final

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, Status

from honeyhive.tracer.export.cleaning import Cleaner
from honeyhive.tracer.export.protobuf import delimited, fixed64, key_value, utf8
from honeyhive.utils.guard import guard

__all__ = ["MARKER", "by_official_encoder", "without_attributes"]

MARKER: Final = "honeyhive.encode_error"
"""Attribute that stands for all others of a span whose content could not be encoded."""

_TRACE_ID, _SPAN_ID, _PARENT_ID = b"\x0a\x10", b"\x12\x08", b"\x22\x08"
_NAME, _START, _END, _ATTRIBUTE, _LOCAL_PARENT = b"\x2a", b"\x39", b"\x41", b"\x4a", b"\x85\x01\x00\x01\x00\x00"
_MASK_64, _MASK_128 = (1 << 64) - 1, (1 << 128) - 1
_LONGEST_NAME = 256


def by_official_encoder(span: ReadableSpan, cleaner: Cleaner) -> bytes:
    """Encode a cleaned copy of *span* with the official encoder, which knows no redaction; raises as that does."""
    from opentelemetry.exporter.otlp.proto.common._internal.trace_encoder import _encode_span

    encoded: bytes = _encode_span(_cleaned(span, cleaner)).SerializeToString()
    return encoded


def without_attributes(span: ReadableSpan, reason: str, cleaner: Cleaner) -> bytes:
    """Encode what is certain of *span*, with *reason* in place of its attributes."""
    name = b"unknown"
    with guard("encode a span's name"):
        name = utf8(cleaner.text(span.name))[:_LONGEST_NAME].decode(errors="ignore").encode()
    return b"".join((_bare(span), _NAME, delimited(name), _ATTRIBUTE, delimited(key_value(MARKER, reason))))


def _cleaned(span: ReadableSpan, cleaner: Cleaner) -> ReadableSpan:
    description = span.status.description
    return ReadableSpan(
        name=cleaner.text(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=cleaner.mapping(span.attributes),
        events=[Event(cleaner.text(e.name), cleaner.mapping(e.attributes), e.timestamp) for e in span.events],
        links=[Link(link.context, cleaner.mapping(link.attributes)) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code, description and cleaner.text(description)),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _bare(span: ReadableSpan) -> bytes:
    """Ids, times and flags of a span of which nothing else can be relied on."""
    context, parent = span.get_span_context(), span.parent
    parts = [_LOCAL_PARENT]
    if context is not None:
        parts += (_TRACE_ID, (context.trace_id & _MASK_128).to_bytes(16))
        parts += (_SPAN_ID, (context.span_id & _MASK_64).to_bytes(8))
    if parent is not None:
        parts += (_PARENT_ID, (parent.span_id & _MASK_64).to_bytes(8))
    parts += (_START, fixed64((span.start_time or 0) & _MASK_64), _END, fixed64((span.end_time or 0) & _MASK_64))
    return b"".join(parts)
