"""What the backend itself writes into its log: what it has forgotten, and what it carries over.

::

    FORGOTTEN   {"before_ns", "starts", "updates"}: what was accepted before that moment is forgotten from here on,
                and of what was said of sessions and events these: of each its id and its place
    CARRIED     [{"segment", "offset", "recorded_ns", "start" or "update"}, ...]: what was said of sessions and events
                that are still kept, with the place and the date it had before; the segment it was in may go

Both are facts like any other: a read model that is made anew comes to the same answers because it meets them where they
were written. It must not have to decide anything again: what a decision was founded on may be gone by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from honeyhive.journal import Position
from honeyhive.server import jsontext

__all__ = ["Forgotten", "LogKind", "Saying", "carried", "forgotten", "forgotten_of", "sayings_of"]


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

    @property
    def subject(self) -> str:
        """The id of the session or event that it is about."""
        return str(self.body["session_id" if self.is_start else "event_id"])


class Forgotten(NamedTuple):
    """What is forgotten."""

    before_ns: int
    """Spans, log records and reports that were accepted before."""
    starts: Sequence[tuple[str, Position]] = ()
    """The sessions whose starts are, and where these were accepted."""
    updates: Sequence[tuple[str, Position]] = ()
    """The events, or sessions, of which an update is, and where it was accepted."""


def forgotten(before_ns: int, sayings: Sequence[Saying] = ()) -> bytes:
    """Return the payload that says that what was accepted before *before_ns* is forgotten, and *sayings*."""
    places = [(saying, [saying.subject, saying.position.segment, saying.position.offset]) for saying in sayings]
    return jsontext.dumps(
        {
            "before_ns": before_ns,
            "starts": [place for saying, place in places if saying.is_start],
            "updates": [place for saying, place in places if not saying.is_start],
        }
    )


def forgotten_of(payload: bytes) -> Forgotten:
    """Read back what `forgotten` wrote.

    Raises:
        ValueError: It did not write that.
    """
    value = jsontext.loads(payload)
    try:
        fields = dict(value)  # type: ignore[call-overload] # what has no items is caught
        return Forgotten(int(fields["before_ns"]), _places(fields["starts"]), _places(fields["updates"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("a record of what is forgotten is not complete") from error


def _places(value: object) -> list[tuple[str, Position]]:
    return [(str(own_id), Position(str(segment), int(offset))) for own_id, segment, offset in value]  # type: ignore[attr-defined] # caught


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
