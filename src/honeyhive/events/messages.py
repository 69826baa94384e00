"""Messages: what one part of a program tells another, as values that never change.

::

    Message
    ├── Command     asks for something to be done; one handler decides
    ├── Event       says that something has happened; whoever cares is told
    ├── Query       asks for something to be told
    └── UnknownMessage    came from outside, and no class here has its name

A message class is a frozen, keyword-only data class, with the decorator or without it::

    @dataclass(frozen=True, kw_only=True)
    class CreateOrder(Command):
        order_id: str


    class GetOrder(Query):
        order_id: str

What a message says stands in its own fields, its *content*. Around it is the *envelope*, which has the names and the
meaning of CloudEvents and is filled in by itself.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from honeyhive.events.catalogue import declared_types
from honeyhive.events.lineage import NO_TRACE, handled_message, trace_of
from honeyhive.exceptions import MessageFormatError
from honeyhive.utils.frozen import FrozenDict, immutable, is_atom
from honeyhive.utils.ids import RandomIds

__all__ = [
    "ENVELOPE",
    "Command",
    "Event",
    "Message",
    "Query",
    "UnknownMessage",
    "complete",
    "content_names",
    "is_traced",
    "require_message",
    "restore",
]

M = TypeVar("M", bound="Message")

_ids = RandomIds()
_NOTHING: FrozenDict[str, Any] = FrozenDict()
_set = object.__setattr__


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
@dataclass(frozen=True, kw_only=True)
class Message:
    """Something that is told; immutable all the way down, and hashable.

    Lists given to a field become tuples, sets frozen sets, mappings `FrozenDict`; what could still change is refused.
    Two messages are equal when class, id and content are.

    Keywords of a class statement, all optional: ``type``, the name on the wire and in stores (the name of the class);
    ``aliases``, names it had before; ``key``, the field whose value keeps messages in order (the subject otherwise);
    ``source``, where such messages come from; ``traced=False``, for chatter that is to leave no spans.

    Attributes:
        type: The name of the kind of message, on the wire and in stores.
        id: Unique for each message; a random UUID.
        time: When it was made, with its time zone; UTC by default.
        source: Where it comes from, as a URI reference; ``/`` and the module of the class by default.
        subject: What it is about, such as the id of an order.
        correlation_id: The same for all messages that follow from one another; the id of the first one.
        causation_id: The id of the message in whose handler this one was made.
        trace_context: The W3C headers of the trace it was made in.
        extensions: Further attributes of the CloudEvent it came as.

    Raises:
        TypeError: A field holds what can change; the message says which, and what to do.
        ValueError: The envelope is not valid: no id, a time without a time zone.
    """

    type: ClassVar[str]
    _key_field: ClassVar[str | None] = None
    _source: ClassVar[str | None] = None
    _origin: ClassVar[str]
    _aliases: ClassVar[tuple[str, ...]] = ()
    _content_names: ClassVar[tuple[str, ...]] = ()
    _slotted: ClassVar[bool] = False
    _traced: ClassVar[bool] = True

    id: str = field(default_factory=_ids.uuid)
    time: datetime = field(default_factory=_now, compare=False, repr=False)
    source: str = field(default="", compare=False, repr=False)
    subject: str | None = field(default=None, compare=False, repr=False)
    correlation_id: str = field(default="", compare=False, repr=False)
    causation_id: str | None = field(default=None, compare=False, repr=False)
    trace_context: Mapping[str, str] = field(default=NO_TRACE, compare=False, repr=False)
    extensions: Mapping[str, Any] = field(default=_NOTHING, compare=False, repr=False)

    def __new__(cls, *_: object, **__: object) -> Self:
        if "__dataclass_params__" not in cls.__dict__:
            complete(cls)
        return object.__new__(cls)

    def __init_subclass__(
        cls,
        *,
        type: str | None = None,  # noqa: A002 - reads as ``class OrderCreated(Event, type="order.created")``
        aliases: Iterable[str] = (),
        key: str | None = None,
        source: str | None = None,
        traced: bool | None = None,
        **others: Any,
    ) -> None:
        super().__init_subclass__(**others)
        for base in cls.__mro__[1:]:
            if issubclass(base, Message):
                complete(base)
        _refuse_names_of_the_envelope(cls)
        # With slots=True a data class is made a second time, from the dictionary of the first, without these keywords.
        if "_origin" not in cls.__dict__:
            cls.type = type or cls.__dict__.get("type") or cls.__name__
            cls._aliases = tuple(aliases)
            cls._origin = f"/{cls.__module__.replace('.', '/')}"
            cls._key_field = key or cls._key_field
            cls._source = source or cls._source
            cls._traced = cls._traced if traced is None else traced
        _settle_after_post_init(cls)
        declared_types.add(cls, (cls.type, *cls._aliases))

    def __post_init__(self, *_: object) -> None:
        _settle(self)

    @property
    def key(self) -> str | None:
        """Messages with the same key are handled in order; the subject unless the class says otherwise."""
        if self._key_field is None:
            return self.subject
        value = getattr(self, self._key_field)
        return None if value is None else str(value)

    @property
    def content(self) -> FrozenDict[str, Any]:
        """What the message says: its own fields, without the envelope."""
        return FrozenDict({name: getattr(self, name) for name in content_names(self.__class__)})


ENVELOPE = frozenset(each.name for each in dataclasses.fields(Message))
"""The names of the fields that every message has."""

_RESERVED = ENVELOPE | {"content", "key", "type"}

Message.type = "Message"
Message._origin = "/honeyhive/events"


def complete(message_type: type[Message]) -> None:
    """Make a class that was declared without the decorator the data class that it is; others are left alone.

    It happens at the last moment, the first use, since a decorator runs after the class statement and twice is not possible.
    """
    if "__dataclass_params__" in message_type.__dict__:
        return
    try:
        dataclass(frozen=True, kw_only=True)(message_type)
    except (TypeError, ValueError):
        # The mark is set before the fields are looked at: without it every use tells what is wrong, not only the first.
        if "__dataclass_params__" in message_type.__dict__:
            delattr(message_type, "__dataclass_params__")
        raise


def is_traced(message: Message) -> bool:
    """Whether *message* leaves spans where it is published and handled."""
    return message._traced


def require_message(value: object) -> None:
    """Raise unless *value* is a message.

    Raises:
        TypeError: It is none; says what to give instead.
    """
    if isinstance(value, Message):
        return
    if isinstance(value, type) and issubclass(value, Message):
        raise TypeError(f"{value.__name__} is the class of messages, not one of them; give {value.__name__}(...)")
    raise TypeError(
        f"a message is an object of a class derived from Event, Command or Query, not {type(value).__name__}"
    )


def content_names(message_type: type[Message]) -> tuple[str, ...]:
    """Return the names of the fields that make the content of *message_type*, in order."""
    names: tuple[str, ...] | None = message_type.__dict__.get("_content_names")
    if names is None:
        complete(message_type)
        fields = [each.name for each in dataclasses.fields(message_type)]
        names = message_type._content_names = tuple(name for name in fields if name not in ENVELOPE)
    return names


def restore(message_type: type[M], envelope: Mapping[str, Any], content: Mapping[str, Any]) -> M:
    """Make a message as it was once made: neither filled in nor validated again.

    What the class demands today need not hold for what was told long ago. A field without a value gets its default.

    Args:
        message_type: The class.
        envelope: All of the envelope, in values that cannot change.
        content: The values of the fields.

    Raises:
        MessageFormatError: A field without a default has no value.
        TypeError: A value can change.
    """
    complete(message_type)
    values = dict(envelope)
    for name in content_names(message_type):
        value = content[name] if name in content else _default(message_type, name)
        values[name] = value if is_atom(value) else immutable(value, f"{message_type.__name__}.{name}")
    message = object.__new__(message_type)
    if _has_slots(message_type):
        for name, value in values.items():
            _set(message, name, value)
    else:
        message.__dict__.update(values)
    return message


def _has_slots(message_type: type[Message]) -> bool:
    known: bool | None = message_type.__dict__.get("_slotted")
    if known is None:
        known = message_type._slotted = any("__slots__" in vars(each) for each in message_type.__mro__)
    return known


def _default(message_type: type[Message], name: str) -> object:
    missing = message_type.__dataclass_fields__[name]
    if missing.default is not dataclasses.MISSING:
        return missing.default
    if missing.default_factory is not dataclasses.MISSING:
        return missing.default_factory()
    raise MessageFormatError(f"{message_type.__name__}.{missing.name} has neither a value nor a default")


def _settle(message: Message) -> None:
    """Fill in the envelope and freeze the content of a message that is just being made."""
    kind = type(message)
    if not message.id:
        raise ValueError(f"{kind.__name__} needs an id; leave it out to get a random one")
    if message.time.tzinfo is None:
        raise ValueError(f"{kind.__name__}.time has no time zone; write datetime.now(UTC)")
    if not message.source:
        _set(message, "source", kind._source or kind._origin)
    if message.extensions is not _NOTHING:
        _set(message, "extensions", immutable(message.extensions, "extensions"))
    _trace_back(message)
    for name in content_names(kind):
        value = getattr(message, name)
        if not is_atom(value):
            _set(message, name, immutable(value, f"{kind.__name__}.{name}"))


def _trace_back(message: Message) -> None:
    """Say what *message* follows from, as far as its maker has not."""
    cause = handled_message.get()
    if not message.correlation_id:
        _set(message, "correlation_id", message.id if cause is None else cause.correlation_id)
    if cause is not None and message.causation_id is None:
        _set(message, "causation_id", cause.id)
    given = message.trace_context
    trace = trace_of() if given is NO_TRACE else immutable(given, "trace_context")
    if trace is not given:
        _set(message, "trace_context", trace)


def _settle_after_post_init(message_type: type[Message]) -> None:
    """See to it that a ``__post_init__`` of the class itself need not call ours."""
    own = message_type.__dict__.get("__post_init__")
    if own is None or getattr(own, "_settles", False):
        return

    @functools.wraps(own)
    def post_init(self: Message, *init_only: object) -> None:
        own(self, *init_only)
        _settle(self)

    post_init._settles = True  # type: ignore[attr-defined] # slots=True makes the class twice from one dictionary
    message_type.__post_init__ = post_init  # type: ignore[method-assign] # with the parameters of the class


def _refuse_names_of_the_envelope(message_type: type[Message]) -> None:
    if message_type.__module__ == __name__:
        return
    taken = sorted(_RESERVED & inspect.get_annotations(message_type).keys())
    if taken:
        name = message_type.__name__
        raise TypeError(
            f"{name}.{taken[0]} would hide what every message has; call the field "
            f"{_snake_case(name)}_{taken[0]} or the like"
        )


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@dataclass(frozen=True, kw_only=True)
class Command(Message):
    """Asks for something to be done: ``CreateOrder``. Whoever handles it may refuse, by raising."""


@dataclass(frozen=True, kw_only=True)
class Event(Message):
    """Says that something has happened: ``OrderCreated``. Nobody can refuse it any more."""


@dataclass(frozen=True, kw_only=True)
class Query(Message):
    """Asks for something to be told: ``GetOrder``. The answer is what the handler returns."""


@dataclass(frozen=True, kw_only=True)
class UnknownMessage(Message):
    """A message of a kind that no class here is called after, kept as it came.

    Handlers of `Message`, of `UnknownMessage` and of matching patterns receive it; written again, it is what it was.

    Attributes:
        type: The name of its kind.
        data: What it says: plain values, text or bytes.
        attributes: Its further CloudEvents attributes, such as ``datacontenttype``.
    """

    type: str  # type: ignore[misc] # here the kind is a matter of the single message
    data: Any = None
    attributes: Mapping[str, Any] = field(default=_NOTHING)

    @property
    def key(self) -> str | None:
        """What its sender says keeps such messages in order; the subject otherwise."""
        return self.attributes.get("partitionkey") or self.subject
