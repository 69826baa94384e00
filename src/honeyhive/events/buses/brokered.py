"""A bus that stands on an engine: it stores messages, forwards them, and handles them in any number of processes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar

from honeyhive.events.bus import Broadcaster, Handler, MessageBus, PublishResult
from honeyhive.events.buses.broadcasts import Audience, Backlogs
from honeyhive.events.buses.broker import Broker, Delivery, Parcel
from honeyhive.events.buses.dead_letters import (
    BrokerDeadLetters,
    DeadLetter,
    never_survived,
    unreadable,
    unreadable_message,
)
from honeyhive.events.buses.delivery import Dispatcher, log_errors, raise_errors
from honeyhive.events.buses.home import Home
from honeyhive.events.buses.lanes import Lanes
from honeyhive.events.buses.listener import Listener, Session
from honeyhive.events.buses.partitions import unless
from honeyhive.events.buses.subscriptions import Middleware, Subscription, Subscriptions
from honeyhive.events.codec import MessageCodec
from honeyhive.events.lineage import note_delivery
from honeyhive.events.messages import Message, require_message
from honeyhive.events.tracing import MessageTracing, continued
from honeyhive.exceptions import BusClosedError, MessageFormatError, PublishError
from honeyhive.resilience import RetryPolicy
from honeyhive.resilience.facts import reason_of
from honeyhive.utils.clock import Clock, SystemClock
from honeyhive.utils.guard import guard

__all__ = ["BrokerMessageBus", "BusOptions"]

M = TypeVar("M", bound=Message)
T = TypeVar("T")

_logger = logging.getLogger("honeyhive.events")

_HANDLING = RetryPolicy(max_attempts=5, delay=0.5, max_delay=30)
_PUBLISHING = RetryPolicy(max_attempts=None, delay=0.1, max_delay=2, max_age=30)
_RECONNECTING = RetryPolicy(max_attempts=None, delay=0.1, max_delay=5)


class BusOptions(TypedDict, total=False):
    """What every bus on an engine can be told; see `BrokerMessageBus`."""

    retry: RetryPolicy
    timeout_s: float | None
    concurrency: int
    max_deliveries: int
    publishing: RetryPolicy
    middleware: Sequence[Middleware]
    codec: MessageCodec | None
    clock: Clock | None


class BrokerMessageBus(MessageBus, Broadcaster):
    """Publishes to an engine, and handles what comes from it; a message is acknowledged when its handlers are done.

    Every message goes to each group once. The processes of a group share the work; messages with the same key are handled
    in order all the same. A handler that fails is called again after a pause, while later messages of the same key wait;
    what fails for good becomes a dead letter. When a process dies, or the engine restarts, what was not acknowledged is
    handed out again: so a handler may see a message twice, and `idempotent` makes its effect happen once.

    What is broadcast goes to all listeners of all groups instead, past the streams: nothing of the above holds for it.

    Used with ``async with`` the bus lives in that event loop. Used without any event loop it lives on a thread of its own,
    ``with`` opens and closes it there, and ``publish`` blocks until the engine has the message. The first ``publish``
    opens a bus that is not open. Handlers that are functions run on worker threads, and may publish there.

    Args:
        broker: The engine.
        retry: How often a failed handler is called again.
        timeout_s: How long a handler may take, in seconds; ``None`` for no limit.
        concurrency: How many handlers may run at once in this process.
        max_deliveries: After so many deliveries that no handler has survived a message becomes a dead letter.
        publishing: How long to try to reach the engine before ``publish`` raises.
        middleware: Wrapped around each handler, the first outermost.
        codec: Writes and reads messages.
        clock: Tells the time.

    Attributes:
        dead_letters: What handlers of this group have failed for good.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        retry: RetryPolicy = _HANDLING,
        timeout_s: float | None = None,
        concurrency: int = 10,
        max_deliveries: int = 20,
        publishing: RetryPolicy = _PUBLISHING,
        middleware: Sequence[Middleware] = (),
        codec: MessageCodec | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._broker = broker
        self._clock = clock or SystemClock()
        self._codec = codec or MessageCodec()
        self._max_deliveries = max_deliveries
        self._publishing = dataclasses.replace(publishing, exceptions=broker.errors)
        self._subscriptions = Subscriptions(middleware)
        self._tracing = MessageTracing(broker.system, broker.topology.name, broker.topology.group, continuing=True)
        self.dead_letters = BrokerDeadLetters(broker, self._codec)
        self._dispatcher = Dispatcher(
            retry=retry,
            timeout_s=timeout_s,
            concurrency=concurrency,
            tracing=self._tracing,
            clock=self._clock,
            bury=self._bury,
        )
        self._home = Home(f"honeyhive-bus-{broker.topology.name}")
        self._audience = Audience(self._tracing, self._clock, middleware=middleware, timeout_s=timeout_s)
        self._backlogs = Backlogs(self._audience)
        self._lanes: Lanes | None = None
        self._listener: Listener | None = None
        self._ear: Listener | None = None
        self._opening: asyncio.Lock | None = None
        self._is_open = self._is_closed = False
        # Those who want to hear have changed so often, and so many changes are known to what listens.
        self._changes, self._settled = 0, -1
        self._capacity = concurrency * 4
        self._handled = Recent(10_000)

    # -- what everybody calls ----------------------------------------------------------------

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

        A bus begins to listen when it is open and has a handler; what others publish before that is not for its group.

        Args:
            message_type: A class, or a pattern of type names such as ``"order.*"``.
            handler: A function, a coroutine function, or an object with a method ``handle``.
            group: Handlers of this process with the same *group* take turns.
            retry: How often it is called again when it fails; as the bus does by default.
            timeout_s: How long it may take, in seconds; as the bus allows by default.

        Returns:
            The subscription, which can be cancelled.

        Raises:
            TypeError: *handler* cannot handle anything, or *message_type* is neither class nor pattern.
        """
        subscription = self._subscriptions.add(message_type, handler, group=group, retry=retry, timeout_s=timeout_s)
        self._begin_to_listen()
        return subscription

    def listen(self, message_type: type[M] | str, handler: Handler[M]) -> Subscription:
        """Have *handler* called with every message of *message_type* that is broadcast, in whichever process.

        It hears what is broadcast from when the bus is open, one message after the other; with more than a thousand of
        them waiting it misses what comes. `drain` does not end it, closing the bus does.

        Args:
            message_type: A class, or a pattern of type names such as ``"order.*"``.
            handler: A function, a coroutine function, or an object with a method ``handle``.

        Returns:
            The subscription, which can be cancelled.

        Raises:
            TypeError: *handler* cannot handle anything, or *message_type* is neither class nor pattern.
        """
        listener = self._audience.listeners.add(message_type, handler)
        self._begin_to_listen()
        return listener

    def publish(self, message: Message) -> Awaitable[PublishResult]:
        """Send *message*; returns, when awaited or at once outside the bus's event loop, when the engine has it safe.

        Raises:
            BusClosedError: The bus was closed, or lives in another event loop.
            MessageFormatError: The message cannot be written.
            PublishError: The engine could not be reached in time.
            TypeError: *message* is none.
        """
        require_message(message)
        return self._publish(message) if self._home.is_here() else self._home.wait(self._publish(message))

    def broadcast(self, message: Message) -> Awaitable[PublishResult]:
        """Tell *message* to all who listen; returns, as `publish` does, when the engine has passed it on.

        Raises:
            BusClosedError: The bus was closed, or lives in another event loop.
            MessageFormatError: The message cannot be written.
            PublishError: The engine cannot be reached now.
            TypeError: *message* is none.
        """
        require_message(message)
        return self._broadcast(message) if self._home.is_here() else self._home.wait(self._broadcast(message))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of this bus from outside its event loop, and wait: ``bus.run(bus.dead_letters.list())``."""
        if self._home.is_here():
            coroutine.close()
            raise BusClosedError("inside the event loop of the bus, await the coroutine instead of running it")
        return self._home.wait(coroutine)

    async def open(self) -> None:
        """Connect, and listen if there are handlers; what is published from here on reaches them.

        Raises:
            BusClosedError: The bus was closed, or lives in another event loop.
            PublishError: The engine could not be reached in time.
        """
        self._home.is_here()
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            self._refuse_if_closed()
            if not self._is_open:
                await self._persistently(self._publishing, self._connect)
                if self._is_closed:  # meanwhile
                    await self._broker.aclose()
                self._refuse_if_closed()
                self._is_open = True
            for listener in self._listen():
                await listener.ready()

    async def drain(self) -> None:
        """Take no more messages, and return when all that was delivered is handled. Publishing and broadcasts go on."""
        if self._listener is not None:
            await self._listener.drain()

    async def aclose(self, timeout_s: float = 30.0) -> None:
        """Drain, for *timeout_s* seconds at most, and disconnect. What is not handled by then comes again later."""
        self._is_closed = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.drain(), timeout_s)
        if self._listener is not None and self._lanes is not None:
            await self._lanes.cancel()
            await self._listener.aclose()
            self._listener = None
        if self._ear is not None:
            await self._ear.aclose()
            await self._backlogs.cancel()
            self._ear = None
        if self._is_open:
            self._is_open, self._settled = False, -1
            with guard("close bus"):
                await self._broker.aclose()

    async def replay(self, letter: DeadLetter) -> PublishResult:
        """Bring the message of *letter* to the handler that failed it, here; when it succeeds, the letter is gone.

        Raises:
            LookupError: That handler is not subscribed here.
        """
        await self.open()
        subscription = self._subscriptions.named(letter.handler, letter.message)
        outcomes = await self._dispatcher.deliver(letter.message, (subscription,))
        await self.dead_letters.discard(letter)
        raise_errors(letter.message, outcomes)
        return PublishResult(letter.message, outcomes)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        self.run(self.open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Do what `aclose` does, from outside the event loop of the bus."""
        self._is_closed = True
        if self._home.loop is not None:
            self.run(self.aclose())
        self._home.close()

    # -- sending -----------------------------------------------------------------------------

    async def _publish(self, message: Message) -> PublishResult:
        if self._settled != self._changes:
            await self._settle()
        with self._tracing.publishing(message) as trace_context:
            body = self._codec.encode(message, trace_context=trace_context)
            key = message.key or message.id
            parcel = Parcel(message.id, key, self._broker.topology.partition_of(key), body)
            await self._persistently(self._publishing, self._broker.send, parcel)
        return PublishResult(message)

    async def _broadcast(self, message: Message) -> PublishResult:
        if self._settled != self._changes:
            await self._settle()
        with self._tracing.publishing(message) as trace_context:
            body = self._codec.encode(message, trace_context=trace_context)
            try:
                await self._broker.broadcast(body)
            except self._broker.errors as error:
                raise self._unreachable(error) from error
        return PublishResult(message)

    async def _settle(self) -> None:
        """Return when the bus is open, and those who want to hear in this process will."""
        changes = self._changes
        if not self._is_open:
            await self.open()
        for listener in self._listen():
            await listener.ready()
        self._settled = changes

    async def _connect(self) -> None:
        await self._broker.connect(consuming=len(self._subscriptions) > 0)

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise BusClosedError("the bus was closed; make a new one")

    async def _persistently(self, policy: RetryPolicy, call: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Call again while the engine cannot be reached, as long as *policy* allows."""
        began_s, attempts = self._clock.monotonic(), None
        while True:
            try:
                return await call(*args)
            except self._broker.errors as error:
                attempts = attempts or policy.begin(self._clock, began_s=began_s)
                pause_s = attempts.pause_after(error)
                if pause_s is None:
                    raise self._unreachable(error) from error
            await asyncio.sleep(pause_s)

    def _unreachable(self, error: Exception) -> PublishError:
        return PublishError(f"{self._broker.system} could not be reached: {error}")

    # -- handling ----------------------------------------------------------------------------

    def _begin_to_listen(self) -> None:
        self._changes += 1
        if self._is_open and self._home.loop is not None:
            self._home.loop.call_soon_threadsafe(self._listen)

    def _listen(self) -> tuple[Listener, ...]:
        """Return what listens to the engine, begun where somebody wants to hear and nothing listens yet."""
        if not self._is_open:
            return ()
        if self._listener is None and len(self._subscriptions):
            self._lanes = Lanes(self._capacity)
            self._listener = self._listener_for(self._consume)
        if self._ear is None and len(self._audience.listeners):
            self._ear = self._listener_for(self._overhear)
        return tuple(each for each in (self._listener, self._ear) if each is not None)

    def _listener_for(self, session: Session) -> Listener:
        return Listener(self._broker, session, _RECONNECTING, self._clock)

    async def _consume(self, begun: Callable[[], None], stopping: asyncio.Event) -> None:
        await self._broker.connect(consuming=True)
        begun()
        await self._broker.consume(self._accept, stopping)

    async def _overhear(self, begun: Callable[[], None], stopping: asyncio.Event) -> None:
        await self._broker.connect(consuming=False)
        await unless(stopping, self._broker.listen(self._hear, begun))

    def _hear(self, body: bytes) -> None:
        try:
            message = self._codec.decode(body)
        except MessageFormatError as error:
            _logger.warning("a broadcast cannot be read: %s", error)
            self._tracing.rejected(unreadable_message(body), reason_of(error))
        else:
            self._backlogs.add(message)

    async def _accept(self, delivery: Delivery) -> None:
        """Read a delivery and put it behind those of the same key."""
        if self._lanes is None:  # pragma: no cover -- made together with the listener
            return
        try:
            message = self._codec.decode(delivery.body)
        except MessageFormatError as error:
            letter = unreadable(delivery.body, error, self._clock)
            await self._lanes.put(letter.id, lambda: self._set_aside(delivery, letter))
            return
        await self._lanes.put(message.key or message.id, lambda: self._handle(delivery, message))

    async def _handle(self, delivery: Delivery, message: Message) -> None:
        """Handle one delivery to its end: acknowledged, or buried and acknowledged."""
        with guard("handle message"):
            if message.id not in self._handled:
                if delivery.count > self._max_deliveries:
                    await self._reject(never_survived(message, delivery.count, self._clock))
                else:
                    note_delivery(message, delivery.count)
                    outcomes = await self._dispatcher.deliver(message, self._subscriptions.of(message))
                    if failed := [each for each in outcomes if each.error is not None]:
                        with continued(message.trace_context):
                            log_errors(message, failed)
                self._handled.add(message.id)
            await self._acknowledge(delivery)

    async def _set_aside(self, delivery: Delivery, letter: DeadLetter) -> None:
        with guard("bury message"):
            await self._reject(letter)
            await self._acknowledge(delivery)

    async def _reject(self, letter: DeadLetter) -> None:
        self._tracing.rejected(letter.message, letter.error)
        _logger.error("%s (%s) reaches no handler: %s", letter.message.type, letter.message.id, letter.error)
        await self._bury(letter)

    async def _bury(self, letter: DeadLetter) -> None:
        # A message must not be acknowledged before its letter is safe, however long that takes.
        written = self.dead_letters.written(letter)
        await self._persistently(_RECONNECTING, self._broker.bury, written)

    async def _acknowledge(self, delivery: Delivery) -> None:
        try:
            await delivery.ack()
        except self._broker.errors as error:
            # It will be handed out again, and is known to be handled then.
            _logger.info("%s did not take an acknowledgement: %s", self._broker.system, error)


class Recent:
    """Remembers the last so many names.

    Args:
        capacity: How many.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._names: OrderedDict[str, None] = OrderedDict()

    def add(self, name: str) -> None:
        """Remember *name*, and forget the oldest one where there are too many."""
        self._names[name] = None
        if len(self._names) > self._capacity:
            self._names.popitem(last=False)

    def __contains__(self, name: str) -> bool:
        return name in self._names
