"""The interceptor behind `use_publisher`: what an execution publishes leaves when it has succeeded, or not at all."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Self

import anyio
from anyio.abc import TaskGroup

from honeyhive.events import AsyncMessageBus, InMemoryMessageBus, Message, MessageBus, PublishResult
from honeyhive.events.messages import require_message
from honeyhive.exceptions import DeclarationError
from honeyhive.runtime.execution import Execution
from honeyhive.runtime.interceptors import Given
from honeyhive.utils.guard import guard

__all__ = ["Outlet", "Publisher", "Publishing", "refuse_blocking"]


class Publisher:
    """Takes the messages of one execution, in whose scope it is found under this class.

    Attributes:
        waiting: What was published so far, in order.
    """

    def __init__(self) -> None:
        self.waiting: list[Message] = []

    def publish(self, message: Message) -> Awaitable[PublishResult]:
        """Have *message* leave when the execution has succeeded.

        It is noted at once and on any thread, so that plain methods need not await it.

        Raises:
            TypeError: It is no message.
        """
        require_message(message)
        self.waiting.append(message)
        return PublishResult(message)


class Outlet:
    """Gives messages to *bus* and never waits for their handlers, between entering and leaving it.

    A bus with a broker takes a message and is done. A bus in memory calls the handlers itself: then they run beside, and
    what they raise stands in the log, on their spans and in the bus's dead letters, as it would with a broker.

    Args:
        bus: Takes the messages; stays open.

    Raises:
        DeclarationError: The bus would block the event loop.
    """

    def __init__(self, bus: MessageBus) -> None:
        refuse_blocking(bus)
        self._bus = bus
        self._beside: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._beside = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        beside, self._beside = self._beside, None
        if beside is not None:
            await beside.__aexit__(None, None, None)

    async def publish(self, message: Message) -> None:
        """Give *message* to the bus.

        Raises:
            RuntimeError: The outlet is not open.
        """
        if self._beside is None:
            raise RuntimeError("nothing can be published before the process is open, or after its end")
        if isinstance(self._bus, AsyncMessageBus):
            self._beside.start_soon(_call_handlers, self._bus, message)
            return
        published = self._bus.publish(message)
        if inspect.isawaitable(published):
            await published


class Publishing:
    """Publishes on *bus*, in order, what an execution has published, when everything inside has succeeded.

    Put it before `SqlSession`: then messages leave after the commit, and none of work that was rolled back. A process
    that dies between the two loses them; where that must not be, use an outbox.

    Args:
        bus: Takes the messages.
    """

    def __init__(self, bus: MessageBus) -> None:
        self._outlet = Outlet(bus)

    async def __aenter__(self) -> Self:
        await self._outlet.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._outlet.__aexit__(*error)

    def intercept(self, _: Execution) -> AbstractAsyncContextManager[object]:
        """Collect what is published, and publish it after the handler."""
        return Given(Publisher(), self._publish)

    async def _publish(self, publisher: Publisher) -> None:
        for message in publisher.waiting:
            await self._outlet.publish(message)


def refuse_blocking(bus: MessageBus) -> None:
    """Raise if *bus* calls its handlers where it is published, which inside an event loop it cannot.

    Raises:
        DeclarationError: It does.
    """
    if isinstance(bus, InMemoryMessageBus):
        raise DeclarationError(
            "a service runs in an event loop, where an InMemoryMessageBus cannot call its handlers; "
            "provide an AsyncMessageBus() as its MessageBus, or a bus with an engine"
        )


async def _call_handlers(bus: AsyncMessageBus, message: Message) -> None:
    with guard(f"publishing {message.type}"):
        await bus.deliver(message)
