"""Broadcasts: told to everybody who listens at the moment, once; whoever does not listen, or not fast enough, misses them."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from honeyhive.events.buses.dead_letters import DeadLetter
from honeyhive.events.buses.delivery import Dispatcher
from honeyhive.events.buses.order import KeyedOrder
from honeyhive.events.buses.subscriptions import Middleware, Subscription, Subscriptions
from honeyhive.events.messages import Message
from honeyhive.events.tracing import MessageTracing
from honeyhive.resilience import RetryPolicy
from honeyhive.utils.clock import Clock

__all__ = ["Audience", "Backlogs", "tell_of_failure"]

_logger = logging.getLogger("honeyhive.events")

_ONCE = RetryPolicy(max_attempts=1)
_BACKLOG = 1_000


class Audience:
    """Those who listen in this process. Each hears in order, and none waits for another. For one event loop.

    Args:
        tracing: Makes the spans.
        clock: Tells the time.
        middleware: Wrapped around each listener, the first outermost.
        timeout_s: How long a listener may take, in seconds; ``None`` for no limit.

    Attributes:
        listeners: Who they are.
    """

    def __init__(
        self, tracing: MessageTracing, clock: Clock, *, middleware: Sequence[Middleware], timeout_s: float | None
    ) -> None:
        self.listeners = Subscriptions(middleware)
        self._order = KeyedOrder()
        self._dispatcher = Dispatcher(
            retry=_ONCE,
            timeout_s=timeout_s,
            concurrency=sys.maxsize,
            tracing=tracing,
            clock=clock,
            bury=tell_of_failure,
        )

    async def tell(self, message: Message) -> None:
        """Return when all of them have heard *message*; what one raises is on its span and in the log."""
        import anyio

        async with anyio.create_task_group() as tasks:
            for listener in self.listeners.of(message):
                tasks.start_soon(self._tell_in_turn, listener, message)

    async def tell_one(self, listener: Subscription, message: Message) -> None:
        """Return when *listener* has heard *message*."""
        await self._dispatcher.handle(message, listener)

    async def _tell_in_turn(self, listener: Subscription, message: Message) -> None:
        async with self._order.turn(str(id(listener))):
            await self.tell_one(listener, message)


@dataclass(slots=True)
class _Backlog:
    """What one listener has yet to hear."""

    waiting: deque[Message]
    missed: int = 0


class Backlogs:
    """What the listeners have yet to hear; one whose backlog is full misses what comes. For one event loop of asyncio.

    Args:
        audience: The listeners.
        capacity: How many messages may wait for a listener.
    """

    def __init__(self, audience: Audience, capacity: int = _BACKLOG) -> None:
        self._audience = audience
        self._capacity = capacity
        self._backlogs: dict[Subscription, _Backlog] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, message: Message) -> None:
        """Have *message* told to all who listen to such."""
        for listener in self._audience.listeners.of(message):
            backlog = self._backlogs.get(listener)
            if backlog is None:
                self._begin(listener, message)
            elif len(backlog.waiting) < self._capacity:
                backlog.waiting.append(message)
            else:
                _miss(listener, backlog)

    async def cancel(self) -> None:
        """Forget what waits, cancel what runs, and return when all has ended."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, listener: Subscription, message: Message) -> None:
        backlog = self._backlogs[listener] = _Backlog(deque([message]))
        task = asyncio.create_task(self._work_off(listener, backlog))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work_off(self, listener: Subscription, backlog: _Backlog) -> None:
        try:
            while backlog.waiting and listener in self._audience.listeners:
                await self._audience.tell_one(listener, backlog.waiting.popleft())
        finally:
            del self._backlogs[listener]
            if backlog.missed:
                _logger.warning("%s has missed %d broadcasts", listener.name, backlog.missed)


def _miss(listener: Subscription, backlog: _Backlog) -> None:
    if not backlog.missed:
        _logger.warning("%s does not keep up with broadcasts, and misses what comes until it does", listener.name)
    backlog.missed += 1


def tell_of_failure(letter: DeadLetter) -> None:
    """Log that a listener has failed: nothing else becomes of it."""
    _logger.warning("%s failed at a broadcast of %s: %s", letter.handler, letter.message.type, letter.error)
