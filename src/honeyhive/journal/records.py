"""The bytes of a journal: one record, one cursor entry.

A record is a header of 24 bytes, big-endian, and the payload::

    magic        4 bytes  F5 48 4A FA   (F5 and FA occur in no UTF-8 text)
    version      u16      1
    kind         u16      the caller's
    items        u32      the caller's count of what is in the payload (spans, say)
    length       u32      of the payload, in bytes
    payload crc  u32      CRC-32 of the payload
    header crc   u32      CRC-32 of the 20 bytes above, started with the record's offset in its file

The header has a checksum of its own so that damage inside a payload costs that record alone
(the length is still known), and so that the search for the next record after a damaged header
is linear in time. The offset goes into it so that bytes inside a payload that look like a
record, or blocks of a file that turn up in the wrong place, are not taken for one.

A cursor entry of a ``.ack`` file is 16 bytes: magic ``F5 48 41 FA``, the u64 offset up to
which its segment is acknowledged, and the CRC-32 of these 12 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

__all__ = [
    "CURSOR_BYTES",
    "HEADER_BYTES",
    "MAGIC",
    "Draft",
    "Header",
    "Position",
    "Record",
    "last_cursor",
    "pack_cursor",
    "pack_header",
    "unpack_header",
]

MAGIC = b"\xf5HJ\xfa"
_VERSION = 1
_FIELDS = struct.Struct(">4sHHIII")
_CHECKSUM = struct.Struct(">I")
HEADER_BYTES = _FIELDS.size + _CHECKSUM.size

_CURSOR_MAGIC = b"\xf5HA\xfa"
_CURSOR_FIELDS = struct.Struct(">4sQ")
CURSOR_BYTES = _CURSOR_FIELDS.size + _CHECKSUM.size
_AT_ONCE = 5 * 1024
_SOON_READ = 64 * 1024


class Position(NamedTuple):
    """Where a record is. Positions of one journal order as its records were appended."""

    segment: str
    """Name of the segment, without folder and suffix."""
    offset: int
    """Of the record's first byte within the segment."""


class Draft(NamedTuple):
    """A record to be appended."""

    kind: int
    """0 to 65,535."""
    payload: bytes
    items: int = 1


class Record(NamedTuple):
    """A record as read back, whole and with its checksum proved."""

    kind: int
    items: int
    payload: bytes
    position: Position
    end: int
    """Offset of the first byte after the record."""


class Header(NamedTuple):
    """What the header of a record says."""

    kind: int
    items: int
    length: int
    payload_crc: int


def pack_header(draft: Draft, offset: int) -> bytes:
    """The header of *draft* for a record that begins at *offset* of its segment.

    Raises:
        ValueError: A number of *draft* does not fit its field.
    """
    kind, payload, items = draft
    try:
        fields = _FIELDS.pack(MAGIC, _VERSION, kind, items, len(payload), _checksum(payload))
    except struct.error as error:
        raise ValueError(f"a record cannot hold kind {kind}, {items} items, {len(payload)} bytes: {error}") from error
    return fields + _CHECKSUM.pack(crc32(fields, offset & 0xFFFFFFFF))


def _checksum(payload: bytes) -> int:
    """Return the CRC-32 of *payload*, without giving up the interpreter for one that takes microseconds.

    For more than 5 KiB at once zlib gives it up, and getting it back from a busy program can take milliseconds.
    """
    if not _AT_ONCE < len(payload) <= _SOON_READ:
        return crc32(payload)
    checksum, parts = 0, memoryview(payload)
    for start in range(0, len(payload), _AT_ONCE):
        checksum = crc32(parts[start : start + _AT_ONCE], checksum)
    return checksum


def unpack_header(data: bytes, offset: int) -> Header | None:
    """The header in *data*, which was read at *offset*; ``None`` when it is not a whole one."""
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        return None
    fields = data[: _FIELDS.size]
    if crc32(fields, offset & 0xFFFFFFFF) != _CHECKSUM.unpack_from(data, _FIELDS.size)[0]:
        return None
    _, version, kind, items, length, payload_crc = _FIELDS.unpack(fields)
    return Header(kind, items, length, payload_crc) if version == _VERSION else None


def pack_cursor(offset: int) -> bytes:
    """The cursor entry "acknowledged up to *offset*"."""
    fields = _CURSOR_FIELDS.pack(_CURSOR_MAGIC, offset)
    return fields + _CHECKSUM.pack(crc32(fields))


def last_cursor(data: bytes) -> int:
    """The offset in the last whole entry of a ``.ack`` file; 0 when there is none."""
    start = data.rfind(_CURSOR_MAGIC)
    while start >= 0:
        offset = _cursor_at(data, start)
        if offset is not None:
            return offset
        start = data.rfind(_CURSOR_MAGIC, 0, start + len(_CURSOR_MAGIC) - 1)
    return 0


def _cursor_at(data: bytes, start: int) -> int | None:
    fields = data[start : start + _CURSOR_FIELDS.size]
    checksum = data[start + _CURSOR_FIELDS.size : start + CURSOR_BYTES]
    if len(checksum) < _CHECKSUM.size or _CHECKSUM.unpack(checksum)[0] != crc32(fields):
        return None
    offset: int = _CURSOR_FIELDS.unpack(fields)[1]
    return offset


def pack_all(drafts: Sequence[Draft], offset: int) -> tuple[list[bytes], list[int]]:
    """The byte strings of *drafts* laid out from *offset*, and where each record ends."""
    parts: list[bytes] = []
    ends: list[int] = []
    for draft in drafts:
        parts += (pack_header(draft, offset), draft.payload)
        offset += HEADER_BYTES + len(draft.payload)
        ends.append(offset)
    return parts, ends
