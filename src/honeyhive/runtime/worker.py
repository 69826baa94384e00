"""The worker runtime: brings the messages of a bus to the handlers declared with ``@on_message``.

How often a handler is tried, how many run at once, and where messages end that fail for good, is the bus's affair; what
is set up around each try is the service's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final, Protocol, cast

import anyio

from honeyhive.events import Message, MessageBus, delivery_count
from honeyhive.exceptions import DeclarationError
from honeyhive.runtime.assembly import Handler, Process
from honeyhive.runtime.declaring import MessageFacts, ScheduleFacts
from honeyhive.runtime.execution import MessageExecution, ScheduleExecution
from honeyhive.runtime.publishing import Outlet, refuse_blocking
from honeyhive.utils import Clock, SystemClock

__all__ = ["ScheduledRun", "Worker", "bus_of", "dispatching", "worker_of"]

_failures: Final[ContextVar[tuple[str, int]]] = ContextVar("honeyhive_failures", default=("", 0))
"""The execution that failed last in this task, and how often: a bus tries again in the task of the first try."""

_new: Final = object.__new__
"""Calling a class with keywords puts them into a dictionary, which is dearer than the rest; its constructor does not."""


class ScheduledRun(Message, type="honeyhive.scheduled_run", key="schedule"):
    """A tick that a scheduler hands to the workers; its id is that of the tick, however often it is handed over."""

    schedule: str
    cron: str
    tick: datetime


class DrainableBus(MessageBus, Protocol):
    """A bus that can stop in good order."""

    async def drain(self) -> None:
        """Take no more messages, and return when those that were taken are handled."""


class Worker:
    """Handles the messages of one process.

    Args:
        process: Runs the handlers.
        bus: Brings the messages; stays open when the worker ends. Like those of `honeyhive.events`, it has a method
            ``drain`` beyond a `MessageBus`.
        clock: Tells how long a message has waited.
    """

    def __init__(self, process: Process, bus: DrainableBus, clock: Clock | None = None) -> None:
        self._process = process
        self._bus = bus
        self._clock = clock or SystemClock()

    async def run(self, stopping: anyio.Event, ready: Callable[[], object] = lambda: None) -> None:
        """Handle messages until *stopping* is set; then let running handlers end, at most for ``drain_s`` seconds."""
        service = self._process.assembly.service
        # No await between the first and the last: a bus that is open begins to listen at the next one.
        for handler in self._process.assembly.subscriptions():
            self._bus.subscribe(handler.facts.message, self._handling(handler), **handler.facts.options)
        if dispatched := {each.label: each for each in self._process.assembly.schedules() if each.facts.dispatch}:
            self._bus.subscribe(ScheduledRun, self._running(dispatched))
        ready()
        await stopping.wait()
        with anyio.move_on_after(service.worker.drain_s):
            await self._bus.drain()

    def _handling(self, handler: Handler[MessageFacts]) -> Callable[[Message], Awaitable[Any]]:
        """Return what the bus calls for *handler*."""

        async def handle(message: Message) -> Any:
            execution = self._execution(message, handler)
            try:
                return await self._process.perform(execution, handler, message)
            except BaseException:  # whatever it is, the bus may try again
                _count_failure(execution.id)
                raise

        return _named(handle, handler)

    def _execution(self, message: Message, handler: Handler[MessageFacts]) -> MessageExecution:
        identity = f"{message.id}/{handler.label}"
        execution = _new(MessageExecution)
        MessageExecution.__init__(
            execution,
            name=f"process {message.type}",
            id=identity,
            carrier=message.trace_context,
            handler=handler.label,
            message_type=message.type,
            message_id=message.id,
            attempt=delivery_count(message) + _failures_of(identity),
            queued_s=self._since(message.time),
        )
        return execution

    def _running(self, schedules: dict[str, Handler[ScheduleFacts]]) -> Callable[[ScheduledRun], Awaitable[Any]]:
        """Return what the bus calls with a tick."""

        async def run_scheduled(message: ScheduledRun) -> Any:
            handler = schedules[message.schedule]
            execution = ScheduleExecution(
                name=f"schedule {message.schedule}",
                id=message.id,
                handler=handler.label,
                schedule=message.schedule,
                cron=message.cron,
                tick=message.tick,
                attempt=delivery_count(message) + _failures_of(message.id),
                late_s=self._since(message.tick),
            )
            try:
                return await self._process.perform(execution, handler)
            except BaseException:  # whatever it is, the bus may try again
                _count_failure(execution.id)
                raise

        return run_scheduled

    def _since(self, moment: datetime) -> float:
        passed_s = self._clock.time_ns() / 1e9 - moment.timestamp()
        return passed_s if passed_s > 0 else 0.0


async def worker_of(process: Process) -> Worker:
    """Return the worker of *process*, with the bus and the clock that its service provides.

    Raises:
        DeclarationError: No bus is provided, or one that a worker cannot use.
    """
    bus = await bus_of(process)
    if not hasattr(bus, "drain"):
        raise DeclarationError(
            f"a worker ends by letting its bus finish, and {type(bus).__name__} has no method drain(); "
            "give it one that returns when what was taken is handled"
        )
    return Worker(process, bus, await process.find(Clock))


async def bus_of(process: Process) -> DrainableBus:
    """Return the bus that the service provides.

    Raises:
        DeclarationError: It provides none, or one that blocks.
    """
    bus = await process.find(MessageBus)
    if bus is None:
        raise DeclarationError(
            f"the service {process.assembly.service.name!r} needs a message bus, and no provider makes one; "
            "add Provider(MessageBus, ...)"
        )
    refuse_blocking(bus)
    return cast("DrainableBus", bus)


@asynccontextmanager
async def dispatching(process: Process) -> AsyncGenerator[Callable[[ScheduleExecution], Awaitable[None]]]:
    """Yield a function that hands a tick to the workers."""
    async with Outlet(await bus_of(process)) as outlet:

        async def dispatch(execution: ScheduleExecution) -> None:
            await outlet.publish(
                ScheduledRun(id=execution.id, schedule=execution.schedule, cron=execution.cron, tick=execution.tick)
            )

        yield dispatch


def _failures_of(identity: str) -> int:
    """Return how often *identity* has failed in this process, in the tries that belong together."""
    failed, times = _failures.get()
    return times if failed == identity else 0


def _count_failure(identity: str) -> None:
    _failures.set((identity, _failures_of(identity) + 1))


def _named(function: Callable[..., Any], handler: Handler[MessageFacts]) -> Callable[..., Any]:
    """Let the bus call *function* by the name of the method, in spans and dead letters."""
    function.__module__ = handler.controller.__module__
    function.__qualname__ = f"{handler.controller.__qualname__}.{handler.method}"
    return function
