"""Log and read model in a real PostgreSQL, shared by several processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from engines import Engine
from honeyhive.exceptions import ConfigurationError
from honeyhive.journal import Position
from honeyhive.models.wire import RecordKind
from honeyhive.server import jsontext
from honeyhive.server.admission.limits import Limits, Refusal
from honeyhive.server.index.queries import Listing
from honeyhive.server.records.marks import LogKind
from honeyhive.server.records.rows import Row
from honeyhive.server.retention.keeping import Retention
from honeyhive.server.storage.history import past_session
from honeyhive.server.storage.postgres import PostgresStorage
from honeyhive.server.storage.postgres_log import LOG_NAME, PostgresLog
from honeyhive.server.stores.pool import Pool
from honeyhive.testing import ManualClock
from read_models import TRACE, MakeSpan, intake, limits, make_span, request_with

__all__ = ["intake", "limits", "make_span", "request_with"]

WORKER = Path(__file__).with_name("projecting_worker.py")
USED = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1}

schemas = (f"s{number}" for number in count())


class Cluster:
    """Processes of a backend, as far as they share a database; each has a storage of its own."""

    def __init__(self, url: str, schema: str) -> None:
        self.url = url
        self.schema = schema
        self.clock = ManualClock()
        self.failures: list[BaseException] = []
        self.readable: list[Row] = []
        self._opened: list[PostgresStorage | Pool] = []
        self._workers: list[subprocess.Popen[bytes]] = []

    def storage(self, on_append: Callable[[], None] = lambda: None, **options: Any) -> PostgresStorage:
        storage = PostgresStorage(
            self.url,
            schema=self.schema,
            on_append=on_append,
            on_readable=self.readable.extend,
            on_failure=self.failures.append,
            limits=Limits(),
            **options,
        )
        self._opened.append(storage)
        return storage

    def log(self, **options: Any) -> PostgresLog:
        pool = Pool(self.url, schema=self.schema)
        self._opened.append(pool)
        return PostgresLog(pool, **options)

    def worker(self) -> subprocess.Popen[bytes]:
        """Start a process that projects until it is ended, and return when it has begun."""
        command = [sys.executable, str(WORKER), self.url, self.schema]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._workers.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def close(self) -> None:
        for process in self._workers:
            process.kill()
            process.communicate()
        for opened in self._opened:
            opened.close()


@pytest.fixture
def cluster(postgres_server: Engine) -> Iterator[Cluster]:
    cluster = Cluster(postgres_server.url, next(schemas))
    yield cluster
    cluster.close()


@pytest.fixture
def payload(make_span: MakeSpan, request_with: Any) -> Callable[..., bytes]:
    """Make a request of one span."""
    return lambda n=1, **options: request_with(make_span(n, **options)).SerializeToString()


def catch_up(storage: PostgresStorage) -> None:
    """Wait until everything can be read that was accepted, by whichever process."""

    async def wait() -> None:
        async with asyncio.timeout(60):
            await storage.progress.caught_up()

    asyncio.run(wait())


def everything(log: PostgresLog) -> list[Any]:
    records: list[Any] = []
    while batch := log.read(records[-1].position if records else None):
        records += batch
    return records


def test_what_is_appended_is_read_with_its_date(cluster: Cluster) -> None:
    log = cluster.log(clock=cluster.clock)
    then_ns = cluster.clock.time_ns()
    first = log.append(RecordKind.SPANS, b"\0one", 3)
    cluster.clock.advance(5)
    second = log.append(LogKind.FORGOTTEN, b"")

    one, two = log.read(None)

    assert (Position(LOG_NAME, 1), Position(LOG_NAME, 2)) == (first, second)
    assert (RecordKind.SPANS, 3, b"\0one", first, then_ns) == tuple(one)
    assert (LogKind.FORGOTTEN, 1, b"", second, then_ns + 5 * 10**9) == tuple(two)
    assert ([two], []) == (log.read(first), log.read(second))
    assert second == log.last == log.newest()


def test_dates_never_go_back_though_clocks_do(cluster: Cluster) -> None:
    ahead, behind = ManualClock(), ManualClock()
    ahead.advance(3_600)
    cluster.log(clock=ahead).append(RecordKind.SPANS, b"")
    cluster.log(clock=behind).append(RecordKind.SPANS, b"")

    one, two = cluster.log().read(None)

    assert one.recorded_ns == two.recorded_ns


def test_a_batch_is_bounded_by_bytes_and_by_items(cluster: Cluster) -> None:
    log = cluster.log()
    sizes = [(5_000_000, 1), (5_000_000, 1), (20_000_000, 1), (1, 4_000), (1, 90), (1, 90), (1, 9_000)]
    for size, items in sizes:
        log.append(RecordKind.SPANS, b"x" * size, items)

    counts, after = [], None
    while batch := log.read(after):
        counts.append(len(batch))
        after = batch[-1].position

    assert [1, 1, 1, 2, 1, 1] == counts


def test_threads_of_several_processes_append_without_a_gap_and_in_few_transactions(cluster: Cluster) -> None:
    noted: list[int] = []
    logs = [cluster.log(on_append=lambda: noted.append(1)) for _ in range(3)]
    start = threading.Barrier(24)

    def append(worker: int) -> list[tuple[int, bytes]]:
        start.wait()
        made = []
        for n in range(25):
            text = b"%d-%d" % (worker, n)
            made.append((logs[worker % 3].append(RecordKind.REST, text).offset, text))
        return made

    with ThreadPoolExecutor(24) as threads:
        given = sorted(pair for made in threads.map(append, range(24)) for pair in made)

    records = everything(logs[0])
    assert list(range(1, 601)) == [record.position.offset for record in records]
    assert given == [(record.position.offset, record.payload) for record in records]
    assert sorted(record.recorded_ns for record in records) == [record.recorded_ns for record in records]
    assert 600 == len(noted)
    # Records of one transaction have one date.
    assert len({record.recorded_ns for record in records}) < 600


def test_a_reader_beside_writers_passes_nothing_over(cluster: Cluster) -> None:
    logs = [cluster.log() for _ in range(3)]
    seen: list[int] = []

    def follow() -> None:
        after = None
        while len(seen) < 150:
            for record in logs[2].read(after):
                after = record.position
                seen.append(after.offset)

    with ThreadPoolExecutor(3) as threads:
        following = threads.submit(follow)
        list(threads.map(lambda log: [log.append(RecordKind.REST, b"x" * 3_000) for _ in range(75)], logs[:2]))
        following.result(60)

    assert list(range(1, 151)) == seen


@pytest.mark.fault
def test_a_database_that_is_away_refuses_and_takes_again_later(cluster: Cluster, postgres_server: Engine) -> None:
    log = cluster.log()
    log.append(RecordKind.REST, b"before")

    postgres_server.kill()
    with pytest.raises(Refusal) as refused:
        log.append(RecordKind.REST, b"meanwhile")
    postgres_server.start()
    log.append(RecordKind.REST, b"after")

    assert (503, 5) == (refused.value.status, refused.value.retry_after_s)
    assert [b"before", b"after"] == [record.payload for record in everything(log)]


def test_a_position_of_another_log_is_told(cluster: Cluster) -> None:
    with pytest.raises(ConfigurationError, match="another log"):
        cluster.log().read(Position("0000000001", 7))


def test_processes_that_do_not_project_know_how_far_readers_can_see(
    cluster: Cluster, payload: Callable[..., bytes], eventually: Callable[..., object]
) -> None:
    http, other, worker = cluster.storage(), cluster.storage(), cluster.storage()
    for n in range(1, 31):
        http.log.append(RecordKind.SPANS, payload(n))

    assert eventually(lambda: other.progress.backlog == 30)
    worker.projector.start()
    catch_up(other)
    worker.projector.stop()

    assert [30] == [trace["spans"] for trace in other.queries.traces(Listing()).items]
    assert eventually(lambda: other.progress.backlog == 0)
    assert (30, []) == (len(cluster.readable), cluster.failures)


def test_a_position_is_waited_for(cluster: Cluster, payload: Callable[..., bytes]) -> None:
    http, worker = cluster.storage(), cluster.storage()
    position = http.log.append(RecordKind.SPANS, payload())

    async def wait() -> None:
        waiting = asyncio.create_task(http.progress.reached(position))
        await asyncio.sleep(0)
        assert not waiting.done()
        await asyncio.to_thread(worker.projector.start)
        async with asyncio.timeout(60):
            await waiting

    asyncio.run(wait())
    worker.projector.stop()

    assert 1 == len(http.queries.traces(Listing()).items)


def test_where_nothing_was_accepted_nothing_is_waited_for(cluster: Cluster) -> None:
    storage = cluster.storage()

    catch_up(storage)

    assert 0 == storage.progress.backlog


def test_a_read_model_is_made_anew_beside_other_workers(cluster: Cluster, payload: Callable[..., bytes]) -> None:
    one = cluster.storage()
    for n in range(1, 31):
        one.log.append(RecordKind.SPANS, payload(n, attributes=USED))
    one.projector.start()
    catch_up(one)
    two = cluster.storage(rebuild=True)

    two.projector.start(wait_s=10)
    catch_up(two)
    one.projector.stop()
    two.projector.stop()

    [trace] = two.queries.traces(Listing()).items
    assert (30, 30, []) == (trace["spans"], trace["tokens_in"], cluster.failures)


@pytest.mark.fault
def test_workers_that_are_killed_leave_nothing_out_and_nothing_double(
    cluster: Cluster, payload: Callable[..., bytes]
) -> None:
    storage = cluster.storage()
    for n in range(1, 401):
        storage.log.append(RecordKind.SPANS, payload(n, attributes=USED))

    for _ in range(3):
        for process in [cluster.worker(), cluster.worker()]:
            process.kill()
    cluster.worker()
    catch_up(storage)

    trace = storage.queries.trace(TRACE, with_details=False)
    assert trace is not None
    assert (400, 400) == (trace["spans"], trace["tokens_in"])


def test_what_is_too_old_is_forgotten_in_log_and_read_model(
    cluster: Cluster, payload: Callable[..., bytes], intake: Any
) -> None:
    def nudge() -> None:
        storage.projector.nudge()

    storage = cluster.storage(nudge, clock=cluster.clock)
    storage.projector.start()

    def call(method: str, path: str, body: object) -> None:
        storage.log.append(RecordKind.REST, jsontext.dumps(intake.submit(method, path, body).call))

    call("POST", "/session/start", {"session": {"session_id": "s", "session_name": "chat"}})
    storage.log.append(RecordKind.SPANS, payload(1, name="old", attributes={"session.id": "s"}))
    storage.log.append(RecordKind.SPANS, payload(1, trace_id=9, name="older trace"))
    cluster.clock.advance(3_600)
    storage.log.append(RecordKind.SPANS, payload(2, name="young", attributes={"session.id": "s"}))
    catch_up(storage)

    Retention(storage.forgetter, keep_s=1_800, clock=cluster.clock).sweep()
    storage.projector.stop()

    [trace] = storage.queries.traces(Listing()).items
    assert ("young", 1) == (trace["name"], trace["spans"])
    session = storage.queries.session("s")
    assert session is not None
    assert ("chat", 1) == (session["name"], session["spans"])
    kinds = [record.kind for record in everything(storage.log)]
    assert [RecordKind.SPANS, LogKind.FORGOTTEN, LogKind.CARRIED] == kinds
    made_anew = cluster.storage(rebuild=True)
    made_anew.projector.start(wait_s=10)
    catch_up(made_anew)
    made_anew.projector.stop()
    assert session == made_anew.queries.session("s")


def test_a_session_is_shown_as_it_was(cluster: Cluster, payload: Callable[..., bytes]) -> None:
    log = cluster.log(clock=cluster.clock)
    then_ns = cluster.clock.time_ns()
    log.append(RecordKind.SPANS, payload(1, name="first", attributes={"session.id": "s"}))
    cluster.clock.advance(60)
    log.append(RecordKind.SPANS, payload(2, name="second", attributes={"session.id": "s"}))

    then, now = (past_session(log, "s", moment_ns).session for moment_ns in (then_ns, cluster.clock.time_ns()))

    assert then is not None
    assert now is not None
    assert (1, 2) == (then["spans"], now["spans"])


def test_nothing_is_forgotten_and_nobody_waits_for_ever_while_no_worker_projects(
    cluster: Cluster, payload: Callable[..., bytes], caplog: pytest.LogCaptureFixture
) -> None:
    storage = cluster.storage(settling_s=0.1)
    storage.log.append(RecordKind.SPANS, payload())
    cluster.clock.advance(3_600)

    Retention(storage.forgetter, keep_s=1_800, clock=cluster.clock).sweep()

    assert "the read model is too far behind the log" in caplog.text
    assert [RecordKind.SPANS] == [record.kind for record in everything(storage.log)]


def test_a_bound_by_size_is_refused_at_the_start(cluster: Cluster) -> None:
    with pytest.raises(ConfigurationError, match="--keep-days"):
        Retention(cluster.storage().forgetter, keep_bytes=10**9)


def test_a_pool_of_another_database_is_refused_early() -> None:
    with pytest.raises(ConfigurationError, match="postgresql://"):
        Pool("sqlite:///x", schema="a")
