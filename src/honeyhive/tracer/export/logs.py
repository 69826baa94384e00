"""Log records as OTLP: what is taken of one when it is written, and its bytes, made on the export thread.

As with spans, values are cut first and redacted second. Requests are concatenable.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from honeyhive.tracer.export.protobuf import any_value, delimited, fixed64, key_value, utf8, varint
from honeyhive.utils.capture import captured_bytes
from honeyhive.utils.render import render

if TYPE_CHECKING:
    from honeyhive.utils.redact import Redactor

__all__ = ["LogEntry", "encode_logs"]

_RESOURCE_LOGS, _RESOURCE, _SCOPE_LOGS, _SCOPE, _RECORD = b"\x0a", b"\x0a", b"\x12", b"\x0a", b"\x12"
_RESOURCE_ATTRIBUTE, _SCOPE_NAME = b"\x0a", b"\x0a"
_TIME, _SEVERITY, _SEVERITY_TEXT, _BODY, _ATTRIBUTE = b"\x09", b"\x10", b"\x1a", b"\x2a", b"\x32"
_FLAGS, _TRACE_ID, _SPAN_ID, _OBSERVED = b"\x45", b"\x4a\x10", b"\x52\x08", b"\x59"
_fixed32: Final = struct.Struct("<I").pack
_BARE_BYTES: Final = 400


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One log record, taken when it was written."""

    logger: str
    time_ns: int
    severity: int
    """OpenTelemetry's number: 1 to 24."""
    level: str
    body: object
    """The message, captured."""
    attributes: Mapping[str, object]
    """Captured values."""
    trace_id: int = 0
    span_id: int = 0
    flags: int = 0

    @property
    def weight(self) -> int:
        """The bytes of memory it is estimated to take."""
        return _BARE_BYTES + captured_bytes(self.body) + sum(map(captured_bytes, self.attributes.values()))


def encode_logs(entries: Iterable[LogEntry], resource: Mapping[str, object], redactor: Redactor | None = None) -> bytes:
    """Encode *entries* as one ``ExportLogsServiceRequest``, grouped by logger.

    Args:
        entries: In the order in which they were written.
        resource: Attributes of who wrote them.
        redactor: Sees every name, message and value before it is written.
    """
    groups: dict[str, list[bytes]] = {}
    for entry in entries:
        groups.setdefault(entry.logger, []).append(_RECORD + delimited(_record(entry, redactor)))
    scopes = [
        _SCOPE_LOGS + delimited(_SCOPE + delimited(_SCOPE_NAME + _string(logger, redactor)) + b"".join(records))
        for logger, records in groups.items()
    ]
    owner = delimited(b"".join(_pairs(_RESOURCE_ATTRIBUTE, resource, redactor)))
    return _RESOURCE_LOGS + delimited(b"".join((_RESOURCE, owner, *scopes)))


def _record(entry: LogEntry, redactor: Redactor | None) -> bytes:
    body = render(entry.body)
    if redactor is not None:
        body = redactor.attribute("body", body)
    parts = [
        _TIME + fixed64(entry.time_ns),
        _SEVERITY + varint(entry.severity),
        _SEVERITY_TEXT + _string(entry.level, redactor),
        _BODY + delimited(any_value(body)),
        *_pairs(_ATTRIBUTE, {key: render(value) for key, value in entry.attributes.items()}, redactor),
        _OBSERVED + fixed64(entry.time_ns),
    ]
    if entry.trace_id and entry.span_id:
        parts += (_TRACE_ID, entry.trace_id.to_bytes(16), _SPAN_ID, entry.span_id.to_bytes(8))
        parts += (_FLAGS, _fixed32(entry.flags))
    return b"".join(parts)


def _pairs(tag: bytes, attributes: Mapping[str, object], redactor: Redactor | None) -> Sequence[bytes]:
    if redactor is None:
        return [tag + delimited(key_value(key, value)) for key, value in attributes.items()]
    return [
        tag + delimited(key_value(redactor.text(key), redactor.attribute(key, value)))
        for key, value in attributes.items()
    ]


def _string(text: str, redactor: Redactor | None) -> bytes:
    return delimited(utf8(text if redactor is None else redactor.text(text)))
