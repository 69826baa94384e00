"""State: frozen, validated values, to be passed around, put into scopes and looked up there by their type.

Pydantic validates. What is ours: collections are frozen on the way in (:mod:`honeyhive.models.immutable`), nothing is
converted silently, an error names class and field and never quotes a value, and `State.updated` validates again.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, Self, TypeVar, dataclass_transform

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from honeyhive.exceptions import FrozenStateError, StateError
from honeyhive.models.immutable import IMMUTABLE
from honeyhive.models.paths import Path
from honeyhive.utils.methods import MethodLike

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

__all__ = ["State"]

S = TypeVar("S")


@dataclass_transform(kw_only_default=True, field_specifiers=(Field, PrivateAttr))
class _StateClass(ModelMetaclass):
    """The class of state classes: gives them paths and their own error."""

    @property
    def _(cls: type[S]) -> Path[S, S]:  # noqa: N805 -- its instances are classes
        """Where paths into this class begin: ``User._.address.city``."""
        return Path(cls, cls)

    if not TYPE_CHECKING:  # the signature that people see is made of the fields

        def __call__(cls, *arguments, **values):  # noqa: N805 -- as above
            if arguments:
                raise StateError(f"{cls.__name__} takes its fields by name: {cls.__name__}({_call_form(cls)})")
            try:
                return super().__call__(**values)
            except ValidationError as error:
                raise _state_error(cls, error) from error


class State(BaseModel, metaclass=_StateClass):
    """A frozen value with typed fields.

    ::

        class User(State):
            name: str
            roles: Sequence[str] = ()
            email: str | None = None


        ada = User(name="Ada", roles=["admin"])
        assert ada.roles == ("admin",)
        assert ada.updated(name="Ada L.").name == "Ada L."

    Values must have the types of their fields: nothing is converted, except an ``int`` where a ``float`` is wanted.
    Sequences become tuples, mappings `honeyhive.utils.FrozenDict`, sets frozensets, at any depth; ``list``, ``dict`` and
    ``set`` asked for by name are copied and may change. Objects of classes that are not states are kept as they are,
    after an ``isinstance`` check; so are functions for fields annotated with a runtime-checkable protocol.

    States are equal when their types and fields are, and hashable where their fields are. They pickle and copy. A default
    that can change is copied for each instance. To read plain data, such as JSON, use pydantic's ``model_validate_json``
    or ``model_validate(..., strict=False)``.

    Raises:
        StateError: A field is missing, unknown, or has a value of the wrong type.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        ignored_types=(MethodLike,),
        arbitrary_types_allowed=True,
        populate_by_name=True,
        hide_input_in_errors=True,
        validate_default=True,
        protected_namespaces=(),
    )

    def __init_subclass__(cls, **options: Any) -> None:
        cls.__annotations__ = {
            name: annotation if _is_no_field(name, annotation) else Annotated[annotation, IMMUTABLE]
            for name, annotation in _own_annotations(cls).items()
        }
        super().__init_subclass__(**options)

    def updated(self, **changes: Any) -> Self:
        """Return a copy with other values in some fields, validated as a new one is; this one stays as it is.

        Raises:
            StateError: No such field, or a value that does not fit it.
        """
        kind = type(self)
        return kind(**{name: getattr(self, name) for name in kind.model_fields} | changes)

    __str__ = BaseModel.__repr__

    def __setattr__(self, name: str, value: object) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            self._refuse_change(name)

    def __delattr__(self, name: str) -> None:
        if name.startswith("_"):
            super().__delattr__(name)
        else:
            self._refuse_change(name)

    def _refuse_change(self, name: str) -> NoReturn:
        raise FrozenStateError(f"{type(self).__name__} is frozen; make a copy: updated({name}=...)")

    def __reduce__(self) -> tuple[Any, ...]:
        # Parametrised classes are made at run time, so that pickle cannot find them by their name.
        generic = self.__pydantic_generic_metadata__
        return _blank, (generic["origin"] or type(self), generic["args"]), self.__getstate__()


def _blank(kind: Any, arguments: tuple[Any, ...]) -> State:
    """Return an instance without fields, for pickle to fill."""
    made: type[State] = kind[arguments] if arguments else kind
    return made.__new__(made)


def _own_annotations(kind: type) -> Mapping[str, Any]:
    if sys.version_info >= (3, 14):  # pragma: no cover -- annotations are functions there
        from annotationlib import Format, get_annotations

        return get_annotations(kind, format=Format.FORWARDREF)
    annotations: Mapping[str, Any] = vars(kind).get("__annotations__", {})
    return annotations


_NO_FIELD: Final = re.compile(r"(\w+\.)?(ClassVar|Final)\b")


def _is_no_field(name: str, annotation: object) -> bool:
    if name.startswith("_") or name == "model_config":
        return True
    return _NO_FIELD.match(annotation if isinstance(annotation, str) else repr(annotation)) is not None


def _call_form(kind: type[BaseModel]) -> str:
    return ", ".join(f"{name}=..." for name in kind.model_fields)


_PHRASES: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "extra_forbidden": "is no field of this class",
}


def _state_error(kind: type[BaseModel], error: ValidationError) -> StateError:
    problems = error.errors(include_url=False, include_context=False)
    fields = tuple(dict.fromkeys(str(problem["loc"][0]) for problem in problems if problem["loc"]))
    lines = [f"{kind.__name__}{_place(problem['loc'])} {_phrase(problem)}" for problem in problems]
    return StateError("\n".join(lines), fields=fields)


def _place(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)


def _phrase(problem: Mapping[str, Any]) -> str:
    known = _PHRASES.get(problem["type"])
    if known is not None:
        return known
    message = problem["msg"].removeprefix("Input ")
    return f"{message}, got {type(problem['input']).__name__}"
