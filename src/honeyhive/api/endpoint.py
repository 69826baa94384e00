"""Methods of a client, written once and offered twice: ``create(...)`` blocks, ``create_async(...)`` is awaited.

::

    class EventsAPI(Resource):
        @endpoint
        def create(self, event: ...) -> Call[PostEventResponse]: ...

        create_async = awaited(create)

The function only describes the call; both methods take its parameters and return what the call is for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from honeyhive.api.flow import Flow

__all__ = ["Ask", "Asking", "Call", "Performer", "Resource", "awaited", "endpoint"]

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound="Resource")


@dataclass(frozen=True, slots=True)
class Ask:
    """One exchange with the service, without knowing where it is."""

    method: str
    path: str
    body: bytes
    key_kind: str = "project"
    """Which key it needs: project, ingestion or data_plane."""


class Asking(Protocol):
    """How a call's steps talk to the service: ``answer = yield from ask(Ask(...))``."""

    def __call__(self, ask: Ask) -> Flow[object]:
        """Return the JSON of the answer, ``None`` if it is empty.

        Raises:
            APIError: There was none, or it was a refusal.
        """
        ...


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """What a method does, described."""

    operation: str
    """For messages and statistics: ``events.create``."""
    steps: Callable[[Asking], Flow[T]]
    fallback: T
    """What the method returns instead when the service fails and the client is not strict."""


class Performer(Protocol):
    """What performs calls: the client."""

    def perform(self, call: Call[T]) -> T:
        """Perform *call*, blocking."""
        ...

    async def perform_async(self, call: Call[T]) -> T:
        """Perform *call* without blocking."""
        ...


class Resource:
    """A family of methods of a client."""

    def __init__(self, performer: Performer) -> None:
        self.performer = performer

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.performer!r}>"


class endpoint(Generic[R, P, T]):  # noqa: N801 - reads as a decorator
    """Turns a method that describes a call into one that performs it, blocking."""

    def __init__(self, describe: Callable[Concatenate[R, P], Call[T]]) -> None:
        self.describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...

    @overload
    def __get__(self, resource: R, owner: type) -> Callable[P, T]: ...

    def __get__(self, resource: R | None, owner: type) -> Self | Callable[P, T]:
        if resource is None:
            return self
        describe = functools.partial(self.describe, resource)

        @functools.wraps(self.describe)
        def perform(*args: P.args, **kwargs: P.kwargs) -> T:
            return resource.performer.perform(describe(*args, **kwargs))

        return _bound(perform, describe)


class awaited(Generic[R, P, T]):  # noqa: N801 - reads as a decorator
    """The same as another endpoint, as a coroutine method."""

    def __init__(self, blocking: endpoint[R, P, T]) -> None:
        self.describe = blocking.describe
        self.__doc__ = blocking.__doc__

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...

    @overload
    def __get__(self, resource: R, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, resource: R | None, owner: type) -> Self | Callable[P, Coroutine[Any, Any, T]]:
        if resource is None:
            return self
        describe = functools.partial(self.describe, resource)

        @functools.wraps(self.describe)
        async def perform(*args: P.args, **kwargs: P.kwargs) -> T:
            return await resource.performer.perform_async(describe(*args, **kwargs))

        return _bound(perform, describe)


F = TypeVar("F", bound=Callable[..., object])


def _bound(method: F, describe: Callable[..., object]) -> F:
    """Let introspection see the parameters without ``self``."""
    method.__wrapped__ = describe  # type: ignore[attr-defined] # what functools.wraps sets, one argument further
    return method
