"""What ``PUT /events`` adds to an event, and how it is merged in; the event may come after its update, or come again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from honeyhive.journal import Position
from honeyhive.models.conventions import BUCKETS
from honeyhive.server import jsontext
from honeyhive.server.records.figures import figures_of
from honeyhive.server.records.rows import Row
from honeyhive.server.stores.interface import Connection
from honeyhive.server.stores.statements import found

__all__ = ["Amendment", "amended", "known_amendments", "merge", "nanoseconds"]

_LARGEST: Final = 2**63 - 1
_PLAIN_FIELDS: Final = ("duration", "end_time", "error")
_KNOWN: Final = "SELECT event_id, fields FROM amendments WHERE event_id IN {keys} ORDER BY event_id, position"

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Amendment:
    """What one ``PUT /events`` adds to an event, which may be a session."""

    event_id: str
    position: Position
    fields: Mapping[str, object]


def known_amendments(connection: Connection, event_ids: Iterable[str]) -> dict[str, list[Json]]:
    """Return what has been added to each of *event_ids*, oldest first; those without are left out."""
    known: dict[str, list[Json]] = {}
    for event_id, text in found(connection, _KNOWN, [(event_id,) for event_id in event_ids]):
        known.setdefault(event_id, []).append(jsontext.object_of(text))
    return known


def amended(row: Row, amendments: Sequence[Mapping[str, object]]) -> Row:
    """Return *row* with *amendments* merged in, and with the figures that follow from them."""
    if not amendments:
        return row
    event: Json = dict(row.details)
    for amendment in amendments:
        if amendment.get("duration") is not None and amendment.get("end_time") is None:
            event.pop("end_time", None)  # each update counts over those before it, also where they come together
        merge(event, amendment)
    figures = figures_of(event)
    end_ns = nanoseconds(event.pop("end_time", None))
    duration = event.pop("duration", None)
    if end_ns is None and isinstance(duration, int | float):
        end_ns = row.start_ns + max(0, round(duration * 1_000_000))
    error = event.pop("error", None)
    return replace(
        row,
        end_ns=row.end_ns if end_ns is None else min(end_ns, _LARGEST),
        error=error if isinstance(error, str) and error else row.error,
        model=figures.model or row.model,
        tokens_in=row.tokens_in if figures.tokens_in is None else figures.tokens_in,
        tokens_out=row.tokens_out if figures.tokens_out is None else figures.tokens_out,
        cost=row.cost if figures.cost is None else figures.cost,
        details=event,
    )


def merge(event: Json, fields: Mapping[str, object]) -> None:
    """Add *fields* of an update to *event*: into its buckets, and over its plain fields."""
    for name in BUCKETS:
        added, present = fields.get(name), event.get(name)
        if isinstance(added, Mapping):
            event[name] = {**(present if isinstance(present, Mapping) else {}), **added}
    event.update({name: fields[name] for name in _PLAIN_FIELDS if fields.get(name) is not None})


def nanoseconds(milliseconds: object) -> int | None:
    """Return *milliseconds* in nanoseconds if they are a time that a database can hold."""
    if isinstance(milliseconds, int | float) and 0 < milliseconds < _LARGEST / 1_000_000:
        return round(milliseconds * 1_000_000)
    return None
