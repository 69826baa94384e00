"""How messages are written and read: as JSON, in the format that CloudEvents lays down.

Reading restores the class and the types its fields are annotated with. What no class here is called after becomes an
`UnknownMessage` and is written again as it came.
"""

from __future__ import annotations

import base64
import functools
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Union, cast, get_args, get_origin

from honeyhive.events.catalogue import Catalogue, declared_types, python_name
from honeyhive.events.forms import NO_EXTENSIONS, form_of
from honeyhive.events.lineage import CARRIED, NO_TRACE
from honeyhive.events.messages import Message, UnknownMessage
from honeyhive.exceptions import MessageFormatError
from honeyhive.utils.frozen import FrozenDict, immutable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["MessageCodec", "decode", "encode", "is_json", "legible"]

_JSON: Final = "application/json"
_VERSION: Final = "1.0"
_LARGE: Final = 2**63
_END_OF_HEAD: Final = b',"id":'
_UNIONS: Final = (Union, types.UnionType)
_NO_EXTENSIONS: Final = frozenset(
    {"specversion", "type", "datacontenttype", "dataschema", "data", "data_base64", "partitionkey", "pythontype"}
)
"""The attributes that mean something here, besides those of which an envelope is made."""


class _Json:
    """What reads and writes JSON: loaded with the first document. Even an import that was made before costs like one."""

    @functools.cached_property
    def read(self) -> Callable[[bytes | str], Any]:
        from pydantic_core import from_json

        return from_json

    @functools.cached_property
    def write(self) -> Callable[..., bytes]:
        from pydantic_core import to_json

        return to_json


_json = _Json()


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
        head = _head(message, message.trace_context if trace_context is None else trace_context)
        if isinstance(message, UnknownMessage):
            head |= {"specversion": _VERSION, "type": message.type, **message.attributes, **_foreign_data(message.data)}
            return _json.write({**head, **(attributes or {})}, inf_nan_mode="strings")
        if attributes is not None:
            head.update(attributes)
        kind = type(message)
        return (kind._shape or _shape_of(kind)).document(head, message)

    def decode(self, document: bytes | str) -> Message:
        """Return the message that *document*, the JSON of a CloudEvent, is.

        Raises:
            MessageFormatError: It is no CloudEvent, or its content does not fit the class.
        """
        # The documents of a class begin alike, with half of what is in them; what is left is JSON as well.
        beginning, _, rest = document.partition(_END_OF_HEAD) if isinstance(document, bytes) else (b"", b"", b"")
        found = self._types.recall(beginning)
        if found is None:
            return self._decoded(document, beginning)
        try:
            return (found._shape or _shape_of(found)).decode(rest)
        except MessageFormatError:
            # What is wrong, if it is, can be told from the whole only.
            return self._decoded(document, beginning)

    def to_record(self, message: Message) -> dict[str, Any]:
        """Return *message* as a dict of plain values.

        Raises:
            MessageFormatError: A field holds what could not be read again; says which.
        """
        record: dict[str, Any] = _json.read(self.encode(message))
        return record

    def from_record(self, record: Mapping[str, Any]) -> Message:
        """Return the message that *record* is.

        Raises:
            MessageFormatError: It is no CloudEvent, or its content does not fit the class.
        """
        found = self.class_of(record)
        return _unknown({**record}) if found is None else _shape_of(found).restore({**record})

    def class_of(self, record: Mapping[str, Any]) -> type[Message] | None:
        """Return the class that *record* becomes, or ``None`` where there is none for it.

        Raises:
            MessageFormatError: It is no CloudEvent, or several classes have that name.
        """
        name, content_type = record.get("type"), _text("datacontenttype", record.get("datacontenttype"))
        if not name or not isinstance(name, str):
            raise _no_cloudevent("type", name)
        found = self._types.find(name, _text("pythontype", record.get("pythontype")))
        return found if content_type == _JSON or is_json(content_type) else None

    def _decoded(self, document: bytes | str, beginning: bytes) -> Message:
        """Return the message that *document* is, of which nothing is known; note its *beginning* if others have the same."""
        record = _parsed(document)
        found = self.class_of(record)
        if found is None:
            return _unknown(record)
        shape = _shape_of(found)
        if beginning == shape.beginning:
            self._types.note(beginning, record["type"], record["pythontype"])
        return shape.restore(record)


_codec = MessageCodec()


def encode(message: Message) -> bytes:
    """Return *message* as the JSON of a CloudEvent; see `MessageCodec.encode`."""
    return _codec.encode(message)


def decode(document: bytes | str) -> Message:
    """Return the message that the JSON of a CloudEvent is; see `MessageCodec.decode`."""
    return _codec.decode(document)


def legible(document: bytes | str) -> dict[str, str]:
    """Return the attributes that can be read of what is perhaps no CloudEvent; none where it is no JSON object."""
    try:
        record = _json.read(document)
    except ValueError:
        return {}
    if not isinstance(record, dict):
        return {}
    return {name: value for name, value in record.items() if isinstance(value, str) and value}


class _Shape:
    """What all documents of one message class have in common, and how its content is written and read.

    The fields' annotations decide what is restored: a ``datetime`` stays one, where ``object`` would make it a text.

    Attributes:
        beginning: How each document begins, up to the id: with what is the same in all of them.
    """

    def __init__(self, message_type: type[Message]) -> None:
        from pydantic import ValidationError
        from pydantic_core import PydanticSerializationError

        self._name = message_type.__name__
        self._form = form_of(message_type)
        hints = _hints(message_type)
        self._reader = _adapter(self._name, {name: hints[name] for name in self._form.content}).validator
        self._plain = tuple((name, _plain_types(hints[name])) for name in self._form.content)
        self._can_be_plain = all(plain for _, plain in self._plain)
        self._to_json = _json.write
        self._refusals = (PydanticSerializationError, TypeError)
        self._misfit = ValidationError
        self._fixed = {
            "specversion": _VERSION,
            "type": message_type.type,
            "pythontype": python_name(message_type),
            "datacontenttype": _JSON,
        }
        self._is_keyed = message_type._key_field is not None or message_type.key is not Message.key
        self.beginning = _json.write(self._fixed)[:-1]
        self._opening = self.beginning + b","

    def document(self, head: dict[str, Any], message: Message) -> bytes:
        """Return the document of *message*, which has *head* of its own; proves that its content can be read again."""
        if message.extensions:
            head = {name: value for name, value in head.items() if name not in self._fixed}
        if self._is_keyed and (key := message.key) and key != message.subject:
            head["partitionkey"] = key
        content = {name: getattr(message, name) for name in self._form.content}
        if self._is_plain(content):
            head["data"] = content
            return self._opening + self._written(head)[1:]
        written = self._written(content)
        self._read(written)
        return b'%b%b,"data":%b}' % (self._opening, self._written(head)[1:-1], written)

    def decode(self, rest: bytes) -> Message:
        """Return the message whose document goes on with *rest* after its beginning and the name of the id.

        Raises:
            MessageFormatError: It is not written as `document` does it, or is no such message at all.
        """
        if self._can_be_plain:
            return self.restore(_parsed(b'{"id":' + rest))
        head, _, content = rest.partition(b',"data":')
        return self._form.restore({**_envelope(_parsed(b'{"id":%b}' % head)), **self._told(content.removesuffix(b"}"))})

    def restore(self, record: dict[str, Any]) -> Message:
        """Return the message that *record* is, which is taken apart; names that the class does not have are left out."""
        content = record.pop("data", None) or {}
        envelope = _envelope(record)
        if type(content) is not dict or len(content) != len(self._plain) or not self._is_plain(content):
            content = self._told(self._written(content))
        envelope.update(content)
        return self._form.restore(envelope)

    def _told(self, document: bytes) -> dict[str, Any]:
        return self._form.complement(self._read(document))

    def _is_plain(self, content: Mapping[str, Any]) -> bool:
        """Whether JSON and the annotations leave all of *content* just as it is, so that reading it changes nothing."""
        if not self._can_be_plain:
            return False
        for name, plain in self._plain:
            value = content.get(name, ...)
            kind = type(value)
            if kind not in plain:
                return False
            if kind is str and not (value.isascii() or _is_encodable(value)):
                return False
            if kind is int and not -_LARGE < value < _LARGE:
                return False
        return True

    def _written(self, values: object) -> bytes:
        try:
            return self._to_json(values, fallback=_plain, bytes_mode="base64", inf_nan_mode="strings")
        except self._refusals as error:
            raise MessageFormatError(f"{self._name} cannot be written as JSON: {error}") from error

    def _read(self, document: bytes) -> dict[str, Any]:
        try:
            return cast("dict[str, Any]", self._reader.validate_json(document))
        except self._misfit as error:
            problem = error.errors(include_url=False)[0]
            place = ".".join(map(str, (self._name, *problem["loc"])))
            raise MessageFormatError(f"{place}: {problem['msg']}, not {problem['input']!r:.100}") from error


def _shape_of(message_type: type[Message]) -> _Shape:
    """Return the shape of *message_type*, which is worked out once, and kept by the class."""
    if message_type._shape is None:
        message_type._shape = _Shape(message_type)
    shape: _Shape = message_type._shape
    return shape


def _adapter(name: str, hints: dict[str, Any]) -> TypeAdapter[dict[str, Any]]:
    """Return what reads from JSON the content of the message class called *name*, whose fields are annotated so."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter
    from typing_extensions import TypedDict  # pydantic refuses the standard library's before Python 3.12

    declare: Any = TypedDict  # a type checker wants the fields in the source
    shape = declare(name, hints, total=False)
    shape.__pydantic_config__ = ConfigDict(val_json_bytes="base64")
    try:
        return TypeAdapter(shape)
    except PydanticUserError as error:
        raise MessageFormatError(
            f"the annotations of {name} do not say how to read it from JSON: {error.message}"
        ) from error


def _plain_types(hint: object) -> frozenset[type]:
    """Return the types whose values an annotation leaves as they are when they come from JSON; none if in doubt."""
    if hint is Any or hint is object:
        return frozenset({str, int, bool, types.NoneType})  # JSON has no word for some numbers
    choices = get_args(hint) if get_origin(hint) in _UNIONS else (hint,)
    plain = {each for each in choices if each in (str, int, float, bool, types.NoneType)}
    return frozenset(plain) if len(plain) == len(choices) else frozenset()


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


def _is_encodable(text: str) -> bool:
    """Whether *text* can be written in UTF-8; halves of surrogate pairs cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _head(message: Message, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the attributes that differ from one message of a class to the next."""
    identity, subject, time = message.id, message.subject, message.time
    head: dict[str, Any] = {
        "id": identity,
        "source": message.source,
        "time": time if time.tzinfo is UTC else _written_time(time),
    }
    if subject:
        head["subject"] = subject
    if (correlation_id := message.correlation_id) != identity:
        head["correlationid"] = correlation_id
    if causation_id := message.causation_id:
        head["causationid"] = causation_id
    if message.extensions:
        head.update(message.extensions)
    if headers:
        head.update(headers)
    return head


def _written_time(time: datetime) -> str:
    text = time.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def _plain(value: object) -> object:
    """Turn into plain values what pydantic does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__qualname__} has no form in JSON")


def _parsed(document: bytes | str) -> dict[str, Any]:
    try:
        record = _json.read(document)
    except ValueError as error:
        raise MessageFormatError(f"what came is no JSON: {error}") from error
    if not isinstance(record, dict):
        raise MessageFormatError(f"what came is a JSON {type(record).__name__}, and a CloudEvent is an object")
    return record


def _envelope(record: dict[str, Any]) -> dict[str, Any]:
    """Return the envelope that *record* has, in values that cannot change; they are taken out of it."""
    pop = record.pop
    identity, source = pop("id", None), pop("source", None)
    if not identity or not isinstance(identity, str):
        raise _no_cloudevent("id", identity)
    if not source or not isinstance(source, str):
        raise _no_cloudevent("source", source)
    headers = {}
    for name in CARRIED:
        if isinstance(header := pop(name, None), str):  # what is no text names no trace
            headers[name] = header
    return {
        "id": identity,
        "time": _read_time(pop("time", None)),
        "source": source,
        "subject": _single("subject", pop("subject", None)),
        "correlation_id": _single("correlationid", pop("correlationid", None)) or identity,
        "causation_id": _single("causationid", pop("causationid", None)),
        "trace_context": FrozenDict(headers) if headers else NO_TRACE,
        "extensions": _extensions(record) if record else NO_EXTENSIONS,
    }


def _text(name: str, value: object) -> str | None:
    """Return *value*, that of the optional attribute *name*, which is a text if it is there."""
    if value is None or isinstance(value, str):
        return value
    raise _no_cloudevent(name, value)


def _single(name: str, value: object) -> Any:
    """Return *value*, that of the attribute *name*, which is a text by rights, and by no means a collection."""
    if isinstance(value, (dict, list)):
        raise _no_cloudevent(name, value)
    return value


def _extensions(record: Mapping[str, Any]) -> FrozenDict[str, Any]:
    found = {name: value for name, value in record.items() if name not in _NO_EXTENSIONS and value is not None}
    return immutable(found, "extensions") if found else NO_EXTENSIONS


def _read_time(text: object) -> datetime:
    """Return the time that *text* tells; it is optional in a CloudEvent, and then means now."""
    if text is None:
        return datetime.now(UTC)
    try:
        time = datetime.fromisoformat(text)  # type: ignore[arg-type] # what is no text is refused
    except (TypeError, ValueError) as error:
        raise MessageFormatError(f"what came is no CloudEvent: its time is {text!r:.100}") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _unknown(record: dict[str, Any]) -> UnknownMessage:
    kept = ("datacontenttype", "dataschema", "partitionkey", "pythontype")
    attributes = {name: value for name in kept if (value := _single(name, record.get(name)))}
    data = _binary(record["data_base64"]) if "data_base64" in record else record.get("data")
    form = form_of(UnknownMessage)
    content = form.complement({"type": record["type"], "data": data, "attributes": attributes})
    return form.restore({**_envelope(record), **content})


def _binary(written: object) -> bytes:
    try:
        return base64.b64decode(written)  # type: ignore[arg-type] # what is no text is refused
    except (TypeError, ValueError) as error:
        raise _no_cloudevent("data_base64", written) from error


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


def _no_cloudevent(name: str, value: object) -> MessageFormatError:
    return MessageFormatError(f"what came is no CloudEvent: its attribute {name!r} is {value!r:.100}")
