"""Attributes as OTLP ``KeyValue`` fields, with the memory that makes it cheap.

There are two ways. *Carefully*, each value is cut, redacted and spelled for itself. *Quickly*, keys and short values
that come again and again are spelled from memory, and texts are spelled as they are and put on a list: whoever encodes
many spans has one look for secrets at all texts of all of them. Where that will not do, `CareNeeded` is raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from honeyhive.tracer.export.cleaning import Cleaner
from honeyhive.tracer.export.protobuf import SMALL, any_value, delimited, double, key_value, name_text, utf8, varint
from honeyhive.utils.capture import capture

__all__ = ["CareNeeded", "PairEncoder"]

_SHORT: Final = 40
"""Characters up to which a repeated value is worth remembering in encoded form."""
_LONGEST_KEY: Final = 160
_REMEMBERED: Final = 4096
"""Keys and values remembered; when there are more, all are forgotten, which costs less than keeping order."""
_REMEMBERED_OF_ONE: Final = 256
"""Values of one key; more than that, and they are hardly repeated."""
_SMALL_ENOUGH: Final = len(SMALL)
"""Below this, a number is spelled by heart."""
_ONE_BYTE_HOLDS: Final = 128
_MOST_DIGITS: Final = len(SMALL[-1])
_INT: Final = b"\x18"
_STRING: Final = b"\x0a"
_SCALARS: Final = frozenset({int, float, bool})


class CareNeeded(Exception):  # noqa: N818 -- no error: a way that is closed
    """Something here has to be cut or redacted; nothing has been counted so far."""


class _Key:
    """What is remembered of a key: its bytes and the tag of its value, and fields of repeated values.

    What stands before a value that is not remembered is, too: of a number and of a text by how many bytes they take.
    """

    __slots__ = ("before_double", "before_int", "before_text", "false", "fields", "head", "size", "true", "trusted")

    def __init__(self, tag: bytes, head: bytes, *, trusted: bool) -> None:
        self.head = head
        self.size = len(head)
        self.trusted = trusted
        self.before_double = tag + varint(self.size + 10) + head + b"\x09\x21"
        self.true = tag + varint(self.size + 3) + head + b"\x02\x10\x01"
        self.false = tag + varint(self.size + 3) + head + b"\x02\x10\x00"
        self.before_int = tuple(
            tag + varint(self.size + digits + 2) + head + varint(digits + 1) + _INT
            for digits in range(_MOST_DIGITS + 1)
        )
        self.before_text: dict[int, bytes] = {}
        self.fields: dict[str, bytes] = {}


class _Keys(dict[str, _Key]):
    """Keys by name, each made when it is first asked for.

    Args:
        tag: Of the fields.
        cleaner: Says what may leave.
    """

    def __init__(self, tag: bytes, cleaner: Cleaner) -> None:
        super().__init__()
        self._tag = tag
        self._cleaner = cleaner
        self._remembered = 0

    def __missing__(self, key: str) -> _Key:
        head = key_value(self._cleaner.text(name_text(key)), None)[:-1]  # without the empty value's length
        is_usual = type(key) is str and len(key) <= _LONGEST_KEY
        known = _Key(self._tag, head, trusted=is_usual and self._cleaner.trusts(key))
        if is_usual:
            self.note_more()
            self[key] = known
        return known

    def note_more(self) -> None:
        """Count a key, or a part of one, that is about to be remembered."""
        self._remembered += 1
        if self._remembered > _REMEMBERED:
            self.clear()
            self._remembered = 1


class PairEncoder:
    """Encodes attributes as fields of one number. For one thread at a time.

    Args:
        tag: Of the field, of wire type 2.
        cleaner: Says what may leave.
    """

    def __init__(self, tag: bytes, cleaner: Cleaner) -> None:
        self._tag = tag
        self._cleaner = cleaner
        self._keys = _Keys(tag, cleaner)

    def add(self, parts: list[bytes], attributes: Mapping[str, object] | None, texts: list[bytes] | None) -> None:
        """Append the fields of *attributes* to *parts*.

        Args:
            parts: Where to.
            attributes: In their order.
            texts: Takes what has to be looked at before the fields may leave; without it, they may leave at once.

        Raises:
            CareNeeded: It can only be done without *texts*.
        """
        if not attributes:
            return
        if texts is None:
            parts += self.carefully(attributes)
        else:
            self._add_quickly(parts, attributes, texts)

    def add_one(self, parts: list[bytes], key: str, value: object, texts: list[bytes] | None) -> None:
        """Do the same for one attribute, whose value may be a text in UTF-8."""
        if type(value) is not bytes:
            self.add(parts, {key: value}, texts)
        elif texts is None:
            parts.append(self._field(key, value.decode()))
        else:
            known = self._keys[key]
            if not known.trusted or len(value) > self._cleaner.longest:
                raise CareNeeded
            texts.append(value)
            parts += (self._before_text(known, len(value)), value)

    def joined(self, attributes: Mapping[str, object]) -> bytes:
        """Return the fields of *attributes* in one, fit to leave: for what many spans have alike."""
        parts: list[bytes] = []
        texts: list[bytes] = []
        with suppress(CareNeeded):
            self._add_quickly(parts, attributes, texts)
            if not self._cleaner.suspects(texts):
                return b"".join(parts)
        return b"".join(self.carefully(attributes))

    # -- quickly -----------------------------------------------------------------------------

    def _add_quickly(self, parts: list[bytes], attributes: Mapping[str, object], texts: list[bytes]) -> None:
        # One loop that calls little, for it runs for every attribute of every span.
        keys, append, short, short_enough = self._keys, parts.append, _SHORT, self._cleaner.short_enough
        last, text = None, b""
        for key, value in attributes.items():
            known = keys[key]
            kind = type(value)
            if not known.trusted:
                raise CareNeeded
            if kind is str:
                if value is not last:  # the id of a message stands under several keys
                    length = len(value)  # type: ignore[arg-type]
                    if length <= short:
                        field = known.fields.get(value)  # type: ignore[call-overload]
                        if field is None and len(known.fields) < _REMEMBERED_OF_ONE:
                            field = self._short_field(known, value)  # type: ignore[arg-type]
                        if field is not None:
                            append(field)
                            continue
                    if length > short_enough:
                        raise CareNeeded
                    last, text = value, utf8(value)  # type: ignore[arg-type]
                    texts.append(text)
                before = known.before_text.get(len(text)) or self._before_text(known, len(text))
                parts += (before, text)
            elif kind is int and 0 <= value < _SMALL_ENOUGH:  # type: ignore[operator]
                number = SMALL[value]  # type: ignore[call-overload]
                parts += (known.before_int[len(number)], number)
            elif kind is float:
                parts += (known.before_double, double(value))
            else:
                append(self._quick_other(known, value, texts))

    def _short_field(self, known: _Key, value: str) -> bytes:
        """Spell and remember a text that can leave and may come again."""
        if len(value) > self._cleaner.short_enough or self._cleaner.suspects((utf8(value),)):
            raise CareNeeded
        self._keys.note_more()
        field = known.fields[value] = self._pair(known, any_value(value))
        return field

    def _before_text(self, known: _Key, length: int) -> bytes:
        """Return all of a field but the text of so many bytes; what stands before short ones is remembered."""
        spelled = _STRING + varint(length)
        size_of_body = varint(len(spelled) + length)
        size = varint(known.size + len(size_of_body) + len(spelled) + length)
        before = b"".join((self._tag, size, known.head, size_of_body, spelled))
        if length < _ONE_BYTE_HOLDS:
            self._keys.note_more()
            known.before_text[length] = before
        return before

    def _quick_other(self, known: _Key, value: object, texts: list[bytes]) -> bytes:
        """Spell a boolean, a large number, or a flat sequence of scalars, as OpenTelemetry's attributes are."""
        if type(value) is bool:
            return known.true if value else known.false
        if type(value) is int:
            return self._pair(known, any_value(value))
        if type(value) is not tuple and type(value) is not list:
            raise CareNeeded
        for item in value:
            if type(item) is str:
                texts.append(utf8(item))
            elif type(item) not in _SCALARS:
                raise CareNeeded
        body = any_value(value)
        if len(body) > self._cleaner.longest:
            raise CareNeeded
        return self._pair(known, body)

    # -- carefully -----------------------------------------------------------------------------

    def carefully(self, attributes: Mapping[str, object] | None) -> Sequence[bytes]:
        """Return the fields of *attributes*, fit to leave."""
        return [self._field(key, value) for key, value in attributes.items()] if attributes else ()

    def _field(self, key: str, value: object) -> bytes:
        if type(value) is str:
            value = self._cleaner.cut(value)
        elif type(value) not in _SCALARS:
            return self._structure(key, value)
        return self._pair(self._keys[key], any_value(self._cleaner.value(key, value)))

    def _structure(self, key: str, value: object) -> bytes:
        if len(any_value(value)) > self._cleaner.longest:
            self._cleaner.counts.truncated += 1
            return self._field(key, self._cleaner.cut_captured(capture(value)))
        return self._pair(self._keys[key], any_value(self._cleaner.value(key, value)))

    def _pair(self, known: _Key, body: bytes) -> bytes:
        return self._tag + delimited(known.head + delimited(body))
