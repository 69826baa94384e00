"""Forms: which fields the messages of a class have, and how these are filled in; worked out once for each class.

A message is made in one go: its values are put together in a dict, and that dict becomes what the object holds. Setting
the fields of a frozen object one by one costs more than all the rest.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from honeyhive.events.lineage import NO_TRACE, handled_message, trace_of
from honeyhive.exceptions import MessageFormatError
from honeyhive.utils.frozen import ATOMS, FrozenDict, immutable

if TYPE_CHECKING:
    from honeyhive.events.messages import Message

__all__ = ["ENVELOPE", "NO_EXTENSIONS", "Described", "Form", "complete", "form_of", "initialiser", "settle"]

M = TypeVar("M", bound="Message")

ENVELOPE = frozenset(
    {"id", "time", "source", "subject", "correlation_id", "causation_id", "trace_context", "extensions"}
)
"""The names of the fields that every message has."""

NO_EXTENSIONS: FrozenDict[str, Any] = FrozenDict()


class _Drawn(Enum):
    """Stands for the value that a default factory is to make."""

    DRAWN = "<factory>"

    def __repr__(self) -> str:
        return self.value


_DRAWN: Final = _Drawn.DRAWN

_UNKNOWN: Final = -1
_new, _set = object.__new__, object.__setattr__


class Form(Generic[M]):
    """The fields of one message class, and how they are filled in.

    Args:
        kind: The class; it is completed.

    Attributes:
        content: The names of the fields that make the content, in order.
    """

    def __init__(self, kind: type[M]) -> None:
        from honeyhive.events.messages import Message

        complete(kind)
        fields = {each.name: each for each in dataclasses.fields(kind)}
        arguments = {name: each for name, each in kind.__dataclass_fields__.items() if _is_argument(each)}
        defaults = {name: _default(each) for name, each in (fields | arguments).items()}
        self.content = tuple(name for name in fields if name not in ENVELOPE)
        self._kind = kind
        self._fields = tuple(fields)
        self._required = frozenset(name for name in arguments if defaults[name] is dataclasses.MISSING)
        # The required ones are there too, so that a message holds its fields in their order.
        self._blank = {
            name: each for name, each in defaults.items() if name in arguments or each is not dataclasses.MISSING
        }
        self._source = kind._source or kind._origin
        self._drawn = tuple((name, _factory(each)) for name, each in fields.items() if defaults[name] is _DRAWN)
        self._signature = _signature(kind)
        self._init_only = tuple(name for name in arguments if name not in fields)
        takes_all = fields.keys() <= arguments.keys()
        # Where some fields are not to be given, it takes a closer look to tell whether one of them is.
        self._size = len(arguments) if takes_all else _UNKNOWN
        are_attributes = not any(_is_kept_apart(kind, name) for name in fields)
        self._hold = vars(Message)["__dict__"].__set__ if are_attributes else _set_each
        settles_only = kind.__post_init__ is Message.__post_init__ and takes_all and not self._init_only
        self._at_once = kind if settles_only else None

    def fill(self, message: Message, positional: tuple[object, ...], given: dict[str, Any]) -> None:
        """Do what the ``__init__`` of a data class does, and settle the message.

        Raises:
            TypeError: The arguments are not those of the class, or a value can change.
            ValueError: The envelope is not valid.
        """
        values = {**self._blank, **given}
        if positional or len(values) != self._size or not self._required.issubset(given):
            values = self._bound(positional, given)
        for name, draw in self._drawn:
            if values[name] is _DRAWN:
                values[name] = draw()
        if type(message) is self._at_once:
            self.settle(values)
            self._hold(message, values)
            return
        init_only = [values.pop(name) for name in self._init_only]
        if type(message) is not self._kind:  # an __init__ of its own has called that of the class above
            _set_each(message, values)
        else:
            self._hold(message, values)
        message.__post_init__(*init_only)

    def settle(self, values: dict[str, Any]) -> None:
        """Fill in the envelope and freeze the content of a message that is to hold *values*.

        Raises:
            TypeError: A value can change.
            ValueError: The envelope is not valid.
        """
        if not values["id"]:
            raise ValueError(f"{self._kind.__name__} needs an id; leave it out to get a random one")
        if values["time"].tzinfo is None:
            raise ValueError(f"{self._kind.__name__}.time has no time zone; write datetime.now(UTC)")
        if not values["source"]:
            values["source"] = self._source
        if values["extensions"] is not NO_EXTENSIONS:
            values["extensions"] = immutable(values["extensions"], "extensions")
        cause = handled_message.get()
        if not values["correlation_id"]:
            values["correlation_id"] = values["id"] if cause is None else cause.correlation_id
        if cause is not None and values["causation_id"] is None:
            values["causation_id"] = cause.id
        trace = values["trace_context"]
        values["trace_context"] = trace_of() if trace is NO_TRACE else immutable(trace, "trace_context")
        for name in self.content:
            value = values[name]
            if type(value) not in ATOMS:
                values[name] = immutable(value, f"{self._kind.__name__}.{name}")

    def complement(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return the content that was once told as *content*, with the defaults of the fields that are not in it.

        Raises:
            MessageFormatError: A field without a default has no value.
            TypeError: A value can change.
        """
        values: dict[str, Any] = {}
        for name in self.content:
            value = content[name] if name in content else self._default(name)
            values[name] = value if type(value) in ATOMS else immutable(value, f"{self._kind.__name__}.{name}")
        return values

    def restore(self, values: dict[str, Any]) -> M:
        """Make a message as it was once made: neither filled in nor validated again.

        What the class demands today need not hold for what was told long ago.

        Args:
            values: The envelope and the content, in values that cannot change; they are the message's from now on.
        """
        message = _new(self._kind)
        self._hold(message, values)
        return message

    def _default(self, name: str) -> object:
        default = self._blank.get(name, dataclasses.MISSING)
        if default is dataclasses.MISSING:
            raise MessageFormatError(f"{self._kind.__name__}.{name} has neither a value nor a default")
        return dict(self._drawn)[name]() if default is _DRAWN else default

    def _bound(self, positional: tuple[object, ...], given: dict[str, Any]) -> dict[str, Any]:
        try:
            arguments = self._signature.bind(*positional, **given).arguments
        except TypeError as error:
            raise TypeError(f"{self._kind.__name__}.__init__() {error}") from None
        return {**self._blank, **arguments}


def form_of(kind: type[M]) -> Form[M]:
    """Return the form of *kind*, made once."""
    return kind._form.resource


def initialiser(kind: type[Message]) -> Callable[..., None]:
    """Return the ``__init__`` of *kind*. It takes what that of a data class would, and settles the message at once."""
    form: Form[Message] | None = None

    def init(self: Message, /, *positional: object, **given: Any) -> None:
        nonlocal form
        if form is None:
            form = form_of(kind)
        form.fill(self, positional, given)

    init.__name__, init.__qualname__ = "__init__", f"{kind.__qualname__}.__init__"
    init._settles = True  # type: ignore[attr-defined] # slots=True makes the class twice from one dictionary
    return init


class Described:
    """What ``inspect.signature`` tells of a message class: the fields that it takes, as of any data class."""

    def __get__(self, _: Message | None, kind: type[Message]) -> inspect.Signature | None:
        if not getattr(kind.__init__, "_settles", False):
            return None  # it has an __init__ of its own
        complete(kind)
        return _signature(kind)


def settle(message: Message) -> None:
    """Fill in the envelope and freeze the content of a message whose fields have been set one by one."""
    form = form_of(type(message))
    before = {name: getattr(message, name) for name in form._fields}
    now = {**before}
    form.settle(now)
    for name, value in now.items():
        if value is not before[name]:
            _set(message, name, value)


def complete(kind: type[Message]) -> None:
    """Make a class that was declared without the decorator the data class that it is; others are left alone.

    It happens at the last moment, the first use, since a decorator runs after the class statement and twice is not possible.
    """
    if "__dataclass_params__" in kind.__dict__:
        return
    try:
        dataclass(frozen=True, kw_only=True)(kind)
    except (TypeError, ValueError):
        # The mark is set before the fields are looked at: without it every use tells what is wrong, not only the first.
        if "__dataclass_params__" in kind.__dict__:
            delattr(kind, "__dataclass_params__")
        raise


def _set_each(message: Message, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        _set(message, name, value)


def _is_argument(field: dataclasses.Field[Any]) -> bool:
    """Whether *field* is one that ``__init__`` takes: init-only variables are, class variables are not."""
    return field.init and field._field_type is not dataclasses._FIELD_CLASSVAR  # type: ignore[attr-defined] # no public way


def _is_kept_apart(kind: type[Message], name: str) -> bool:
    """Whether a field lies in a slot, or is what a descriptor makes of it, and not among the attributes."""
    return hasattr(type(inspect.getattr_static(kind, name, None)), "__set__")


def _default(field: dataclasses.Field[Any]) -> object:
    return field.default if field.default_factory is dataclasses.MISSING else _DRAWN


def _factory(field: dataclasses.Field[Any]) -> Callable[[], object]:
    return cast("Callable[[], object]", field.default_factory)


def _signature(kind: type[Message]) -> inspect.Signature:
    arguments = [each for each in kind.__dataclass_fields__.values() if _is_argument(each)]
    arguments.sort(key=lambda field: field.kw_only is True)
    return inspect.Signature([*map(_parameter, arguments)], return_annotation=None)


def _parameter(field: dataclasses.Field[Any]) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY if field.kw_only is True else inspect.Parameter.POSITIONAL_OR_KEYWORD
    default = _default(field)
    given = inspect.Parameter.empty if default is dataclasses.MISSING else default
    return inspect.Parameter(field.name, kind, default=given, annotation=field.type)
