"""Messages as the events of the ``cloudevents`` package, to exchange them with programs that know nothing of us.

On buses and in stores messages already are CloudEvents 1.0, written by `MessageCodec`. What is here is for the borders of
a program: hand the event to one of the package's bindings, or make a message of what a binding has read. Needs the extra
``events``. Source: CloudEvents 1.0.2, with its extension for distributed tracing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from honeyhive.events.codec import MessageCodec, is_json
from honeyhive.events.messages import Message
from honeyhive.exceptions import ConfigurationError, MessageFormatError

if TYPE_CHECKING:
    from cloudevents.core.base import BaseCloudEvent
    from cloudevents.core.v1.event import CloudEvent

__all__ = ["from_cloudevent", "to_cloudevent"]

_SPECVERSION = "1.0"
_codec = MessageCodec()


def to_cloudevent(message: Message, *, codec: MessageCodec = _codec) -> CloudEvent:
    """Return *message* as an event of the ``cloudevents`` package.

    Raises:
        MessageFormatError: A field cannot be written, or an extension has a name that CloudEvents does not allow.
        ConfigurationError: The package is not installed.
    """
    try:
        from cloudevents.core.exceptions import CloudEventValidationError
        from cloudevents.core.v1.event import CloudEvent
    except ImportError as error:
        raise ConfigurationError("cloudevents is missing. Run: pip install 'honeyhive[events]'") from error

    attributes = codec.to_record(message)
    attributes.pop("data_base64", None)
    data = attributes.pop("data", None)
    if isinstance(getattr(message, "data", None), bytes):
        data = message.data  # type: ignore[attr-defined] # of an UnknownMessage
    try:
        return CloudEvent({**attributes, "time": message.time}, data)
    except CloudEventValidationError as error:
        problems = ", ".join(sorted(error.errors))
        raise MessageFormatError(f"{type(message).__name__} makes no CloudEvent; look at: {problems}") from error


def from_cloudevent(event: BaseCloudEvent, *, codec: MessageCodec = _codec) -> Message:
    """Return the message that *event*, an event of the ``cloudevents`` package, is.

    A type that no class here is called after, or content that is no JSON, becomes an `UnknownMessage`.

    Raises:
        MessageFormatError: Its version is not 1.0, or its content does not fit the class.
    """
    attributes = event.get_attributes()
    if (version := attributes.get("specversion")) != _SPECVERSION:
        raise MessageFormatError(f"what came is a CloudEvent {version}; convert it to {_SPECVERSION} first")
    return codec.from_record({**_texts(attributes), **_data(event.get_data(), attributes.get("datacontenttype"))})


def _texts(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return *attributes* with times as texts, the form that they travel in."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in attributes.items()
        if value is not None
    }


def _data(data: object, content_type: str | None) -> dict[str, Any]:
    """Return *data* as a record holds it; some bindings leave JSON in its bytes."""
    if data is None:
        return {}
    if not isinstance(data, bytes | bytearray):
        return {"data": data}
    if is_json(content_type):
        return {"data": _read(bytes(data))}
    return {"data_base64": base64.b64encode(data).decode()}


def _read(document: bytes) -> object:
    from pydantic_core import from_json

    try:
        return from_json(document)
    except ValueError as error:
        raise MessageFormatError(f"what came says that it is JSON, and is not: {error}") from error
