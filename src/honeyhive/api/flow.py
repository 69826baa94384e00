"""What a call does, written once: a generator that yields what it wants done and is told how it went.

A flow yields ``Send`` and is sent the ``Reply``, or has the transport's error raised at the ``yield``; it yields
``Wait`` and goes on afterwards. It touches neither sockets nor clocks, so one flow serves blocking and asynchronous
callers, and its tests need neither. The two drivers below are all that differs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

from honeyhive.api.transport import Reply, Request, Transport
from honeyhive.exceptions import APIError
from honeyhive.utils.clock import Clock

__all__ = ["Flow", "Send", "Wait", "run", "run_async"]

T = TypeVar("T")


class Send(NamedTuple):
    """Send this; go on with the reply."""

    request: Request
    timeout_s: float
    limit_bytes: int


class Wait(NamedTuple):
    """Go on after so many seconds."""

    seconds: float


Flow: TypeAlias = Generator[Send | Wait, Reply | None, T]


def run(flow: Flow[T], transport: Transport, clock: Clock) -> T:
    """Drive *flow* to its result, blocking."""
    proceed: Callable[[], Send | Wait] = partial(next, flow)
    reply = None
    try:
        while True:
            step = proceed()
            try:
                if isinstance(step, Wait):
                    clock.sleep(step.seconds)
                else:
                    reply = transport.send(*step)
            except APIError as error:
                proceed = partial(flow.throw, error)
            else:
                proceed = partial(flow.send, reply)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # what a generator returns travels untyped
    finally:
        flow.close()


async def run_async(flow: Flow[T], transport: Transport) -> T:
    """Drive *flow* to its result, on asyncio or trio; cancelling ends it where it is."""
    import anyio

    proceed: Callable[[], Send | Wait] = partial(next, flow)
    reply = None
    try:
        while True:
            step = proceed()
            try:
                if isinstance(step, Wait):
                    await anyio.sleep(step.seconds)
                else:
                    reply = await transport.send_async(*step)
            except APIError as error:
                proceed = partial(flow.throw, error)
            else:
                proceed = partial(flow.send, reply)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # what a generator returns travels untyped
    finally:
        flow.close()
