"""What programs recorded while no backend ran is taken in, once, through the same checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from honeyhive.events.log import LogSource
from honeyhive.exceptions import JournalError, JournalFullError
from honeyhive.journal import Journal, MemoryJournal, Position
from honeyhive.models.wire import RecordKind
from honeyhive.server import jsontext
from honeyhive.server.admission.limits import Limits, Refusal
from honeyhive.server.ingest.adoption import Adopter
from honeyhive.server.records.events import Intake
from honeyhive.server.storage.log import IngestLog


@pytest.fixture
def log() -> MemoryJournal:
    return MemoryJournal()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "local"


@pytest.fixture
def adopter(spool: Path, log: MemoryJournal, intake: Intake, limits: Limits) -> Adopter:
    ingest_log = IngestLog(log, on_append=lambda: None, on_failure=_fail)
    return Adopter(spool, log=ingest_log, intake=intake, limits=limits)


def _fail(error: BaseException) -> None:
    raise error


def test_the_spool_of_a_dead_program_is_taken_in_once(
    adopter: Adopter,
    spool: Path,
    log: MemoryJournal,
    request_with: Callable[..., Any],
    make_span: Callable[..., Span],
) -> None:
    payload = request_with(make_span()).SerializeToString()
    call = {"method": "POST", "path": "/session/start", "body": {"session": {"session_id": "s"}}}
    with Journal(spool, prefix="dead") as dead:
        dead.append(RecordKind.SPANS, payload)
        dead.append(RecordKind.REST, jsontext.dumps(call))

    assert sum(adopter.adopt()) == 2
    assert sum(adopter.adopt()) == 0

    assert [record.kind for record in LogSource(log).read(None)] == [RecordKind.SPANS, RecordKind.REST]
    assert list(spool.glob("*.seg")) == []


def test_the_spool_of_a_living_program_is_left_alone(
    adopter: Adopter, spool: Path, request_with: Callable[..., Any], make_span: Callable[..., Span]
) -> None:
    with Journal(spool, prefix="alive") as alive:
        alive.append(RecordKind.SPANS, request_with(make_span()).SerializeToString())

        assert sum(adopter.adopt()) == 0


def test_what_is_left_off_in_the_middle_stays_for_the_next_time(
    adopter: Adopter, spool: Path, request_with: Callable[..., Any], make_span: Callable[..., Span]
) -> None:
    with Journal(spool, prefix="dead") as dead:
        for number in range(1, 4):
            dead.append(RecordKind.SPANS, request_with(make_span(number)).SerializeToString())

    begun = adopter.adopt()
    next(begun)
    begun.close()

    assert sum(adopter.adopt()) == 2


def test_what_is_malformed_is_passed_over_and_said(
    adopter: Adopter, spool: Path, log: MemoryJournal, caplog: pytest.LogCaptureFixture
) -> None:
    with Journal(spool, prefix="dead") as dead:
        dead.append(RecordKind.SPANS, b"\xff")
        dead.append(RecordKind.REST, b"[]")
        dead.append(RecordKind.LOGS, b"\xff")
        dead.append(99, b"")

    assert sum(adopter.adopt()) == 0

    assert log.read() == []
    assert len(caplog.records) == 4


class _FullJournal(MemoryJournal):
    """A journal on a full disk."""

    def append(self, kind: int, payload: bytes, items: int = 1) -> Position:
        raise JournalFullError("full")


class _BrokenJournal(MemoryJournal):
    """A journal whose disk reports an error at the sync."""

    def sync(self) -> None:
        raise JournalError("lost")


def test_a_full_disk_is_told_with_a_time_to_come_back() -> None:
    log = IngestLog(_FullJournal(), on_append=_never, on_failure=_fail)

    with pytest.raises(Refusal) as refused:
        log.append(RecordKind.SPANS, b"x")

    assert (refused.value.status, refused.value.retry_after_s) == (507, 30)


def test_a_failed_sync_is_never_a_success_and_stops_the_server_once() -> None:
    failures: list[BaseException] = []
    log = IngestLog(_BrokenJournal(), on_append=_never, on_failure=failures.append)

    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            log.append(RecordKind.SPANS, b"x")
        assert refused.value.status == 503

    assert len(failures) == 1


def _never() -> None:
    raise AssertionError("nothing was stored")
