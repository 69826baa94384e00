"""How an event lies in a store: as the JSON of its CloudEvent, with the version of its content."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, cast

from honeyhive.events.codec import MessageCodec
from honeyhive.events.messages import Event
from honeyhive.events.upcasting import Stored, Upcasters, schema_version
from honeyhive.exceptions import UpcastError

__all__ = ["Documents"]

_VERSION: Final = "schemaversion"
_logger = logging.getLogger("honeyhive.events")


class Documents:
    """Writes events as documents, and reads documents as the events they are today. Thread-safe.

    Args:
        codec: Knows the classes.
        upcasters: Know the old versions.
    """

    def __init__(self, codec: MessageCodec | None = None, upcasters: Upcasters | None = None) -> None:
        self._codec = codec or MessageCodec()
        self._upcasters = upcasters or Upcasters()
        self._reported: set[str] = set()

    def write(self, event: Event) -> bytes:
        """Return *event* as one line of JSON.

        Raises:
            MessageFormatError: A field holds what could not be read again.
        """
        version = schema_version(type(event))
        return self._codec.encode(event) if version == 1 else self._codec.encode(event, attributes={_VERSION: version})

    def read(self, document: bytes | str) -> tuple[Event, ...]:
        """Return the events that *document* is today: one, unless an upcaster splits or drops it.

        One whose class is not loaded comes as `UnknownMessage`; each such type is reported once.

        Raises:
            MessageFormatError: It does not fit the class.
            UpcastError: It is of an old version, and no upcaster leads to the present one.
        """
        from pydantic_core import from_json

        record: dict[str, Any] = from_json(document)
        stored = Stored(record["type"], record.pop(_VERSION, 1), record.get("data") or {})
        found = self._upcasters.apply(stored)
        if found == [stored]:
            return (self._restored(record, stored),)
        return tuple(self._restored(_part(record, each, index), each) for index, each in enumerate(found))

    def _restored(self, record: Mapping[str, Any], stored: Stored) -> Event:
        kind = self._codec.class_of(record)
        if kind is None:
            self._report(stored.type)
        elif stored.version < (present := schema_version(kind)):
            raise UpcastError(
                f"{stored.type} is stored in version {stored.version} and declared in version {present}, and no upcaster "
                f"leads there; register one with @upcasters.step({stored.type!r}, {stored.version}, {present})"
            )
        return cast("Event", self._codec.from_record(record))

    def _report(self, type_: str) -> None:
        if type_ not in self._reported:
            self._reported.add(type_)
            _logger.warning(
                "No event class called %r is loaded; such events are kept and given out as UnknownMessage.", type_
            )


def _part(record: Mapping[str, Any], stored: Stored, index: int) -> dict[str, Any]:
    """Return the record of the *index*-th event that was made of one; its class is found anew, by the type."""
    part = {**record, "type": stored.type, "data": dict(stored.content)}
    if stored.type != record["type"]:
        part.pop("pythontype", None)
    if index:
        part["id"] = f"{record['id']}/{index}"
    return part
