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

import functools
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, dataclass_transform

from honeyhive.events.catalogue import declared_types
from honeyhive.events.forms import ENVELOPE, NO_EXTENSIONS, Described, Form, complete, form_of, initialiser, settle
from honeyhive.events.lineage import NO_TRACE
from honeyhive.utils.frozen import FrozenDict
from honeyhive.utils.ids import RandomIds
from honeyhive.utils.lazy import LazyResource

__all__ = ["Command", "Event", "Message", "Query", "UnknownMessage", "is_traced", "require_message"]

_RESERVED = ENVELOPE | {"content", "key", "type"}

_ids = RandomIds()


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
    _traced: ClassVar[bool] = True
    _form: ClassVar[LazyResource[Form[Any]]]
    _shape: ClassVar[Any] = None
    __signature__: ClassVar[Any] = Described()

    id: str = field(default_factory=_ids.uuid)
    time: datetime = field(default_factory=_now, compare=False, repr=False)
    source: str = field(default="", compare=False, repr=False)
    subject: str | None = field(default=None, compare=False, repr=False)
    correlation_id: str = field(default="", compare=False, repr=False)
    causation_id: str | None = field(default=None, compare=False, repr=False)
    trace_context: Mapping[str, str] = field(default=NO_TRACE, compare=False, repr=False)
    extensions: Mapping[str, Any] = field(default=NO_EXTENSIONS, compare=False, repr=False)

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
        _equip(cls)
        declared_types.add(cls, (cls.type, *cls._aliases))

    def __post_init__(self, *_: object) -> None:
        settle(self)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Take on a state from a pickle, which may be the first use of the class in this process."""
        complete(type(self))
        self.__dict__.update(state)

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
        return FrozenDict({name: getattr(self, name) for name in form_of(type(self)).content})


def _equip(message_type: type[Message]) -> None:
    """Give a class its form, and the ``__init__`` that fills it in, unless it has one of its own."""
    message_type._form, message_type._shape = LazyResource(functools.partial(Form, message_type)), None
    own = message_type.__dict__.get("__init__")
    if own is None or getattr(own, "_settles", False):
        message_type.__init__ = initialiser(message_type)  # type: ignore[method-assign] # with the fields of the class
    if "__slots__" in message_type.__dict__:
        message_type.__new__ = _make_complete  # type: ignore[method-assign, assignment] # for whatever subclass


def _make_complete(message_type: type[Message], *_: object, **__: object) -> Message:
    """Make a message that is still empty. In classes with slots it is a pickle's to fill, and asks the class for its fields."""
    complete(message_type)
    return object.__new__(message_type)


Message.type = "Message"
Message._origin = "/honeyhive/events"
del Message.__init__
_equip(Message)


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


def _settle_after_post_init(message_type: type[Message]) -> None:
    """See to it that a ``__post_init__`` of the class itself need not call ours."""
    own = message_type.__dict__.get("__post_init__")
    if own is None or getattr(own, "_settles", False):
        return

    @functools.wraps(own)
    def post_init(self: Message, *init_only: object) -> None:
        own(self, *init_only)
        settle(self)

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
    attributes: Mapping[str, Any] = field(default=NO_EXTENSIONS)

    @property
    def key(self) -> str | None:
        """What its sender says keeps such messages in order; the subject otherwise."""
        return self.attributes.get("partitionkey") or self.subject
