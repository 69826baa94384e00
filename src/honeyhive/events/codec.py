"""How messages are written and read: as JSON, in the format that CloudEvents lays down.

Reading restores the class and the types its fields are annotated with. What no class here is called after becomes an
`UnknownMessage` and is written again as it came.
"""

from __future__ import annotations

import base64
import inspect
import sys
import weakref
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from honeyhive.events.catalogue import Catalogue, declared_types, python_name
from honeyhive.events.lineage import CARRIED, NO_TRACE
from honeyhive.events.messages import Message, UnknownMessage, content_names, restore
from honeyhive.exceptions import MessageFormatError
from honeyhive.utils.frozen import FrozenDict, immutable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["MessageCodec", "decode", "encode", "is_json", "legible"]

_JSON = "application/json"
_NOTHING: FrozenDict[str, Any] = FrozenDict()
_OWN = frozenset({"correlationid", "causationid", "partitionkey", "pythontype", *CARRIED})
_ATTRIBUTES = frozenset({"specversion", "id", "source", "type", "subject", "time", "data", "data_base64"})


class MessageCodec:
    """Turns messages into CloudEvents and back. Has no state but what it knows of classes; safe to share.

    A *record* is a CloudEvent as a dict that JSON can hold: its attributes, and under ``data`` what the message says.

    Args:
        types: The classes that may be restored; all that are loaded by default.
    """

    def __init__(self, types: Catalogue = declared_types) -> None:
        self._types = types

    def encode(
        self,
        message: Message,
        *,
        trace_context: Mapping[str, str] | None = None,
        attributes: Mapping[str, str | int] | None = None,
    ) -> bytes:
        """Return *message* as the JSON of a CloudEvent.

        Args:
            message: The message.
            trace_context: The W3C headers that are to travel with it, instead of those it was made with.
            attributes: Further attributes of the CloudEvent.

        Raises:
            MessageFormatError: A field holds what could not be read again; says which.
        """
        content = None if isinstance(message, UnknownMessage) else _Content.of(type(message))
        head = self._head(message)
        if trace_context is not None:
            for name in message.trace_context:
                del head[name]
            head.update(trace_context)
        if attributes is not None:
            head.update(attributes)
        if content is None:
            return _json_of({**head, **_foreign_data(cast("UnknownMessage", message).data)})
        # The content is text already, and not put together again just to become the same text.
        return b"".join((content.to_json(head, inf_nan_mode="strings")[:-1], b',"data":', content.write(message), b"}"))

    def decode(self, document: bytes | str) -> Message:
        """Return the message that *document*, the JSON of a CloudEvent, is.

        Raises:
            MessageFormatError: It is no CloudEvent, or its content does not fit the class.
        """
        from pydantic_core import from_json

        try:
            record = from_json(document)
        except ValueError as error:
            raise MessageFormatError(f"what came is no JSON: {error}") from error
        if not isinstance(record, dict):
            raise MessageFormatError(f"what came is a JSON {type(record).__name__}, and a CloudEvent is an object")
        return self.from_record(record)

    def to_record(self, message: Message) -> dict[str, Any]:
        """Return *message* as a dict of plain values.

        Raises:
            MessageFormatError: A field holds what could not be read again; says which.
        """
        if isinstance(message, UnknownMessage):
            return {**self._head(message), **_foreign_data(message.data)}
        content: dict[str, Any] = _plain_of(_Content.of(type(message)).write(message))
        return {**self._head(message), "data": content}

    def from_record(self, record: Mapping[str, Any]) -> Message:
        """Return the message that *record* is.

        Raises:
            MessageFormatError: It is no CloudEvent, or its content does not fit the class.
        """
        found = self.class_of(record)
        envelope = _envelope(record)
        if found is None:
            return _unknown(_text(record, "type"), envelope, record)
        return restore(found, envelope, _Content.of(found).load(record.get("data") or {}))

    def class_of(self, record: Mapping[str, Any]) -> type[Message] | None:
        """Return the class that *record* becomes, or ``None`` where there is none for it.

        Raises:
            MessageFormatError: It is no CloudEvent, or several classes have that name.
        """
        found = self._types.find(_text(record, "type"), record.get("pythontype"))
        return found if is_json(record.get("datacontenttype")) else None

    def _head(self, message: Message) -> dict[str, Any]:
        """Return the record of *message* without what it says."""
        head: dict[str, Any] = {
            "specversion": "1.0",
            "id": message.id,
            "source": message.source,
            "type": message.type,
            "time": message.time.isoformat().replace("+00:00", "Z"),
        }
        if message.subject:
            head["subject"] = message.subject
        if message.correlation_id != message.id:
            head["correlationid"] = message.correlation_id
        if message.causation_id:
            head["causationid"] = message.causation_id
        if (key := message.key) and key != message.subject:
            head["partitionkey"] = key
        if message.trace_context:
            head.update(message.trace_context)
        if message.extensions:
            head.update(message.extensions)
        if isinstance(message, UnknownMessage):
            head.update(message.attributes)
        else:
            head["pythontype"] = python_name(type(message))
            head["datacontenttype"] = _JSON
        return head


_codec = MessageCodec()


def encode(message: Message) -> bytes:
    """Return *message* as the JSON of a CloudEvent; see `MessageCodec.encode`."""
    return _codec.encode(message)


def decode(document: bytes | str) -> Message:
    """Return the message that the JSON of a CloudEvent is; see `MessageCodec.decode`."""
    return _codec.decode(document)


def legible(document: bytes | str) -> dict[str, str]:
    """Return the attributes that can be read of what is perhaps no CloudEvent; none where it is no JSON object."""
    from pydantic_core import from_json

    try:
        record = from_json(document)
    except ValueError:
        return {}
    if not isinstance(record, dict):
        return {}
    return {name: value for name, value in record.items() if isinstance(value, str) and value}


class _Content:
    """What the fields of one message class say, between Python and JSON.

    The fields' annotations decide what is restored: a ``datetime`` stays one, where ``object`` would make it a text.
    """

    def __init__(self, message_type: type[Message]) -> None:
        self._name = message_type.__name__
        self._names = content_names(message_type)
        self._adapter = _adapter(message_type, self._names)
        from pydantic import ValidationError
        from pydantic_core import PydanticSerializationError, to_json

        # Looked up once: an import statement costs as much as writing the content does.
        self.to_json = to_json
        self._refusals = (PydanticSerializationError, TypeError)
        self._misfit = ValidationError

    @classmethod
    def of(cls, message_type: type[Message]) -> _Content:
        """Return what reads and writes *message_type*, made once."""
        known = _contents.get(message_type)
        if known is None:
            known = _contents[message_type] = cls(message_type)
        return known

    def write(self, message: Message) -> bytes:
        """Return the content as JSON; proves that it can be read again, before it is sent or kept."""
        document = self._written({name: getattr(message, name) for name in self._names})
        self._read(document)
        return document

    def load(self, content: object) -> dict[str, Any]:
        """Return the values of the fields; names that the class does not have are left out."""
        return self._read(self._written(content))

    def _written(self, values: object) -> bytes:
        try:
            return self.to_json(values, fallback=_plain, bytes_mode="base64", inf_nan_mode="strings")
        except self._refusals as error:
            raise MessageFormatError(f"{self._name} cannot be written as JSON: {error}") from error

    def _read(self, document: bytes) -> dict[str, Any]:
        try:
            return self._adapter.validate_json(document)
        except self._misfit as error:
            problem = error.errors(include_url=False)[0]
            place = ".".join(map(str, (self._name, *problem["loc"])))
            raise MessageFormatError(f"{place}: {problem['msg']}, not {problem['input']!r:.100}") from error


_contents: weakref.WeakKeyDictionary[type[Message], _Content] = weakref.WeakKeyDictionary()


def _adapter(message_type: type[Message], names: tuple[str, ...]) -> TypeAdapter[dict[str, Any]]:
    """Return what reads the content of *message_type* from JSON."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter
    from typing_extensions import TypedDict  # pydantic refuses the standard library's before Python 3.12

    hints = _hints(message_type)
    declare: Any = TypedDict  # a type checker wants the fields in the source
    shape = declare(message_type.__name__, {name: hints[name] for name in names}, total=False)
    shape.__pydantic_config__ = ConfigDict(val_json_bytes="base64")
    try:
        return TypeAdapter(shape)
    except PydanticUserError as error:
        raise MessageFormatError(
            f"the annotations of {message_type.__name__} do not say how to read it from JSON: {error.message}"
        ) from error


def _hints(message_type: type[Message]) -> dict[str, Any]:
    """Return the annotations of all fields, each evaluated in the module of the class that declares it."""
    hints: dict[str, Any] = {}
    for each in reversed(message_type.__mro__):
        scope = vars(sys.modules.get(each.__module__, sys))
        for name, hint in inspect.get_annotations(each).items():
            hints[name] = _evaluated(hint, scope, f"{message_type.__name__}.{name}")
    return hints


def _evaluated(hint: object, scope: Mapping[str, Any], place: str) -> object:
    if not isinstance(hint, str):
        return hint
    try:
        return eval(hint, dict(scope))  # noqa: S307 - an annotation of the program itself
    except NameError as error:
        raise MessageFormatError(
            f"the annotation {hint!r} of {place} names what its module does not have, and so cannot be read again; "
            "declare message classes and the types of their fields at the top of a module"
        ) from error


def _json_of(record: Mapping[str, Any]) -> bytes:
    from pydantic_core import to_json

    return to_json(record, inf_nan_mode="strings")


def _plain_of(document: bytes) -> Any:
    from pydantic_core import from_json

    return from_json(document)


def _plain(value: object) -> object:
    """Turn into plain values what pydantic does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__qualname__} has no form in JSON")


def _envelope(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the envelope that *record* has, in values that cannot change."""
    identity = _text(record, "id")
    return {
        "id": identity,
        "source": _text(record, "source"),
        "subject": record.get("subject"),
        "time": _read_time(record.get("time")),
        "correlation_id": record.get("correlationid") or identity,
        "causation_id": record.get("causationid"),
        "trace_context": FrozenDict(traced) if (traced := _chosen(record, CARRIED)) else NO_TRACE,
        "extensions": _extensions(record, others) if (others := record.keys() - _KNOWN) else _NOTHING,
    }


_KNOWN = _OWN | _ATTRIBUTES | {"datacontenttype", "dataschema"}


def _extensions(record: Mapping[str, Any], names: Iterable[str]) -> FrozenDict[str, Any]:
    found: FrozenDict[str, Any] = immutable(_chosen(record, names), "extensions")
    return found


def _chosen(record: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: record[name] for name in names if record.get(name) is not None}


def _read_time(text: object) -> datetime:
    """Return the time that *text* tells; it is optional in a CloudEvent, and then means now."""
    if text is None:
        return datetime.now(UTC)
    try:
        time = datetime.fromisoformat(cast("str", text))
    except (TypeError, ValueError) as error:
        raise MessageFormatError(f"what came is no CloudEvent: its time is {text!r:.100}") from error
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _unknown(name: str, envelope: dict[str, Any], record: Mapping[str, Any]) -> UnknownMessage:
    data = record.get("data")
    if "data_base64" in record:
        data = base64.b64decode(record["data_base64"])
    kept = {
        name: record[name]
        for name in ("datacontenttype", "dataschema", "partitionkey", "pythontype")
        if record.get(name)
    }
    return restore(UnknownMessage, envelope, {"type": name, "data": data, "attributes": kept})


def _foreign_data(data: object) -> dict[str, Any]:
    if data is None:
        return {}
    if isinstance(data, bytes):
        return {"data_base64": base64.b64encode(data).decode()}
    return {"data": _thawed(data)}


def _thawed(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _thawed(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_thawed(each) for each in value]
    return value


def is_json(content_type: str | None) -> bool:
    """Whether data of *content_type* is JSON, which it also is where nothing is said."""
    if content_type is None or content_type == _JSON:
        return True
    kind = content_type.partition(";")[0].strip().lower()
    return kind == _JSON or kind.endswith("+json")


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if isinstance(value, str) and value:
        return value
    raise MessageFormatError(f"what came is no CloudEvent: its attribute {name!r} is {value!r:.100}")
