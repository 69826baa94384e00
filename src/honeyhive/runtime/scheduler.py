"""The scheduler runtime: runs what is declared with ``@every``, each tick once among any number of schedulers.

::

    cron says a tick is due -> claim it in the ledger -> run it here, or dispatch it to a worker -> mark it done
                                  |                          |
                      another one has it: leave it     renew the claim as long as it runs

A scheduler that dies falls silent; when its lease has run out, another one takes its ticks over.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeAlias

import anyio
from anyio.abc import TaskGroup
from opentelemetry import trace as otel_trace

from honeyhive.runtime.assembly import Handler, Process
from honeyhive.runtime.declaring import ScheduleFacts
from honeyhive.runtime.execution import ScheduleExecution
from honeyhive.runtime.ledgers.interface import Claim, TickLedger
from honeyhive.runtime.ledgers.memory import MemoryTickLedger
from honeyhive.runtime.worker import dispatching
from honeyhive.utils import Clock, SystemClock
from honeyhive.utils.guard import guard

__all__ = ["Dispatch", "Scheduler", "scheduler_of"]

Dispatch: TypeAlias = Callable[[ScheduleExecution], Awaitable[None]]
"""Hands an execution to the workers."""

_LOOK_AGAIN_S: Final = 1.0
"""The longest pause: so a clock that was set is noticed."""
_CLOCK_NOISE: Final = timedelta(seconds=60)
"""A clock that goes back less than this is being adjusted; one that goes back further was set."""

_logger = logging.getLogger("honeyhive.runtime")


@dataclass(slots=True)
class _Schedule:
    """One schedule, and how far it has been followed."""

    handler: Handler[ScheduleFacts]
    seen: datetime

    @property
    def name(self) -> str:
        return self.handler.label


class Scheduler:
    """Keeps time for the schedules of one process.

    Args:
        process: Runs the handlers.
        ledger: Agrees with the other schedulers.
        dispatch: Hands over what is declared with ``dispatch=True``.
        clock: Tells when a tick is due.
    """

    def __init__(
        self, process: Process, ledger: TickLedger, dispatch: Dispatch | None = None, clock: Clock | None = None
    ) -> None:
        self._process = process
        self._ledger = ledger
        self._dispatch = dispatch
        self._clock = clock or SystemClock()
        self._settings = process.assembly.service.scheduler
        self._schedules: list[_Schedule] = []
        self._looked_for_abandoned_s = float("-inf")

    def coming(self) -> Iterator[str]:
        """Yield a line for each schedule that says when it runs next and when after that, in its own zone."""
        for handler in self._process.assembly.schedules():
            cron = handler.facts.cron
            first = cron.next_after(self._now())
            second = cron.next_after(first)
            yield (
                f"{handler.label} ({cron.expression}) runs next at {first.astimezone(cron.zone)}, "
                f"then at {second.astimezone(cron.zone)}"
            )

    async def run(self, stopping: anyio.Event) -> None:
        """Keep time until *stopping* is set; then let running jobs end, at most for ``drain_s`` seconds."""
        async with anyio.create_task_group() as jobs:
            while not stopping.is_set():
                with guard("keeping time", report=_say_and_go_on):
                    await self.start_due(jobs)
                with anyio.move_on_after(self._pause_s()):
                    await stopping.wait()
            jobs.cancel_scope.deadline = anyio.current_time() + self._settings.drain_s

    async def start_due(self, jobs: TaskGroup) -> None:
        """Claim what is due or was abandoned, and start it in *jobs*."""
        if not self._schedules:
            self._schedules = await self._begin()
        for schedule in self._schedules:
            for tick in self._due(schedule):
                await self._start(schedule, tick, jobs)
                schedule.seen = tick
        await self._take_over(jobs)

    async def _begin(self) -> list[_Schedule]:
        now = self._now()
        handlers = self._process.assembly.schedules()
        return [_Schedule(handler, await self._ledger.last(handler.label) or now) for handler in handlers]

    def _due(self, schedule: _Schedule) -> Sequence[datetime]:
        """Return the ticks to run now; those that are not to be run are passed over."""
        now = self._now()
        if now < schedule.seen - _CLOCK_NOISE:
            _logger.warning("The clock was set back by %s; %s goes on from now.", schedule.seen - now, schedule.name)
            schedule.seen = now
        earliest = now - timedelta(seconds=self._settings.catch_up_s)
        passed = list(schedule.handler.facts.cron.between(max(schedule.seen, earliest), now))
        wanted = _wanted(passed, now - timedelta(seconds=self._settings.late_s), schedule.handler.facts)
        if passed and not wanted:
            schedule.seen = passed[-1]
        return wanted

    async def _start(self, schedule: _Schedule, tick: datetime, jobs: TaskGroup) -> None:
        claim = await self._ledger.claim(schedule.name, tick, self._settings.lease_s)
        if claim is not None:
            jobs.start_soon(self._run_claimed, schedule.handler, claim)

    async def _take_over(self, jobs: TaskGroup) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._looked_for_abandoned_s < self._settings.lease_s / 3:
            return
        self._looked_for_abandoned_s = now_s
        schedules = {schedule.name: schedule for schedule in self._schedules}
        for name, tick in await self._ledger.abandoned(schedules):
            await self._start(schedules[name], tick, jobs)

    async def _run_claimed(self, handler: Handler[ScheduleFacts], claim: Claim) -> None:
        """Run the tick of *claim* as long as the claim is ours, and mark it done."""
        with guard(f"the schedule {claim.schedule}", report=_say_and_go_on):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep, claim, tasks.cancel_scope)
                await self._run(handler, claim)
                await self._finish(claim)
                tasks.cancel_scope.cancel()

    async def _run(self, handler: Handler[ScheduleFacts], claim: Claim) -> None:
        execution = ScheduleExecution(
            name=f"schedule {claim.schedule}",
            id=f"{claim.schedule}@{claim.tick.isoformat()}",
            handler=handler.label,
            schedule=claim.schedule,
            cron=handler.facts.cron.expression,
            tick=claim.tick,
            attempt=claim.attempt,
            late_s=max(0.0, (self._now() - claim.tick).total_seconds()),
        )
        if handler.facts.dispatch and self._dispatch is not None:
            await self._process.run(execution, partial(self._dispatch, execution))
            return
        # A job that fails has had its tick; what cannot be dispatched is tried again when the claim has run out.
        with guard(claim.schedule, report=_say_and_go_on):
            await self._process.perform(execution, handler)

    async def _finish(self, claim: Claim) -> None:
        """Mark the tick as done; while the ledger does not answer, try again as long as the claim is ours."""
        while True:
            with guard(f"marking {claim.schedule} as done"):
                await self._ledger.finish(claim)
                return
            await anyio.sleep(_LOOK_AGAIN_S)

    async def _keep(self, claim: Claim, job: anyio.CancelScope) -> None:
        """Renew *claim* while its job runs; stop the job when the claim is lost, or can no longer be known to be ours."""
        lease_s = self._settings.lease_s
        sure_until = anyio.current_time() + lease_s
        while anyio.current_time() < sure_until:
            await anyio.sleep(lease_s / 3)
            kept = None
            with guard(f"renewing the claim on {claim.schedule}"), anyio.move_on_after(lease_s / 3):
                kept = await self._ledger.renew(claim, lease_s)
            if kept is False:
                break
            if kept:
                sure_until = anyio.current_time() + lease_s
        otel_trace.get_current_span().add_event("claim lost")
        _logger.warning("%s of %s is stopped: another scheduler may have taken it over.", claim.schedule, claim.tick)
        job.cancel()

    def _pause_s(self) -> float:
        now = self._now()
        coming = [schedule.handler.facts.cron.next_after(now) for schedule in self._schedules]
        return min([_LOOK_AGAIN_S, *((tick - now).total_seconds() for tick in coming)])

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.time_ns() / 1e9, UTC)


def _wanted(passed: Sequence[datetime], late: datetime, facts: ScheduleFacts) -> Sequence[datetime]:
    """Return which of the ticks *passed* are run: those after *late*, and of the others what was declared."""
    if facts.missed == "all":
        return passed
    on_time = [tick for tick in passed if tick > late]
    return passed[-1:] if facts.missed == "latest" and not on_time else on_time


def _say_and_go_on(operation: str, error: Exception) -> None:
    _logger.error("%s failed: %s: %s", operation, type(error).__name__, error, exc_info=error)


@asynccontextmanager
async def scheduler_of(process: Process) -> AsyncGenerator[Scheduler]:
    """Yield the scheduler of *process*, with the ledger, the clock and the bus that its service provides.

    Without a provider of `TickLedger` it keeps its ticks in memory: then there may be one scheduler only.

    Raises:
        DeclarationError: A schedule is to be dispatched, and no bus is provided.
    """
    ledger = await process.find(TickLedger) or MemoryTickLedger()
    clock = await process.find(Clock)
    if not any(schedule.facts.dispatch for schedule in process.assembly.schedules()):
        yield Scheduler(process, ledger, None, clock)
        return
    async with dispatching(process) as dispatch:
        yield Scheduler(process, ledger, dispatch, clock)
