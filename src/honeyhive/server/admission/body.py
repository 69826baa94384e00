"""Reading a request body: in time, within bounds, and inflated no further than allowed."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from starlette.requests import ClientDisconnect, Request

from honeyhive.server.admission.limits import MIB, Limits, Refusal

__all__ = ["inflated", "media_type_of", "read_body"]

_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_STEP_BYTES: Final = 256 * 1024


def media_type_of(request: Request) -> str:
    """Return the content type without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, limits: Limits) -> tuple[bytes, bool]:
    """Read the body as it is on the wire.

    Returns:
        The body, and whether it is gzip.

    Raises:
        Refusal: 413 when it is too long, 415 for other codings than gzip, 408 when it does not come in time.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"", "identity", "gzip"}:
        raise Refusal(415, "The content encoding is neither gzip nor identity.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limits.body_bytes:
        raise _too_long(limits)
    try:
        async with asyncio.timeout(limits.body_s):
            return await _joined(request, limits), coding == "gzip"
    except TimeoutError:
        raise Refusal(408, f"The body did not arrive within {limits.body_s:g} seconds.") from None
    except ClientDisconnect:
        raise Refusal(400, "The body is cut short.") from None


async def _joined(request: Request, limits: Limits) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limits.body_bytes:
            raise _too_long(limits)
        parts.append(part)
    return b"".join(parts)


def inflated(body: bytes, limits: Limits) -> bytes:
    """Inflate a gzip *body*, which may have several members, counting while it grows.

    Raises:
        Refusal: 400 when it is no gzip or is cut short, 413 when it grows too big or too fast.
    """
    parts: list[bytes] = []
    size = 0
    rest = body
    while rest:
        inflater = zlib.decompressobj(_GZIP_WINDOW)
        while not inflater.eof:
            try:
                part = inflater.decompress(rest, _STEP_BYTES)
            except zlib.error:
                raise Refusal(400, "The body is not gzip.") from None
            rest = inflater.unconsumed_tail
            if not part and not rest and not inflater.eof:
                raise Refusal(400, "The gzip body is cut short.")
            size += len(part)
            _refuse_bomb(size, len(body), limits)
            parts.append(part)
        rest = inflater.unused_data
    if not parts:
        raise Refusal(400, "The body is not gzip.")
    return b"".join(parts)


def _refuse_bomb(size: int, compressed: int, limits: Limits) -> None:
    if size > limits.inflated_bytes:
        raise Refusal(413, f"The body is longer than {limits.inflated_bytes} bytes when inflated.")
    if size > MIB and size > limits.inflation_ratio * compressed:
        raise Refusal(413, f"The body inflates to more than {limits.inflation_ratio} times its size.")


def _too_long(limits: Limits) -> Refusal:
    return Refusal(413, f"The body is longer than {limits.body_bytes} bytes.")
