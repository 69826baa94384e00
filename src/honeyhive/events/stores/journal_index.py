"""What is where in a store in files: kept in memory, made anew from the first lines of its records."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from honeyhive.events.store import StreamFacts
from honeyhive.journal import Position

__all__ = ["Batch", "Index"]


class Batch(NamedTuple):
    """The first line of a record: whose events follow, and which."""

    aggregate_id: str
    version: int
    """Of the first event."""
    position: int
    """Of the first event."""
    ids: Sequence[str]
    types: Sequence[str]

    def line(self) -> bytes:
        """Return it as a line of JSON."""
        return json.dumps(self._asdict(), separators=(",", ":")).encode()

    @classmethod
    def parse(cls, line: bytes) -> Batch:
        """Read what `line` has written."""
        return cls(**json.loads(line))


class Index:
    """Where the batches are, which of them belong to an aggregate, and which events there are. Not thread-safe."""

    def __init__(self) -> None:
        self.head = 0
        self._segments: list[str] = []
        self._segment_of = array("L")
        self._offsets = array("Q")
        self._positions = array("Q")
        self._versions = array("Q")
        self._streams: dict[str, array[int]] = {}
        self._facts: dict[str, tuple[int, str]] = {}
        self._digests: set[int] = set()

    def add(self, batch: Batch, place: Position) -> None:
        """Take in *batch*, which is at *place* and behind all others."""
        if not self._segments or self._segments[-1] != place.segment:
            self._segments.append(place.segment)
        number = len(self._offsets)
        self._segment_of.append(len(self._segments) - 1)
        self._offsets.append(place.offset)
        self._positions.append(batch.position)
        self._versions.append(batch.version)
        self._streams.setdefault(batch.aggregate_id, array("L")).append(number)
        self._facts[batch.aggregate_id] = (batch.version + len(batch.ids) - 1, batch.types[-1])
        self._digests.update(map(_digest, batch.ids))
        self.head = batch.position + len(batch.ids) - 1

    def version(self, aggregate_id: str) -> int:
        """Return the version of an aggregate, 0 without events."""
        return self._facts[aggregate_id][0] if aggregate_id in self._facts else 0

    def may_have(self, event_id: str) -> bool:
        """Tell whether an event is here; in one of 10^12 cases it says so of one that is not."""
        return _digest(event_id) in self._digests

    def places_of(self, aggregate_id: str, after_version: int = 0) -> list[Position]:
        """Return where the batches of an aggregate are that have events behind *after_version*."""
        batches = self._streams.get(aggregate_id, array("L"))
        first = bisect_right(batches, after_version + 1, key=self._versions.__getitem__) - 1
        return [self._place(number) for number in batches[max(first, 0) :]]

    def all_places(self) -> list[Position]:
        """Return where all batches are."""
        return [self._place(number) for number in range(len(self._offsets))]

    def place_before(self, position: int) -> Position | None:
        """Return where the batch is that comes before the one with the event at *position*."""
        number = bisect_right(self._positions, position) - 2
        return None if number < 0 else self._place(number)

    def streams(self, prefix: str) -> list[StreamFacts]:
        """Return the facts of each aggregate whose id begins with *prefix*, in order."""
        return [StreamFacts(key, *self._facts[key]) for key in sorted(self._facts) if key.startswith(prefix)]

    def _place(self, number: int) -> Position:
        return Position(self._segments[self._segment_of[number]], self._offsets[number])


def _digest(event_id: str) -> int:
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest())
