"""From a captured value to what an attribute can hold: a scalar, or one strict JSON text.

Runs on the export thread. JSON is written by orjson where that is installed and by the standard library otherwise;
either way the text is valid UTF-8, has no ``NaN``, and is no longer than the limit.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Final, cast

from honeyhive.utils.capture import DEFAULT_LIMITS, CaptureLimits, CutText, bounded_copy
from honeyhive.utils.shapes import Scalar, exceeded, float_text

__all__ = ["json_text", "render", "render_utf8", "tree"]

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
_HASHED_BYTES: Final = 1 << 20
_MARKER_BYTES: Final = 160


def render(captured: object, limits: CaptureLimits = DEFAULT_LIMITS) -> Scalar:
    """Return a captured value in the form of an attribute.

    Args:
        captured: What `honeyhive.utils.capture.capture` returned.
        limits: ``max_bytes`` bounds the text in UTF-8.

    Returns:
        ``None``, truth values, finite floats and integers of 64 bits as they are; text, cut if it is too long, with its
        length and the SHA-256 of its first MiB; any other number as text; containers as JSON text.
    """
    kind = type(captured)
    if kind is str:
        return _fitting_text(captured, len(captured), limits.max_bytes)  # type: ignore[arg-type]
    if captured is None or kind is bool:
        return cast("bool | None", captured)
    if kind is int:
        return captured if _INT64_MIN <= captured <= _INT64_MAX else str(captured)  # type: ignore[operator, return-value]
    if kind is float:
        return captured if captured - captured == 0.0 else float_text(captured)  # type: ignore[operator, arg-type, return-value]
    if isinstance(captured, CutText):
        return _fitting_text(captured.text, captured.length, limits.max_bytes)
    return json_text(tree(captured), limits)


def render_utf8(captured: object, limits: CaptureLimits = DEFAULT_LIMITS) -> bytes | Scalar:
    """Return what `render` returns, but containers as the bytes of their JSON text: who sends them needs no text."""
    if type(captured) is bytes:
        return _json(marshal.loads(captured), limits)  # noqa: S302 - as in tree
    if type(captured) is list or type(captured) is dict:
        return _json(captured, limits)
    return render(captured, limits)


def tree(captured: object) -> object:
    """Return a captured value as plain data: scalars, lists, tuples, and dictionaries with text keys."""
    if isinstance(captured, bytes):
        return marshal.loads(captured)  # noqa: S302 - a snapshot is made by capture, in this process
    return captured.text if isinstance(captured, CutText) else captured


def json_text(plain: object, limits: CaptureLimits = DEFAULT_LIMITS) -> str:
    """Return plain data, as `tree` gives it, as one strict JSON text within ``limits.max_bytes``.

    What does not fit is cut where it stands, so that the text remains JSON.
    """
    return _json(plain, limits).decode()


def _json(plain: object, limits: CaptureLimits) -> bytes:
    text = _write_json(plain)
    size = len(text)
    if size <= limits.max_bytes:
        return text
    # The budget of a copy counts characters; this text has more bytes than that, so fewer characters may pass.
    fewer = replace(limits, max_bytes=limits.max_bytes * limits.max_bytes * 3 // (size * 4))
    shorter = _write_json(bounded_copy(plain, fewer))
    return shorter if len(shorter) <= limits.max_bytes else _write_json(exceeded(f"{size} bytes of JSON"))


def _write_json(plain: object) -> bytes:
    fast = _orjson_dumps()
    if fast is not None:
        try:
            return fast(plain)
        except (TypeError, ValueError):
            # Lone surrogates and integers beyond 64 bits: valid Python, beyond orjson.
            pass
    text = _encoder()(plain)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _without_surrogates(text).encode()


@cache
def _orjson_dumps() -> Callable[[object], bytes] | None:
    try:
        import orjson
    except ImportError:
        return None
    return orjson.dumps


@cache
def _encoder() -> Callable[[object], str]:
    """Return one encoder for all texts; ``json.dumps`` would build it anew for each."""
    settings = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    build = getattr(json.encoder, "c_make_encoder", None)
    if build is None:
        return settings.encode
    escape = json.encoder.encode_basestring
    write = build(None, settings.default, escape, None, ":", ",", False, False, False)
    return lambda plain: "".join(write(plain, 0))


def _without_surrogates(text: str) -> str:
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _fitting_text(text: str, length: int, max_bytes: int) -> str:
    text = _without_surrogates(text)
    if length == len(text) and _utf8_size(text) <= max_bytes:
        return text
    import hashlib

    encoded = text.encode()
    digest = hashlib.sha256(encoded[:_HASHED_BYTES]).hexdigest()
    kept = encoded[: max(0, max_bytes - _MARKER_BYTES)].decode(errors="ignore")
    marker = exceeded(f"{length} characters, sha256 {digest}")
    return f"{kept}{marker}"


def _utf8_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
