"""Processes trace, fork, fail and die in any order, to a backend in any mood: no span is lost without being counted.

Each process is a real pipeline over a real journal on the disk; all of them share one spool, as the processes of one
program do. The machine keeps books of its own: which spans were finished, which the backend took, how many could go
with the memory of a process that died. In the end everything is taken over by one last process, and the counters of
all of them must agree with the books.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import TracerProvider

from honeyhive.exceptions import APIConnectionError
from honeyhive.journal import AdoptedSegment, Journal, adopt
from honeyhive.journal.faults import Fault, FaultyFiles, SimulatedDeath
from honeyhive.models.wire import RecordKind
from honeyhive.resilience.breaker import CircuitBreaker
from honeyhive.testing import ManualClock
from honeyhive.tracer.export import Destination, PipelineSettings
from honeyhive.tracer.export.encode import SpanEncoder
from honeyhive.tracer.export.intake import Bell
from honeyhive.tracer.export.pipeline import Pipeline
from honeyhive.tracer.export.statistics import FlushResult
from honeyhive.tracer.export.storage import MemoryStorage

OPERATIONS = [
    "write",
    "write",
    "sync",
    "truncate",
    "create",
    "lock",
    "unlink",
    "open_append",
    "pread",
    "list",
    "sync_directory",
]
ERRORS = [Fault.NO_SPACE, Fault.IO_ERROR, Fault.NO_DESCRIPTOR, Fault.CUT_WRITE, Fault.FULL_MIDWAY]
MOODS = ["well", "down", "absent", "ill", "busy", "locked", "narrow", "strict", "picky"]
PAUSES_S = [0.0, 0.0, 6.0, 60.0, 4 * 86_400.0]
WHICH = st.integers(0, 2)
SETTINGS = PipelineSettings(max_queue_bytes=9_000, max_batch_size=4, schedule_delay_s=0.0)
SPOOL_BYTES = 5_000
A_BATCH_BYTES = 2_500
JUDGED_BY_THE_BACKEND = ("rejected_by_backend", "partial_success")

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("tests")


@dataclass
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Backend:
    """Behaves as its mood is, and remembers which spans it took and which it refused for good."""

    def __init__(self) -> None:
        self.mood = "well"
        self.taken: Counter[str] = Counter()
        self.refused: set[str] = set()

    def answer(self, names: Sequence[str]) -> Answer:
        assert len(names) <= SETTINGS.max_batch_size
        match self.mood:
            case "down":
                raise APIConnectionError("connection refused")
            case "ill":
                return Answer(503)
            case "busy":
                return Answer(429, {"retry-after": "40"})
            case "locked":
                return Answer(401)
            case "narrow" if len(names) > 2:
                return Answer(413)
            case "strict" if any(name.startswith("poison") for name in names):
                self.refused.update(names if len(names) == 1 else ())
                return Answer(400)
            case "picky":
                return self._all_but_the_first(names)
        self.taken.update(names)
        return Answer()

    def _all_but_the_first(self, names: Sequence[str]) -> Answer:
        self.refused.add(names[0])
        self.taken.update(names[1:])
        response = ExportTraceServiceResponse()
        response.partial_success.rejected_spans = 1
        return Answer(200, {"content-type": "application/x-protobuf"}, response.SerializeToString())


class Way:
    """One process's way to the backend; knows how many of its spans were taken."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.taken = 0

    def ready(self) -> bool:
        return self.backend.mood != "absent"

    def send(self, kind: RecordKind, payload: bytes) -> Answer:
        before = self.backend.taken.total()
        try:
            return self.backend.answer(names_in(payload))
        finally:
            self.taken += self.backend.taken.total() - before


def names_in(payload: bytes) -> list[str]:
    request = ExportTraceServiceRequest.FromString(payload)
    return [span.name for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


class Shelves(MemoryStorage):
    """The spool's folder, seen by one process through a file layer that can fail."""

    def __init__(self, folder: Path, process: str, files: FaultyFiles) -> None:
        self.folder = folder
        self.process = process
        self.files = files
        self._dead: Generator[AdoptedSegment, None, None] | None = None

    def open_disk(self) -> Journal:
        return Journal(
            self.folder,
            prefix=f"{self.process}-b",
            segment_bytes=1_500,
            max_bytes=SPOOL_BYTES,
            max_disk_share=None,
            files=self.files,
        )

    def left_by_the_dead(self) -> Iterator[AdoptedSegment]:
        self._dead = adopt(self.folder, files=self.files)
        return self._dead

    def forget(self) -> None:
        """Drop what was adopted, as a forked child does."""
        dead, self._dead = self._dead, None
        if dead is not None:
            dead.close()

    def die(self) -> None:
        """Let go of everything, as a process does that dies."""
        self.files.die()
        with suppress(SimulatedDeath):
            self.forget()


class Crew:
    """A worker without threads, for which time passes while it waits."""

    def __init__(self, clock: ManualClock) -> None:
        self.asleep = True
        self.progress = Bell()
        self._clock = clock

    def wake(self) -> bool:
        return False

    hasten = call_sender = wake

    def flush(self, outlets: Sequence[Pipeline], timeout_millis: float) -> FlushResult:
        (pipeline,) = outlets
        deadline = self._clock.monotonic() + timeout_millis / 1000
        goal = pipeline.goal(give_up=False)
        pipeline.drain()
        goal.set()
        pipeline.sync()
        while not goal.is_settled() and self._clock.monotonic() < deadline:
            self.wait_until(pipeline.due())
            pipeline.send()
        goal.relax()
        return goal.result(0.0)

    def wait_until(self, due: float | None) -> None:
        self._clock.advance(max(0.01, min(3600.0, (due or 0.0) - self._clock.monotonic())))


class Process:
    """A process that traces, and the books about it."""

    def __init__(self, name: str, folder: Path, backend: Backend, clock: ManualClock) -> None:
        self.name = name
        self.clock = clock
        self.children = 0
        self.files = FaultyFiles()
        self.shelves = Shelves(folder, name, self.files)
        self.crew = Crew(clock)
        self.way = Way(backend)
        self.pipeline = Pipeline(
            Destination.remote("https://collector.example/v1/traces", key="k"),
            SETTINGS,
            staff=self.crew,
            encode=SpanEncoder().request,
            sender=self.way,
            storage=self.shelves,
            breaker=CircuitBreaker(timeout=10.0, clock=clock),
            clock=clock,
            random=lambda: 1.0,
        )
        self.finished: list[str] = []
        self.promised: set[str] = set()
        """Those that survive even a loss of power."""

    def finish(self, count: int, kind: str) -> None:
        for _ in range(count):
            name = f"{kind} {self.name}/{len(self.finished)}"
            self.finished.append(name)
            span = TRACER.start_span(name)
            span.end()
            self.pipeline.finished(span)

    def send(self) -> None:
        self.crew.wait_until(self.pipeline.due())
        self.pipeline.send()

    def become_a_child(self, name: str) -> None:
        """Go on as a forked child does, with a file layer in which nothing is planned."""
        with suppress(SimulatedDeath):  # of the parent, which has been killed
            self.shelves.forget()
        self.pipeline.renew()
        self.name = self.shelves.process = name
        self.files = self.shelves.files = FaultyFiles()
        self.finished, self.promised, self.children, self.way.taken = [], set(), 0, 0

    def promise(self) -> None:
        """Note that what has left the memory can be lost no more; where spans were dropped, nobody knows which."""
        statistics = self.pipeline.statistics()
        if not statistics.in_memory and statistics.dropped.keys() <= {*JUDGED_BY_THE_BACKEND, "expired"}:
            self.promised.update(self.finished)

    def check(self) -> None:
        """Hold the counters against the books."""
        statistics = self.pipeline.statistics()
        places = (statistics.delivered, statistics.spooled, statistics.in_memory)
        assert statistics.finished == len(self.finished)
        assert statistics.delivered == self.way.taken
        assert min(places) >= 0
        assert statistics.finished + statistics.adopted == sum(places) + sum(statistics.dropped.values())


class ProcessesOfOneProgram(RuleBasedStateMachine):
    """Any number of processes over one spool, one backend, and the books about all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.spool = Path(self.folder.name) / "spool"
        self.clock = ManualClock(time.time_ns())
        self.backend = Backend()
        self.alive: list[Process] = []
        self.begun = 0
        self.forks = 0
        self.finished: list[str] = []
        self.promised: set[str] = set()
        self.dropped: Counter[str] = Counter()
        self.gone_with_memory = 0
        self.disturbed = False
        """Whether spans may have been delivered twice, or kept although they were counted as lost."""

    # -- what may happen --------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.begun += 1
        self.alive.append(Process(f"p{self.begun}", self.spool, self.backend, self.clock))

    @precondition(lambda self: len(self.alive) < 3)
    @rule()
    def begin_another(self) -> None:
        self.begin()

    @precondition(lambda self: self.alive)
    @rule(
        which=WHICH, count=st.integers(1, 9), kind=st.sampled_from(["good", "good", "poison"]), then=st.integers(0, 3)
    )
    def trace(self, which: int, count: int, kind: str, then: int) -> None:
        with self._mortal(which) as process:
            process.finish(count, kind)
            if then >= 1:
                process.pipeline.drain()
            if then >= 2:
                process.pipeline.sync()
            if then >= 2 and not process.pipeline.unsynced:
                process.promise()

    @precondition(lambda self: self.alive)
    @rule(which=WHICH, after_s=st.sampled_from(PAUSES_S), mood=st.sampled_from(MOODS), requests=st.integers(1, 6))
    def send(self, which: int, after_s: float, mood: str, requests: int) -> None:
        self.clock.advance(after_s)
        self.backend.mood = mood
        with self._mortal(which) as process:
            for _ in range(requests):
                process.send()

    @precondition(lambda self: self.alive)
    @rule(which=WHICH, mood=st.sampled_from(["well", "narrow", "strict", "ill", "absent"]))
    def flush(self, which: int, mood: str) -> None:
        self.backend.mood = mood
        with self._mortal(which) as process:
            result = process.pipeline.flush(120_000)
            statistics = process.pipeline.statistics()
            if result:
                assert 0 == statistics.in_memory
                process.promise()
            if mood in ("well", "narrow", "strict") and not process.files.has_plans:
                assert 0 == process.pipeline.spool.waiting == statistics.in_memory

    @precondition(lambda self: self.alive)
    @rule(which=WHICH, has_forked=st.booleans())
    def kill(self, which: int, *, has_forked: bool) -> None:
        process = self._chosen(which)
        if has_forked:
            self._settle_accounts(process)
            process.children += 1
            process.become_a_child(f"{process.name}.{process.children}")
        else:
            self._bury(process)

    @precondition(lambda self: self.alive and self.forks < 2)
    @rule(which=WHICH, count=st.integers(1, 5), requests=st.integers(0, 2))
    def fork_a_child_that_leaves_by_the_back_door(self, which: int, count: int, requests: int) -> None:
        self.forks += 1
        process = self._chosen(which)
        process.children += 1
        report = report_of_a_child(process, f"{process.name}.{process.children}", count, requests)

        self.finished += report["finished"]
        self.dropped.update(report["dropped"])
        self.gone_with_memory += report["in_memory"]
        self.backend.taken.update(report["taken"])
        self.backend.refused.update(report["refused"])
        self.disturbed = self.disturbed or report["disturbed"]

    # -- what must hold ---------------------------------------------------------------------

    @invariant()
    def counters_agree_with_the_books(self) -> None:
        for process in self.alive:
            process.check()

    @invariant()
    def disk_and_memory_are_bounded(self) -> None:
        assert SPOOL_BYTES >= sum(segment.stat().st_size for segment in self.spool.glob("*.seg"))
        for process in self.alive:
            assert SETTINGS.max_queue_bytes + A_BATCH_BYTES >= process.pipeline.spool.memory_bytes

    def teardown(self) -> None:
        for process in tuple(self.alive):
            self._bury(process)
        self.backend.mood = "well"
        last = Process("last", self.spool, self.backend, self.clock)
        for _ in range(500):
            last.send()
        last.check()
        last.pipeline.spool.close()
        self._settle_accounts(last)
        left = sorted(self.spool.glob("*.seg"))
        self.folder.cleanup()

        assert [] == left
        self._check_the_books()

    def _check_the_books(self) -> None:
        known = self.backend.taken.keys() | self.backend.refused
        missing = set(self.finished) - known
        refused = sum(self.dropped[reason] for reason in JUDGED_BY_THE_BACKEND)
        lost = self.dropped.total() - refused + self.gone_with_memory

        assert known <= set(self.finished)
        assert len(self.promised - known) <= self.dropped["expired"]
        assert len(missing) <= lost
        assert len(self.backend.refused) <= refused
        if not self.disturbed:
            assert len(missing) == lost
            assert len(self.backend.refused) == refused
            assert {1} >= set(self.backend.taken.values())

    # -- the means --------------------------------------------------------------------------

    def _chosen(self, which: int) -> Process:
        return self.alive[which % len(self.alive)]

    @contextmanager
    def _mortal(self, which: int) -> Iterator[Process]:
        """A process that a planned death may come to within the block."""
        process = self._chosen(which)
        try:
            yield process
        except SimulatedDeath:
            self._bury(process)

    def _bury(self, process: Process, *, lost: int = 0) -> None:
        """Let *process* die here, if it has not; with the power go *lost* spans, unless they were promised."""
        self.alive.remove(process)
        self._settle_accounts(process, lost=lost)
        process.shelves.die()

    def _settle_accounts(self, process: Process, *, lost: int = 0) -> None:
        """Take what *process* counted, and what its death costs, into the books of the whole program."""
        if not lost:
            process.promise()
        # What was sent in part is sent again as a whole by whoever takes it over.
        self.disturbed = self.disturbed or process.pipeline.delivery.busy
        statistics = process.pipeline.statistics()
        self.finished += process.finished
        self.promised |= process.promised
        self.dropped.update(statistics.dropped)
        self.gone_with_memory += lost + statistics.in_memory


class ProcessesOnAFailingMachine(ProcessesOfOneProgram):
    """The same on a disk that fails, with deaths amid its operations and losses of power: spans may come twice."""

    @precondition(lambda self: self.alive)
    @rule(which=WHICH, operation=st.sampled_from(OPERATIONS), fault=st.sampled_from(ERRORS))
    def break_the_disk(self, which: int, operation: str, fault: Fault) -> None:
        self.disturbed = True
        self._chosen(which).files.fail_next(operation, fault)

    @precondition(lambda self: self.alive)
    @rule(which=WHICH, operation=st.sampled_from(OPERATIONS))
    def plan_a_death(self, which: int, operation: str) -> None:
        self.disturbed = True
        self._chosen(which).files.fail_next(operation, Fault.DEATH)

    @precondition(lambda self: self.alive)
    @rule(which=WHICH)
    def lose_power(self, which: int) -> None:
        self.disturbed = True
        process = self._chosen(which)
        process.files.die(power_loss=True)
        self._bury(process, lost=len(process.finished))


def report_of_a_child(process: Process, name: str, count: int, requests: int) -> dict[str, Any]:
    """Fork; the child traces, sends and leaves without a word to its parent's spool. Return what it says of itself."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            os.write(write, json.dumps(live_as_a_child(process, name, count, requests)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as report:
        told = report.read()
    os.waitpid(pid, 0)
    return json.loads(told)  # type: ignore[no-any-return]


def live_as_a_child(process: Process, name: str, count: int, requests: int) -> dict[str, Any]:
    backend = process.way.backend
    backend.taken, backend.refused = Counter(), set()
    process.become_a_child(name)
    process.check()
    process.finish(count, "good")
    process.pipeline.drain()
    for _ in range(requests):
        process.send()
    process.check()
    statistics = process.pipeline.statistics()
    return {
        "finished": process.finished,
        "dropped": dict(statistics.dropped),
        "in_memory": statistics.in_memory,
        "taken": dict(backend.taken),
        "refused": sorted(backend.refused),
        "disturbed": process.pipeline.delivery.busy,
    }


TestProcessesOfOneProgram = ProcessesOfOneProgram.TestCase
TestProcessesOnAFailingMachine = ProcessesOnAFailingMachine.TestCase

# Hundreds of random lives take half a minute where other work goes on; a test cut off there would report a loss.
TestProcessesOfOneProgram.pytestmark = [pytest.mark.timeout(180)]
TestProcessesOnAFailingMachine.pytestmark = [pytest.mark.timeout(180)]
