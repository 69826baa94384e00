"""A bus in memory for programs with an event loop, on asyncio and trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import anyio.from_thread

from honeyhive.events.bus import Broadcaster, Handler, MessageBus, Outcome, PublishResult
from honeyhive.events.buses.broadcasts import Audience
from honeyhive.events.buses.dead_letters import DeadLetter, InMemoryDeadLetters
from honeyhive.events.buses.delivery import Dispatcher, log_errors, raise_errors, runs_event_loop
from honeyhive.events.buses.order import KeyedOrder
from honeyhive.events.buses.subscriptions import Middleware, Subscription, Subscriptions
from honeyhive.events.messages import Message, require_message
from honeyhive.events.tracing import MessageTracing
from honeyhive.exceptions import BusClosedError
from honeyhive.resilience import RetryPolicy
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["AsyncMessageBus"]

M = TypeVar("M", bound=Message)

_ONCE = RetryPolicy(max_attempts=1)


class AsyncMessageBus(MessageBus, Broadcaster):
    """Runs all handlers of a message at once and waits for them; the event loop is never blocked.

    Coroutine functions run in the event loop, functions on worker threads. ``publish`` raises what handlers have raised,
    as `InMemoryMessageBus` does. Messages with the same key are handled one after the other, others at the same time.
    What a handler publishes and waits for is part of its own work: it waits neither for a turn nor for a slot.

    A bus belongs to one event loop. ``async with`` closes it, letting what is under way finish.

    Args:
        retry: How often a failed handler is called again; once in all by default.
        timeout_s: How long a handler may take, in seconds; then it is cancelled, or where it runs on a thread left to
            itself, and has failed with ``TimeoutError``. ``None`` for no limit.
        concurrency: How many handlers may run at once.
        middleware: Wrapped around each handler, the first outermost.
        clock: Tells the time.

    Attributes:
        dead_letters: What handlers have failed for good.
    """

    def __init__(
        self,
        *,
        retry: RetryPolicy = _ONCE,
        timeout_s: float | None = None,
        concurrency: int = 100,
        middleware: Sequence[Middleware] = (),
        clock: Clock | None = None,
    ) -> None:
        self.dead_letters = InMemoryDeadLetters()
        self._subscriptions = Subscriptions(middleware)
        self._tracing = MessageTracing("in_memory", "memory")
        self._order = KeyedOrder()
        clock = clock or SystemClock()
        self._dispatcher = Dispatcher(
            retry=retry,
            timeout_s=timeout_s,
            concurrency=concurrency,
            tracing=self._tracing,
            clock=clock,
            bury=self.dead_letters.add,
        )
        self._audience = Audience(self._tracing, clock, middleware=middleware, timeout_s=timeout_s)
        self._under_way = 0
        self._idle: anyio.Event | None = None
        self._is_closed = False

    def subscribe(
        self,
        message_type: type[M] | str,
        handler: Handler[M],
        *,
        group: str | None = None,
        retry: RetryPolicy | None = None,
        timeout_s: float | None = None,
    ) -> Subscription:
        """Have *handler* called with every message of *message_type* and of its subclasses.

        Args:
            message_type: A class, or a pattern of type names such as ``"order.*"``.
            handler: A function, a coroutine function, or an object with a method ``handle``.
            group: Handlers of one group take turns: each message goes to one of them.
            retry: How often it is called again when it fails; as the bus does by default.
            timeout_s: How long it may take, in seconds; as the bus allows by default.

        Returns:
            The subscription, which can be cancelled.

        Raises:
            TypeError: *handler* cannot handle anything, or *message_type* is neither class nor pattern.
        """
        return self._subscriptions.add(message_type, handler, group=group, retry=retry, timeout_s=timeout_s)

    def listen(self, message_type: type[M] | str, handler: Handler[M]) -> Subscription:
        """Have *handler* called with every message of *message_type* that is broadcast, one after the other.

        Args:
            message_type: A class, or a pattern of type names such as ``"order.*"``.
            handler: A function, a coroutine function, or an object with a method ``handle``.

        Returns:
            The subscription, which can be cancelled.

        Raises:
            TypeError: *handler* cannot handle anything, or *message_type* is neither class nor pattern.
        """
        return self._audience.listeners.add(message_type, handler)

    def publish(self, message: Message) -> Awaitable[PublishResult]:
        """Bring *message* to its handlers; awaited, return what they returned.

        On a worker thread of this event loop, where functions are handlers, it need not be awaited and blocks instead.

        Raises:
            BusClosedError: The bus was closed, or this is no thread of an event loop.
            TypeError: *message* is none.
            ExceptionGroup: Several handlers failed; one that fails alone raises its own error.
        """
        return _in_loop(self._publish, message)

    def broadcast(self, message: Message) -> Awaitable[PublishResult]:
        """Tell *message* to all who listen; awaited, return when they have heard it. What one raises is on its span.

        Like `publish` it blocks instead on a worker thread.

        Raises:
            BusClosedError: The bus was closed, or this is no thread of an event loop.
            TypeError: *message* is none.
        """
        return _in_loop(self._broadcast, message)

    async def deliver(self, message: Message) -> PublishResult:
        """Bring *message* to its handlers as a bus with an engine would: what they raise is in the log and the result.

        For those who do not wait for the handlers, and must not be told of their errors.

        Raises:
            BusClosedError: The bus was closed.
            TypeError: *message* is none.
        """
        require_message(message)
        self._refuse_if_closed()
        with self._tracing.publishing(message):
            outcomes = await self._bring(message, self._subscriptions.of(message))
            log_errors(message, outcomes)
        return PublishResult(message, outcomes)

    async def replay(self, letter: DeadLetter) -> PublishResult:
        """Bring the message of *letter* to the handler that failed it; when it succeeds, the letter is gone.

        Raises:
            LookupError: That handler is not subscribed here.
        """
        subscription = self._subscriptions.named(letter.handler, letter.message)
        self.dead_letters.discard(letter)
        return _result(letter.message, await self._bring(letter.message, (subscription,)))

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            if self._idle is None:
                self._idle = anyio.Event()
            await self._idle.wait()

    async def aclose(self) -> None:
        """Refuse what is published from here on, and wait until nothing is under way."""
        self._is_closed = True
        await self.drain()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _publish(self, message: Message) -> PublishResult:
        self._refuse_if_closed()
        with self._tracing.publishing(message):
            return _result(message, await self._bring(message, self._subscriptions.of(message)))

    async def _broadcast(self, message: Message) -> PublishResult:
        self._refuse_if_closed()
        with self._tracing.publishing(message), self._busy():
            await self._audience.tell(message)
        return PublishResult(message)

    async def _bring(self, message: Message, subscriptions: Sequence[Subscription]) -> tuple[Outcome, ...]:
        with self._busy():
            async with self._order.turn(message.key):
                return await self._dispatcher.deliver(message, subscriptions)

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise BusClosedError("the bus was closed; publish before aclose(), or make a new bus")

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Count the block among what is under way."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way and self._idle is not None:
                self._idle.set()
                self._idle = None


def _result(message: Message, outcomes: tuple[Outcome, ...]) -> PublishResult:
    raise_errors(message, outcomes)
    return PublishResult(message, outcomes)


def _in_loop(
    send: Callable[[Message], Coroutine[Any, Any, PublishResult]], message: Message
) -> Awaitable[PublishResult]:
    """Return what is to be awaited inside the event loop; on one of its worker threads do it and return the result."""
    require_message(message)
    if runs_event_loop():
        return send(message)
    try:
        return anyio.from_thread.run(send, message)
    except RuntimeError as error:
        if "worker thread" not in str(error):
            raise
        raise BusClosedError(
            "an AsyncMessageBus publishes inside an event loop: await bus.publish(...) in a coroutine, "
            "or use an InMemoryMessageBus"
        ) from error
