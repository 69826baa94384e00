"""Decorators for plain classes: they leave facts on functions, and change and register nothing.

::

    @controller("/tasks")
    class Tasks:
        @post("/")
        async def create(self, task: NewTask) -> Task: ...

        @on_message(TaskCreated)
        async def index(self, message: TaskCreated) -> None: ...

        @every("0 3 * * *")
        async def sweep(self) -> None: ...

The functions stay what they are and can be called as such; a service reads the facts when it is built.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, get_args

from honeyhive.runtime.cron import Cron

if TYPE_CHECKING:
    from honeyhive.runtime.interceptors import Interceptor

__all__ = [
    "ControllerFacts",
    "MessageFacts",
    "MissedRuns",
    "RouteFacts",
    "ScheduleFacts",
    "SocketFacts",
    "controller",
    "delete",
    "every",
    "facts_of",
    "get",
    "on_message",
    "patch",
    "post",
    "put",
    "websocket",
]

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)

MissedRuns: TypeAlias = Literal["skip", "latest", "all"]
"""What becomes of ticks that passed while no scheduler ran: none of them is run, only the latest, or each."""

_FACTS: Final = "__honeyhive_facts__"


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """A method that answers requests."""

    method: str
    path: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SocketFacts:
    """A method that holds a WebSocket connection."""

    path: str


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """A method that handles messages of one type and its subtypes."""

    message: type
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """A method that runs on time."""

    cron: Cron
    missed: MissedRuns
    dispatch: bool


@dataclass(frozen=True, slots=True)
class ControllerFacts:
    """What holds for all methods of a class."""

    prefix: str = ""
    interceptors: Sequence[Interceptor] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


Facts: TypeAlias = RouteFacts | SocketFacts | MessageFacts | ScheduleFacts


def get(path: str = "", **options: Any) -> Callable[[F], F]:
    """Let a method answer GET requests.

    Args:
        path: Below the controller's prefix, with parameters in braces as FastAPI writes them.
        **options: Those of FastAPI's ``add_api_route``, such as ``status_code`` or ``response_model``.
    """
    return _route("GET", path, options)


def post(path: str = "", **options: Any) -> Callable[[F], F]:
    """Let a method answer POST requests; arguments as for `get`."""
    return _route("POST", path, options)


def put(path: str = "", **options: Any) -> Callable[[F], F]:
    """Let a method answer PUT requests; arguments as for `get`."""
    return _route("PUT", path, options)


def patch(path: str = "", **options: Any) -> Callable[[F], F]:
    """Let a method answer PATCH requests; arguments as for `get`."""
    return _route("PATCH", path, options)


def delete(path: str = "", **options: Any) -> Callable[[F], F]:
    """Let a method answer DELETE requests; arguments as for `get`."""
    return _route("DELETE", path, options)


def websocket(path: str = "") -> Callable[[F], F]:
    """Let a method hold WebSocket connections; it takes a ``WebSocket`` and what FastAPI can inject."""
    return _leave(SocketFacts(path))


def on_message(message: type, **options: Any) -> Callable[[F], F]:
    """Let a method handle messages of the type *message*; it takes the message as its one argument.

    Args:
        message: The type; subtypes are handled too.
        **options: Those of the bus's ``subscribe``.
    """
    if not isinstance(message, type):
        raise TypeError(f"on_message takes the type of the message, not {message!r}")
    return _leave(MessageFacts(message, options))


def every(cron: str, *, zone: tzinfo = UTC, missed: MissedRuns = "latest", dispatch: bool = False) -> Callable[[F], F]:
    """Let a method run on time: once for each tick, however many schedulers there are.

    Args:
        cron: Five fields, or six with seconds at the end: ``"*/15 * * * *"``, ``"* * * * * */5"``; or ``"@daily"``.
        zone: Where the hours of *cron* are told.
        missed: What becomes of ticks that passed while no scheduler ran.
        dispatch: Let a worker run it, instead of the scheduler itself.

    Raises:
        ValueError: *cron* is no cron expression, or *missed* none of the three words.
    """
    if missed not in get_args(MissedRuns):
        raise ValueError(f"missed={missed!r} is none of {', '.join(map(repr, get_args(MissedRuns)))}")
    return _leave(ScheduleFacts(Cron(cron, zone), missed, dispatch))


def controller(prefix: str = "", *, interceptors: Sequence[Interceptor] = (), **options: Any) -> Callable[[C], C]:
    """Say what holds for all methods of a class. A class without it has no prefix and no interceptors of its own.

    Args:
        prefix: Put before the paths of its routes and sockets.
        interceptors: Entered after those of the service, for its methods only.
        **options: Those of FastAPI's ``APIRouter``, such as ``tags`` or ``dependencies``.
    """

    def leave(cls: C) -> C:
        setattr(cls, _FACTS, ControllerFacts(prefix, tuple(interceptors), options))
        return cls

    return leave


def facts_of(cls: type) -> Iterator[tuple[str, Facts]]:
    """Yield what the methods of *cls* are declared to do, with their names, in the order of the class body."""
    for name in _names(cls):
        found = inspect.getattr_static(cls, name)
        for facts in getattr(getattr(found, "__func__", found), _FACTS, ()):
            yield name, facts


def controller_facts(cls: type) -> ControllerFacts:
    """Return what holds for all methods of *cls*."""
    found = vars(cls).get(_FACTS)
    return found if isinstance(found, ControllerFacts) else ControllerFacts()


def _route(method: str, path: str, options: Mapping[str, Any]) -> Callable[[F], F]:
    return _leave(RouteFacts(method, path, options))


def _leave(facts: Facts) -> Callable[[F], F]:
    def leave(function: F) -> F:
        if not inspect.isfunction(function):
            raise TypeError(f"{function!r} is no function; declare methods, below @staticmethod and the like")
        # Decorators run from the bottom up; the order on the page is the one that counts.
        setattr(function, _FACTS, (facts, *getattr(function, _FACTS, ())))
        return function

    return leave


def _names(cls: type) -> list[str]:
    """Return the names of *cls* and its bases, those of bases first, each once."""
    return list(dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base)))
