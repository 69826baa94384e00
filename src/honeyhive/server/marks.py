"""What the backend itself writes into its log: what it has forgotten, and what it carries over.

::

    FORGOTTEN   {"before_ns"}: what was accepted before that moment is forgotten from here on
    CARRIED     [{"segment", "offset", "recorded_ns", "start" or "update"}, ...]: what was said of sessions and events
                that are still kept, with the place and the date it had before; the segment it was in may go

Both are facts like any other: a read model that is made anew comes to the same answers because it meets them where they
were written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from honeyhive.journal import Position
from honeyhive.server import jsontext

__all__ = ["LogKind", "Saying", "before_of", "carried", "forgotten", "sayings_of"]


class LogKind(IntEnum):
    """The kinds of records that no sender can send; those of `honeyhive.models.wire.RecordKind` are below."""

    FORGOTTEN = 0x100
    CARRIED = 0x101


class Saying(NamedTuple):
    """The start of a session, or an update of an event or a session."""

    position: Position
    """Where it was accepted."""
    recorded_ns: int
    """When it was."""
    is_start: bool
    body: Mapping[str, object]
    """The session as an event, or what an update adds, with the id of its event."""


def forgotten(before_ns: int) -> bytes:
    """Return the payload that says what is forgotten."""
    return jsontext.dumps({"before_ns": before_ns})


def before_of(payload: bytes) -> int:
    """Read back what `forgotten` wrote.

    Raises:
        ValueError: It did not write that.
    """
    value = jsontext.loads(payload)
    before_ns = value.get("before_ns") if isinstance(value, dict) else None
    if not isinstance(before_ns, int):
        raise ValueError("a record of what is forgotten names no moment")
    return before_ns


def carried(sayings: Sequence[Saying]) -> bytes:
    """Return the payload that carries *sayings* over."""
    return jsontext.dumps(
        [
            {
                "segment": saying.position.segment,
                "offset": saying.position.offset,
                "recorded_ns": saying.recorded_ns,
                "start" if saying.is_start else "update": saying.body,
            }
            for saying in sayings
        ]
    )


def sayings_of(payload: bytes) -> list[Saying]:
    """Read back what `carried` wrote.

    Raises:
        ValueError: It did not write that.
    """
    value = jsontext.loads(payload)
    if not isinstance(value, list):
        raise ValueError("a record of what is carried over is no list")
    return [_saying(each) for each in value]


def _saying(value: object) -> Saying:
    try:
        fields = dict(value)  # type: ignore[call-overload] # what has no items is caught
        body = fields["start"] if "start" in fields else fields["update"]
        position = Position(str(fields["segment"]), int(fields["offset"]))
        return Saying(position, int(fields["recorded_ns"]), "start" in fields, dict(body))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("a record of what is carried over is not complete") from error
