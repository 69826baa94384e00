"""Where values come from: providers, the tokens that tell equal types apart, and what a callable asks for."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

from honeyhive.exceptions import DeclarationError

__all__ = ["Key", "Lifetime", "Need", "Provider", "Token", "as_provider", "hints_of", "name_of", "needs_of", "opens"]

Lifetime: TypeAlias = Literal["process", "execution"]
"""How long a value lives: as long as the process, or as long as one execution."""


@dataclass(frozen=True, slots=True)
class Token:
    """A name that tells values of one type apart: ``Annotated[Redis, Token("CACHE")]``."""

    name: str


@dataclass(frozen=True, slots=True)
class Key:
    """What a value is asked for by: its type, and a token's name where there are several."""

    type: Any
    token: str | None = None

    def __str__(self) -> str:
        name = getattr(self.type, "__qualname__", None) or str(self.type)
        return name if self.token is None else f"{name} named {self.token!r}"


@dataclass(frozen=True, slots=True)
class Provider:
    """Says how a value is made.

    Its factory's parameters are injected by their annotations, as a controller's are. It may be a class, a function, a
    coroutine function, or a generator function, sync or async, that yields the value once and cleans up after it
    (decorated with ``contextmanager`` or ``asynccontextmanager``, or not).

    Args:
        provides: The type that is asked for.
        factory: Makes the value.
        token: Its name, where there are several of the type.
        lifetime: One value for the process, or one for each execution that needs it, made after all interceptors were
            entered: then its factory may use hooks.

    Raises:
        DeclarationError: There is no such lifetime.
    """

    provides: Any
    factory: Callable[..., Any]
    token: Token | None = None
    lifetime: Lifetime = "process"

    def __post_init__(self) -> None:
        if self.lifetime not in get_args(Lifetime):
            raise DeclarationError(
                f"the provider of {self.key} lives for {self.lifetime!r}, which is none of 'process' and 'execution'"
            )

    @property
    def key(self) -> Key:
        """What the value is asked for by."""
        return Key(self.provides, None if self.token is None else self.token.name)


@dataclass(frozen=True, slots=True)
class Need:
    """A parameter that is to be injected."""

    parameter: str
    key: Key
    optional: bool = False


_RETURNS_ITS_VALUE: Final = (AsyncGenerator, AsyncIterator, Awaitable, Coroutine, Generator, Iterator)


def as_provider(declared: object) -> Provider:
    """Return *declared* as a provider: a class provides itself, a function what its return annotation says.

    Raises:
        DeclarationError: It is neither, or does not say what it returns.
    """
    if isinstance(declared, Provider):
        return declared
    if isinstance(declared, type):
        return Provider(declared, declared)
    if not callable(declared):
        raise DeclarationError(f"{declared!r} is no provider: give a Provider, a class or a function")
    key = _key(_returned(declared))
    if key is None:
        raise DeclarationError(
            f"provider {name_of(declared)} does not say what it returns: annotate its return, or use Provider(...)"
        )
    return Provider(key.type, declared, None if key.token is None else Token(key.token))


def needs_of(factory: Callable[..., Any], *, config: type | None = None) -> tuple[Need, ...]:
    """Return what *factory* (a class or a function) asks for.

    A parameter without annotation that is called ``config`` asks for *config*: so that a lambda may.

    Raises:
        DeclarationError: A parameter cannot be injected; the message names factory and parameter.
    """
    hints = hints_of(factory, ignoring="return")
    return tuple(
        _need(factory, parameter, hints, config)
        for parameter in _parameters(factory)
        if parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    )


def opens(factory: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return a function that makes context managers, if *factory* is a generator function, else ``None``."""
    inner = inspect.unwrap(factory)
    if inspect.isasyncgenfunction(inner):
        return factory if inner is not factory else asynccontextmanager(factory)
    if inspect.isgeneratorfunction(inner):
        return factory if inner is not factory else contextmanager(factory)
    return None


def _need(
    factory: Callable[..., Any], parameter: inspect.Parameter, hints: dict[str, Any], config: type | None
) -> Need:
    annotation = hints.get(parameter.name)
    has_default = parameter.default is not parameter.empty
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise DeclarationError(
            f"{name_of(factory)}: parameter {parameter.name!r} can only be given by position; values come by name"
        )
    if annotation is None and parameter.name == "config" and config is not None:
        return Need("config", Key(config), has_default)
    key = _key(annotation)
    if key is None:
        raise DeclarationError(
            f"{name_of(factory)}: parameter {parameter.name!r} does not say what it needs; annotate it with a type"
        )
    return Need(parameter.name, key, has_default)


def _key(annotation: Any) -> Key | None:
    if annotation is None or annotation is type(None):
        return None
    if get_origin(annotation) is Annotated:
        inner, *rest = get_args(annotation)
        found = _key(inner)
        token = next((each.name for each in rest if isinstance(each, Token)), None)
        return None if found is None else Key(found.type, token or found.token)
    if get_origin(annotation) in {Union, types.UnionType}:
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _key(members[0]) if len(members) == 1 else Key(annotation)
    return Key(annotation)


def _returned(function: Callable[..., Any]) -> Any:
    annotation = hints_of(function).get("return")
    if get_origin(annotation) in _RETURNS_ITS_VALUE:
        return get_args(annotation)[0]
    return annotation


def _parameters(factory: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"{name_of(factory)} does not tell its parameters: {error}") from error


def hints_of(function: Callable[..., Any], called: str = "", *, ignoring: str = "") -> dict[str, Any]:
    """Return the annotations of *function*, a class or a function, looked up where it was written.

    Args:
        function: What is annotated; of a class its constructor.
        called: What messages call it; its own name by default.
        ignoring: An annotation that is left out, such as ``"return"``.

    Raises:
        DeclarationError: An annotation is not known there; the message names the parameter.
    """
    subject = inspect.getattr_static(function, "__init__") if isinstance(function, type) else inspect.unwrap(function)
    known = getattr(subject, "__globals__", {})
    found = {}
    for name, annotation in getattr(subject, "__annotations__", {}).items():
        if name == ignoring:
            continue
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            found.update(typing.get_type_hints(alone, known, include_extras=True))
        except NameError as error:
            place = "what it returns" if name == "return" else f"parameter {name!r}"
            raise DeclarationError(
                f"{called or name_of(function)}: the annotation {error.name!r} of {place} is not known there; import "
                "it in that module, and not for type checkers only"
            ) from error
        except TypeError:
            continue
    return found


def name_of(factory: Callable[..., Any]) -> str:
    """Return what messages call *factory*."""
    name = getattr(factory, "__qualname__", None) or type(factory).__qualname__
    return f"{name}.__init__" if isinstance(factory, type) else name
