"""Whether methods can be called as their declarations will call them; asked before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, get_origin

from honeyhive.events import Message
from honeyhive.exceptions import DeclarationError
from honeyhive.runtime.declaring import MessageFacts, RouteFacts, ScheduleFacts, SocketFacts
from honeyhive.runtime.providers import hints_of

if TYPE_CHECKING:
    from honeyhive.runtime.assembly import AnyHandler

__all__ = ["check", "refuse_twins"]


def check(handler: AnyHandler) -> None:
    """Raise unless the method of *handler* can be called as its declaration will call it.

    Raises:
        DeclarationError: It cannot; the message names class and method.
    """
    function = inspect.unwrap(handler.function)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise DeclarationError(f"{handler.label} is a generator; return a StreamingResponse to answer in parts")
    _check_self(handler)
    match handler.facts:
        case RouteFacts():
            _check_path(handler)
            hints_of(handler.function, handler.label)
        case SocketFacts():
            _check_path(handler)
            _check_takes_socket(handler)
        case MessageFacts(message=message):
            _check_message(handler, message)
            _check_arguments(handler, 1, "the message and nothing else")
        case ScheduleFacts():
            _check_arguments(handler, 0, "no arguments")


def refuse_twins(handlers: Sequence[AnyHandler]) -> None:
    """Raise if two of *handlers* are declared for one place.

    Raises:
        DeclarationError: Two are; the message names both.
    """
    seen: dict[str, str] = {}
    for handler in handlers:
        for place in _place(handler):
            if place in seen:
                raise DeclarationError(f"{handler.label} and {seen[place]} are both declared for {place}")
            seen[place] = handler.label


def _place(handler: AnyHandler) -> Iterator[str]:
    """Yield what only one handler can have; any number may handle a message."""
    match handler.facts:
        case RouteFacts(method=method, path=path):
            yield f"{method} {handler.common.prefix}{path}"
        case SocketFacts(path=path):
            yield f"websocket {handler.common.prefix}{path}"
        case ScheduleFacts():
            yield f"schedule {handler.label}"


def _check_self(handler: AnyHandler) -> None:
    declared = inspect.getattr_static(handler.controller, handler.method)
    first = next(iter(inspect.signature(handler.function).parameters.values()), None)
    if (
        isinstance(declared, (staticmethod, classmethod))
        or first is None
        or first.kind is first.KEYWORD_ONLY
        or (first.name != "self" and first.annotation is not first.empty)
    ):
        raise DeclarationError(f"{handler.label} is no method of an instance; let its first parameter be self")


def _check_path(handler: AnyHandler) -> None:
    path = handler.common.prefix + handler.facts.path
    if not path.startswith("/"):
        raise DeclarationError(f"{handler.label}: its path {path!r} must start with '/'")


def _check_takes_socket(handler: AnyHandler) -> None:
    from starlette.requests import HTTPConnection

    hints = hints_of(handler.function, handler.label)
    _, *parameters = inspect.signature(handler.function).parameters.values()
    if not any(_may_be(HTTPConnection, parameter, hints) for parameter in parameters):
        raise DeclarationError(
            f"{handler.label} takes no connection; give it a parameter of its own: "
            f"{handler.method}(self, socket: WebSocket), from starlette.websockets"
        )


def _may_be(kind: type, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> bool:
    """Whether *parameter* is a *kind*, or something that FastAPI injects, which may have got one."""
    hint = hints.get(parameter.name)
    return (
        (isinstance(hint, type) and issubclass(hint, kind))
        or get_origin(hint) is Annotated
        or parameter.default is not parameter.empty
    )


def _check_message(handler: AnyHandler, message: type) -> None:
    if not issubclass(message, Message):
        raise DeclarationError(
            f"{handler.label}: @on_message({message.__name__}), but {message.__name__} is no Message and cannot be "
            "published; derive it from Event, Command or Query of honeyhive.events"
        )


def _check_arguments(handler: AnyHandler, count: int, takes: str) -> None:
    try:
        inspect.signature(handler.function).bind(*[None] * (count + 1))
    except TypeError as error:
        raise DeclarationError(f"{handler.label} must take {takes}: {error}") from error
