"""The few pieces of the protobuf wire format and of OTLP's ``AnyValue`` that we write by hand.

Building message objects only to serialise them is most of what the official
exporter costs. OTLP is small and stable, so the bytes are written directly; the
tests prove them equal to what the official encoder builds.

A field is ``tag`` then ``payload``; a *delimited* payload is preceded by its
length. Every function here returns payloads; the caller writes the tag.

::

    KeyValue    1 key, 2 AnyValue
    AnyValue    1 string, 2 bool, 3 int, 4 double, 5 ArrayValue, 6 KeyValueList, 7 bytes
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from honeyhive.utils.capture import capture
from honeyhive.utils.render import render

__all__ = [
    "DEEPEST",
    "SMALL",
    "any_value",
    "delimited",
    "double",
    "fixed64",
    "key_value",
    "name_text",
    "utf8",
    "varint",
]

DEEPEST = 24
"""Levels of nested values that are written; below, values become text.

Protobuf readers refuse messages nested deeper than 100; one level of a mapping
takes three of them, and a span's attribute starts at six.
"""

_LOWEST_INT, _HIGHEST_INT = -(1 << 63), (1 << 63) - 1
_SEVEN_BITS, _MORE = 0x7F, 0x80
_TWO_BYTES_HOLD = 1 << 14
_SMALL_ENOUGH = 4096
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_STRING, _INT, _DOUBLE, _ARRAY, _KVLIST, _BYTES = b"\x0a", b"\x18", b"\x21", b"\x2a", b"\x32", b"\x3a"
_TRUE, _FALSE = b"\x10\x01", b"\x10\x00"
_KEY, _VALUE, _ITEM = b"\x0a", b"\x12", b"\x0a"

double = struct.Struct("<d").pack
_encode = str.encode
fixed64 = struct.Struct("<Q").pack


def _spell_varint(number: int) -> bytes:
    if number < _TWO_BYTES_HOLD:
        return bytes((number & _SEVEN_BITS | _MORE, number >> 7)) if number > _SEVEN_BITS else bytes((number,))
    spelled = bytearray()
    while number > _SEVEN_BITS:
        spelled.append(number & _SEVEN_BITS | _MORE)
        number >>= 7
    spelled.append(number)
    return bytes(spelled)


SMALL: Final = tuple(map(_spell_varint, range(_SMALL_ENOUGH)))
"""The smallest numbers, spelled."""


def varint(number: int) -> bytes:
    """Spell a non-negative integer, seven bits a byte, lowest first."""
    return SMALL[number] if number < _SMALL_ENOUGH else _spell_varint(number)


def delimited(payload: bytes) -> bytes:
    """Put the length of *payload* in front of it."""
    return varint(len(payload)) + payload


def utf8(text: str) -> bytes:
    """Encode *text*; a lone surrogate, which UTF-8 cannot carry, becomes U+FFFD."""
    try:
        return _encode(text)
    except UnicodeEncodeError:
        return _encode(_LONE_SURROGATE.sub("\ufffd", str.__str__(text)))


def key_value(key: str, value: object, depth: int = 0) -> bytes:
    """The ``KeyValue`` message of one attribute, not delimited."""
    return _KEY + delimited(utf8(key)) + _VALUE + delimited(any_value(value, depth))


def any_value(value: object, depth: int = 0) -> bytes:
    """The ``AnyValue`` message of *value*, not delimited.

    Integers beyond 64 bits, values nested deeper than `DEEPEST` and objects of
    unknown types become text, so that there is no value without a message.
    """
    spell = _EXACTLY.get(type(value))
    return _any_object(value, depth) if spell is None else spell(value)


def _any_object(value: object, depth: int) -> bytes:
    """Spell containers, and subclasses of the plain types."""
    for kind, spell in _EXACTLY.items():
        if isinstance(value, kind):
            return spell(value)
    if depth < DEEPEST:
        if isinstance(value, Sequence):
            return _ARRAY + delimited(_array(value, depth + 1))
        if isinstance(value, Mapping):
            return _KVLIST + delimited(_mapping(value, depth + 1))
    return any_value(render(capture(value)))


def _nothing(_: None) -> bytes:
    return b""


def _boolean(value: bool) -> bytes:
    return _TRUE if value else _FALSE


def _string(value: str) -> bytes:
    return _STRING + delimited(utf8(value))


def _double(value: float) -> bytes:
    return _DOUBLE + double(value)


def _opaque(value: bytes) -> bytes:
    return _BYTES + delimited(bytes(value))


def _integer(value: int) -> bytes:
    if 0 <= value < _SMALL_ENOUGH:
        return _INT + SMALL[value]
    if 0 <= value <= _HIGHEST_INT:
        return _INT + _spell_varint(value)
    if _LOWEST_INT <= value < 0:
        return _INT + _spell_varint(value + (1 << 64))
    return _STRING + delimited(_digits(value))


def _digits(value: int) -> bytes:
    """Decimal digits; hexadecimal where Python refuses to make decimal ones of a huge number."""
    try:
        return _encode(int.__repr__(value))
    except ValueError:
        return _encode(hex(value))


# Booleans are integers too, so they come first.
_EXACTLY: Final[Mapping[type, Callable[[Any], bytes]]] = {
    str: _string,
    bool: _boolean,
    int: _integer,
    float: _double,
    type(None): _nothing,
    bytes: _opaque,
}


def _array(values: Sequence[object], depth: int) -> bytes:
    return b"".join([_ITEM + delimited(any_value(value, depth)) for value in values])


def _mapping(values: Mapping[object, object], depth: int) -> bytes:
    return b"".join([_ITEM + delimited(key_value(name_text(key), value, depth)) for key, value in values.items()])


def name_text(key: object) -> str:
    """*key* as text; mappings from elsewhere may have keys of any type."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, int, float, bytes)):
        return str(key)
    return str(render(capture(key)))
