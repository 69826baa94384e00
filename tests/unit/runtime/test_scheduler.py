"""The scheduler: each tick once, whatever happens to clocks, jobs and other schedulers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import pytest

from honeyhive.runtime import (
    MemoryTickLedger,
    Provider,
    ScheduleExecution,
    Scheduler,
    SchedulerSettings,
    Service,
    Tracing,
    every,
    use_execution,
)
from honeyhive.runtime.scheduler import scheduler_of
from honeyhive.testing import ManualClock, SpanCapture
from honeyhive.utils import Clock

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
runs: list[ScheduleExecution] = []


@pytest.fixture(autouse=True)
def _no_runs() -> None:
    runs.clear()


def note_run() -> None:
    execution = use_execution()
    assert isinstance(execution, ScheduleExecution)
    runs.append(execution)


class Jobs:
    @every("* * * * * */5")
    async def often(self) -> None:
        note_run()


@dataclass
class Running:
    """Schedulers of one service that share a clock and a ledger."""

    service: Service
    clock: ManualClock = field(default_factory=lambda: ManualClock(int(NOON.timestamp() * 1e9)))

    def __post_init__(self) -> None:
        self.ledger: Any = MemoryTickLedger(self.clock)

    @asynccontextmanager
    async def scheduler(self, dispatch: Any = None) -> AsyncIterator[Any]:
        """Yield a function that lets a scheduler do what is due now."""
        async with self.service.build({}).opened() as process:
            scheduler = Scheduler(process, self.ledger, dispatch, self.clock)

            async def look() -> None:
                async with anyio.create_task_group() as jobs:
                    await scheduler.start_due(jobs)

            await look()
            yield look


def ticks() -> list[int]:
    return [round((run.tick - NOON).total_seconds()) for run in runs]


@pytest.mark.acceptance("J4")
async def test_what_is_due_runs_at_its_tick() -> None:
    running = Running(Service("shop", controllers=[Jobs]))

    async with running.scheduler() as look:
        for _ in range(12):
            running.clock.advance(1)
            await look()

    assert [5, 10] == ticks()
    assert runs[0].id == "Jobs.often@2026-01-01T12:00:05+00:00"
    assert (runs[0].cron, runs[0].attempt) == ("* * * * * */5", 1)


async def test_each_tick_runs_once_among_several_schedulers() -> None:
    running = Running(Service("shop", controllers=[Jobs]))

    async with running.scheduler() as one, running.scheduler() as other:
        for _ in range(3):
            running.clock.advance(5)
            await one()
            await other()

    assert [5, 10, 15] == ticks()


@pytest.mark.parametrize("missed, expected", [("skip", []), ("latest", [60]), ("all", list(range(5, 65, 5)))])
async def test_what_becomes_of_ticks_that_passed_while_nobody_looked(missed: Any, expected: list[int]) -> None:
    class Late:
        @every("* * * * * */5", missed=missed)
        async def often(self) -> None:
            note_run()

    running = Running(Service("shop", controllers=[Late], scheduler=SchedulerSettings(late_s=2)))

    async with running.scheduler() as look:
        running.clock.advance(64)
        await look()
        await look()

    assert expected == ticks()


async def test_a_scheduler_that_starts_again_goes_on_where_the_last_one_ended() -> None:
    running = Running(Service("shop", controllers=[Jobs]))
    async with running.scheduler() as look:
        running.clock.advance(5)
        await look()
    running.clock.advance(60)

    async with running.scheduler():
        pass

    assert [5, 65] == ticks()


async def test_the_ticks_of_a_dead_scheduler_are_taken_over() -> None:
    running = Running(Service("shop", controllers=[Jobs], scheduler=SchedulerSettings(lease_s=30)))
    async with running.scheduler() as look:
        await running.ledger.claim("Jobs.often", NOON + timedelta(seconds=5), 30)
        running.clock.advance(5)
        await look()
        assert [] == runs

        running.clock.advance(31)
        await look()

    assert (5, 2) in [(round((run.tick - NOON).total_seconds()), run.attempt) for run in runs]


async def test_a_clock_that_is_set_back_doubles_nothing_and_stops_nothing() -> None:
    running = Running(Service("shop", controllers=[Jobs]))

    async with running.scheduler() as look:
        for _ in range(30):
            running.clock.advance(5)
            await look()
        running.clock.set_time(int(NOON.timestamp() * 1e9))
        for _ in range(31):
            running.clock.advance(5)
            await look()

    assert list(range(5, 160, 5)) == ticks()


async def test_a_job_that_fails_leaves_the_others_alone(
    capture_spans: SpanCapture, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        @every("* * * * * */5")
        async def fails(self) -> None:
            note_run()
            raise ValueError("theirs")

        @every("* * * * * */5")
        async def works(self) -> None:
            note_run()

    running = Running(Service("shop", controllers=[Failing], interceptors=[Tracing()]))

    async with running.scheduler() as look:
        for _ in range(2):
            running.clock.advance(5)
            await look()

    assert [5, 5, 10, 10] == ticks()
    assert ["theirs", "theirs"] == [span.error for span in capture_spans if span.error]
    assert "theirs" in caplog.text


async def test_the_span_of_a_job_tells_its_cron_and_its_tick(capture_spans: SpanCapture) -> None:
    running = Running(Service("shop", controllers=[Jobs], interceptors=[Tracing()]))

    async with running.scheduler() as look:
        running.clock.advance(6)
        await look()

    attributes = capture_spans.named("schedule Jobs.often").attributes
    assert attributes["honeyhive.schedule.cron"] == "* * * * * */5"
    assert attributes["honeyhive.schedule.tick"] == "2026-01-01T12:00:05+00:00"
    assert attributes["honeyhive.execution.queue_delay_s"] == 1.0


async def test_what_cannot_be_dispatched_is_tried_again() -> None:
    class Dispatched:
        @every("* * * * * */5", missed="all", dispatch=True)
        async def often(self) -> None:
            raise AssertionError("it ran here")

    handed: list[tuple[int, int]] = []
    failures = iter([ConnectionError("no broker")])

    async def dispatch(execution: ScheduleExecution) -> None:
        for failure in failures:
            raise failure
        handed.append((round((execution.tick - NOON).total_seconds()), execution.attempt))

    running = Running(Service("shop", controllers=[Dispatched], scheduler=SchedulerSettings(lease_s=4)))

    async with running.scheduler(dispatch) as look:
        for _ in range(2):
            running.clock.advance(5)
            await look()

    assert [(5, 2), (10, 1)] == sorted(handed)


async def test_a_job_that_is_slower_than_its_lease_keeps_its_claim() -> None:
    class Slow:
        @every("* * * * * */5")
        async def slow(self) -> None:
            note_run()
            while ledger.renewals < 5:
                await renewed.wait()

    class Counting(MemoryTickLedger):
        renewals = 0

        async def renew(self, claim: Any, lease_s: float) -> bool:
            nonlocal renewed
            self.renewals += 1
            renewed.set()
            renewed = anyio.Event()
            return await super().renew(claim, lease_s)

    renewed = anyio.Event()
    running = Running(Service("shop", controllers=[Slow], scheduler=SchedulerSettings(lease_s=0.03)))
    running.ledger = ledger = Counting(running.clock)

    async with running.scheduler() as one, running.scheduler() as other:
        running.clock.advance(5)
        await one()
        await other()

    assert [5] == ticks()
    assert [] == await ledger.abandoned(["Slow.slow"])


async def test_a_job_is_stopped_when_its_claim_is_lost() -> None:
    """As after a partition: the other scheduler has taken over, and two must not work on one tick."""

    class Forgetful(MemoryTickLedger):
        async def renew(self, claim: Any, lease_s: float) -> bool:
            return False

    ended: list[str] = []

    class Slow:
        @every("* * * * * */5")
        async def slow(self) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                ended.append("stopped")

    running = Running(Service("shop", controllers=[Slow], scheduler=SchedulerSettings(lease_s=0.03)))
    running.ledger = Forgetful(running.clock)

    async with running.scheduler() as look:
        running.clock.advance(5)
        await look()

    assert ["stopped"] == ended


async def test_a_ledger_that_does_not_answer_holds_up_nothing_but_its_ticks() -> None:
    class Broken(MemoryTickLedger):
        failures = 2

        async def claim(self, schedule: str, tick: datetime, lease_s: float) -> Any:
            self.failures -= 1
            if self.failures >= 0:
                raise ConnectionError("no database")
            return await super().claim(schedule, tick, lease_s)

    running = Running(Service("shop", controllers=[Jobs]))
    running.ledger = Broken(running.clock)
    done = anyio.Event()

    class Stops:
        @every("* * * * * */5")
        async def often(self) -> None:
            note_run()
            done.set()

    running.service = Service("shop", controllers=[Stops])
    async with running.service.build({}).opened() as process:
        scheduler = Scheduler(process, running.ledger, None, running.clock)
        async with anyio.create_task_group() as tasks:
            await scheduler.start_due(tasks)
            running.clock.advance(5)
            tasks.start_soon(scheduler.run, done)
            await done.wait()

    assert [5] == ticks()


async def test_a_scheduler_tells_when_its_schedules_run_next() -> None:
    """An expression that was written for minutes and means seconds, or the other way round, shows."""

    class Two:
        @every("*/5 * * * * *")
        async def seconds(self) -> None: ...

        @every("@daily", zone=ZoneInfo("Europe/Berlin"))
        async def days(self) -> None: ...

    clock = ManualClock(int(NOON.timestamp() * 1e9))
    service = Service("shop", providers=[Provider(Clock, lambda: clock)], controllers=[Two])

    async with service.build({}).opened() as process, scheduler_of(process) as scheduler:
        lines = list(scheduler.coming())

    assert lines == [
        "Two.seconds (*/5 * * * * *) runs next at 2026-01-01 12:00:01+00:00, then at 2026-01-01 12:00:02+00:00",
        "Two.days (@daily) runs next at 2026-01-02 00:00:00+01:00, then at 2026-01-03 00:00:00+01:00",
    ]
