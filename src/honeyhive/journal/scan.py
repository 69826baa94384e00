"""Finding the records in the bytes of a segment, whatever state they are in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

from honeyhive.journal.files import Files
from honeyhive.journal.records import HEADER_BYTES, MAGIC, Header, unpack_header

__all__ = ["Found", "Gap", "Scanner"]


class Found(NamedTuple):
    """A record whose header is intact and whose payload lies within the file."""

    start: int
    end: int
    header: Header


class Gap(NamedTuple):
    """Bytes that are no record."""

    start: int
    end: int
    torn: bool
    """A record whose write never returned: expected after a crash, and no damage."""


class Scanner:
    """Reads one segment, through a window, up to *end*; not thread-safe.

    Args:
        files: The file layer.
        fd: The open segment; its own offset is not used.
        end: Bytes to look at; what lies behind is not read.
        window_bytes: How much to read at a time; small when only headers are wanted.
    """

    def __init__(self, files: Files, fd: int, end: int, *, window_bytes: int) -> None:
        self._files = files
        self._fd = fd
        self._end = end
        self._window_bytes = window_bytes
        self._window = b""
        self._window_start = 0

    def walk(self, offset: int) -> Iterator[Found | Gap]:
        """Yield what lies between *offset* and the end, in order, without a hole.

        Only headers are proved; `payload` proves the rest.
        """
        while offset < self._end:
            header = unpack_header(self.take(offset, HEADER_BYTES), offset)
            if header is None:
                step: Found | Gap = self._gap(offset)
            elif offset + HEADER_BYTES + header.length > self._end:
                step = Gap(offset, self._end, torn=True)
            else:
                step = Found(offset, offset + HEADER_BYTES + header.length, header)
            yield step
            offset = step.end

    def payload(self, found: Found) -> bytes | None:
        """The payload of *found*; ``None`` when it is damaged."""
        payload = self.take(found.start + HEADER_BYTES, found.header.length)
        whole = len(payload) == found.header.length and crc32(payload) == found.header.payload_crc
        return payload if whole else None

    def take(self, offset: int, size: int) -> bytes:
        """The *size* bytes at *offset*, fewer at the end."""
        size = min(size, self._end - offset)
        start = offset - self._window_start
        if start < 0 or start + size > len(self._window):
            length = min(max(size, self._window_bytes), self._end - offset)
            self._window = self._files.pread(self._fd, length, offset)
            self._window_start, start = offset, 0
        return self._window[start : start + size]

    def _gap(self, offset: int) -> Gap:
        following = self._next_header(offset + 1)
        if following is not None:
            return Gap(offset, following, torn=False)
        return Gap(offset, self._end, torn=self._end - offset < HEADER_BYTES or self._only_zeros(offset))

    def _next_header(self, offset: int) -> int | None:
        while offset + HEADER_BYTES <= self._end:
            chunk = self.take(offset, self._window_bytes)
            found = chunk.find(MAGIC)
            if found < 0:
                if len(chunk) < len(MAGIC):
                    return None
                offset += len(chunk) - len(MAGIC) + 1
                continue
            offset += found
            if unpack_header(self.take(offset, HEADER_BYTES), offset) is not None:
                return offset
            offset += 1
        return None

    def _only_zeros(self, offset: int) -> bool:
        """Whether the rest is what a file system leaves of a write that a loss of power cut short."""
        while offset < self._end:
            chunk = self.take(offset, self._window_bytes)
            if not chunk or chunk.strip(b"\0"):
                return False
            offset += len(chunk)
        return True
