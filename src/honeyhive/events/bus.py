"""What a message bus is, and what publishing and broadcasting on it tells."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Protocol, Self, TypeAlias, TypeVar, runtime_checkable

from honeyhive.events.messages import Message

__all__ = ["Broadcaster", "Handler", "HandlerObject", "MessageBus", "Outcome", "PublishResult"]

M = TypeVar("M", bound=Message)
M_contra = TypeVar("M_contra", bound=Message, contravariant=True)


class HandlerObject(Protocol[M_contra]):
    """An object that handles messages with a method, synchronous or not."""

    def handle(self, message: M_contra, /) -> Any: ...


Handler: TypeAlias = Callable[[M], Any] | HandlerObject[M]
"""What handles messages: a function, a coroutine function, or an object with a method ``handle``."""


@runtime_checkable
class MessageBus(Protocol):
    """Brings messages to their handlers.

    Any class with these two methods is one; nothing need be inherited. Of an asynchronous bus ``publish`` is a coroutine
    function.
    """

    def subscribe(self, message_type: type[M], handler: Handler[M]) -> Any:
        """Have *handler* called with every message of *message_type* and of its subclasses."""
        ...

    def publish(self, message: Message) -> Any:
        """Bring *message* to its handlers."""
        ...


@runtime_checkable
class Broadcaster(Protocol):
    """Tells messages to every process at once, where `MessageBus` has the processes of a group share them.

    Who listens hears what is broadcast from then on, once at most, and what one process broadcasts in its order. Nothing
    is kept for those who do not listen at the moment, and nothing is tried again. A listener that is slow or fails keeps
    nothing from the others, and the broadcaster learns nothing of it. All buses of `honeyhive.events` are broadcasters;
    what is published and what is broadcast do not mix.
    """

    def listen(self, message_type: type[M], handler: Handler[M]) -> Any:
        """Have *handler* called with every message of *message_type* and of its subclasses that is broadcast.

        What is returned has a method ``cancel``.
        """
        ...

    def broadcast(self, message: Message) -> Any:
        """Tell *message* to all who listen, in this process and in others."""
        ...


class Outcome(NamedTuple):
    """What became of a message at one handler.

    Attributes:
        handler: The handler's name.
        value: What it returned.
        error: What it raised last, if it failed for good.
        attempts: How often it was tried.
    """

    handler: str
    value: Any = None
    error: Exception | None = None
    attempts: int = 1


class PublishResult(NamedTuple):
    """What became of a message that was published.

    It may be awaited, and is its own result: so ``await bus.publish(...)`` is right on every bus.

    Attributes:
        message: The message.
        outcomes: One for each handler, in the order of subscription; none yet on a bus that stores and forwards, and
            none ever of a broadcast.
    """

    message: Message
    outcomes: tuple[Outcome, ...] = ()

    @property
    def errors(self) -> tuple[Exception, ...]:
        """What handlers have raised."""
        return tuple(each.error for each in self.outcomes if each.error is not None)

    @property
    def value(self) -> Any:
        """What the handler returned, for messages that have one handler, such as queries.

        Raises:
            LookupError: There was no handler, or more than one.
        """
        if len(self.outcomes) != 1:
            raise LookupError(f"{len(self.outcomes)} handlers received {self.message.type}, so there is no one answer")
        return self.outcomes[0].value

    def __await__(self) -> Generator[None, None, Self]:
        return self
        yield  # makes it a generator, which is what Python awaits
