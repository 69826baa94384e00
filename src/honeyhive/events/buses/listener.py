"""Listening to an engine, over and over, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

from honeyhive.events.buses.broker import Broker
from honeyhive.events.lineage import handling
from honeyhive.resilience import RetryPolicy
from honeyhive.resilience.facts import reason_of
from honeyhive.utils.clock import Clock
from honeyhive.utils.guard import guard

__all__ = ["Listener", "Session"]

_logger = logging.getLogger("honeyhive.events")

_LONGEST_PAUSE_S = 5.0

Session: TypeAlias = Callable[[Callable[[], None], asyncio.Event], Awaitable[None]]
"""Listens until the event is set, or raises when the engine is away; calls the function when nothing is missed any more."""


class Listener:
    """Takes what an engine has for us; connects again when the engine was away. For one event loop of asyncio.

    Args:
        broker: The engine.
        session: Listens to it, as long as it is there.
        reconnecting: How long to pause while the engine cannot be reached.
        clock: Tells the time.
    """

    def __init__(self, broker: Broker, session: Session, reconnecting: RetryPolicy, clock: Clock) -> None:
        self._broker = broker
        self._session = session
        self._reconnecting = reconnecting
        self._clock = clock
        self._attempts = reconnecting.begin(clock)
        self._stopping = asyncio.Event()
        self._ready = asyncio.Event()
        with handling(None):  # the handler that opened the bus has no part in what comes
            self._task = asyncio.create_task(self._listen())

    @property
    def is_ready(self) -> bool:
        """Whether what is sent from here on will come."""
        return self._ready.is_set()

    async def ready(self) -> None:
        """Return when what is sent from here on will come."""
        await self._ready.wait()

    async def drain(self) -> None:
        """Take no more; return when the session has ended in good order."""
        self._stopping.set()
        await asyncio.wait({self._task})

    async def aclose(self) -> None:
        """Stop at once."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _listen(self) -> None:
        while not self._stopping.is_set():
            for error in await self._listen_once():
                self._tell(error)
                pause_s = self._attempts.pause_after(error)
                await self._pause(_LONGEST_PAUSE_S if pause_s is None else pause_s)

    async def _listen_once(self) -> list[Exception]:
        """Listen until told to stop or the engine is away; return what went wrong."""
        errors: list[Exception] = []
        with guard("listen", lambda _, error: errors.append(error)):
            await self._session(self._begin, self._stopping)
        return errors

    def _begin(self) -> None:
        self._ready.set()
        self._attempts = self._reconnecting.begin(self._clock)

    def _tell(self, error: Exception) -> None:
        system = self._broker.system
        causes = list(_leaves(error))
        if all(isinstance(each, self._broker.errors) for each in causes):
            _logger.warning("lost the connection to %s, and will connect again: %s", system, reason_of(causes[0]))
        else:
            _logger.error("listening to %s failed, and will begin anew", system, exc_info=error)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def _leaves(error: Exception) -> Iterator[Exception]:
    """Yield the errors that make up a group, however deep; of any other error, itself."""
    if isinstance(error, ExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
