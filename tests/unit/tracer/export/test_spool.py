"""Where records are kept when disks fail and come back, and what is taken over from the dead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from honeyhive.exceptions import JournalError, JournalFullError
from honeyhive.journal import Journal
from honeyhive.models.wire import RecordKind, spool_root
from honeyhive.tracer.export.reporting import Reporter
from honeyhive.tracer.export.spool import Spool
from honeyhive.tracer.export.statistics import DropReason, Statistics
from honeyhive.tracer.export.storage import DiskStorage, MemoryStorage


@pytest.mark.parametrize(
    "failure, reason",
    [
        (JournalError("read-only file system"), DropReason.SPOOL_UNAVAILABLE),
        (JournalFullError("no space left"), DropReason.SPOOL_FULL),
    ],
)
def test_without_a_disk_records_are_kept_in_memory_and_it_is_said_once(
    spool, storage, put, ledger, caplog, failure, reason
):
    storage.failure = failure

    put("a")
    put("b")

    assert spool.trouble is reason
    assert ledger.snapshot() == Statistics(finished=2, in_memory=2)
    assert [str(failure) in record.getMessage() for record in caplog.records] == [True]


def test_memory_is_charged_and_given_back(spool, storage, put, held):
    storage.failure = JournalError("gone")
    put("a")
    batch = spool.next_batch(1 << 20, 10)

    spool.settle(batch)

    assert held[0] > 0
    assert sum(held) == 0


def test_the_disk_is_tried_again_every_five_seconds(spool, storage, put, ledger, clock):
    storage.failure = JournalError("gone")
    put("a")
    storage.failure = None

    put("too early")
    clock.now_s += 5
    put("b")

    assert spool.trouble is None
    assert ledger.snapshot() == Statistics(finished=3, in_memory=2, spooled=1)


def test_memory_is_sent_before_disk(spool, storage, put, clock, names):
    put("on disk")
    storage.failure = JournalError("gone")
    put("in memory")

    batch = spool.next_batch(1 << 20, 10)

    assert names(batch.payload) == ["in memory"]


def test_what_a_dead_process_left_is_delivered_after_our_own(
    delivery, spool, put, backend, ledger, clock, tmp_path, request_of, storage
):
    leave(tmp_path, "77-dead", request_of("theirs", "theirs too"), spans=2)
    storage.left_by_the_dead = disk(tmp_path).left_by_the_dead
    put("ours")
    delivery.step()
    assert not delivery.step()

    assert spool.adopt()
    delivery.step()

    assert backend.names == [["ours"], ["theirs", "theirs too"]]
    assert ledger.snapshot() == Statistics(finished=1, adopted=2, delivered=3)
    assert not spool.adopt()
    assert segments(tmp_path) == []


def test_damaged_spans_of_a_dead_process_are_counted(delivery, spool, ledger, tmp_path, request_of, storage):
    leave(tmp_path, "77-dead", request_of("a"), spans=1)
    (segment,) = segments(tmp_path)
    damaged = bytearray(segment.read_bytes())
    damaged[-1] ^= 0xFF
    segment.write_bytes(damaged)
    storage.left_by_the_dead = disk(tmp_path).left_by_the_dead

    spool.adopt()
    delivery.step()
    spool.adopt()

    statistics = ledger.snapshot()
    assert statistics.adopted == sum(statistics.dropped.values()) == statistics.dropped.get("corrupt", 0)


def test_spans_of_an_unreadable_folder_stay_where_they_are(spool, storage, ledger):
    def unreadable():
        raise JournalError("permission denied")

    storage.left_by_the_dead = unreadable

    assert not spool.adopt()
    assert ledger.snapshot() == Statistics()


def test_the_disk_storage_writes_where_the_backend_looks(request_of):
    journal = DiskStorage("local", max_bytes=1 << 20).open_disk()

    journal.append(RecordKind.SPANS, request_of("a"), 1)

    (segment,) = segments(spool_root() / "local")
    assert segment.name.startswith(f"{os.getpid()}-")
    assert segment.stat().st_mode & 0o777 == 0o600
    journal.close()


def test_without_a_home_there_is_no_disk(monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", classmethod(no_home))

    with pytest.raises(JournalError, match="XDG_STATE_HOME"):
        DiskStorage("local", max_bytes=1 << 20).open_disk()


def test_a_spool_can_be_switched_off_without_a_word(ledger, clock, caplog):
    spool = Spool(
        MemoryStorage(), ledger=ledger, reporter=Reporter("x", "memory", clock), charge=lambda _size: None, clock=clock
    )
    ledger.finish(1)

    spool.append(RecordKind.SPANS, b"", 1)

    assert ledger.snapshot() == Statistics(finished=1, in_memory=1)
    assert not spool.adopt()
    assert not caplog.records


def no_home(_cls):
    raise RuntimeError("Could not determine home directory.")


def disk(folder: Path) -> DiskStorage:
    return DiskStorage("destination", root=folder, max_bytes=1 << 20)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.seg"))


def leave(folder: Path, prefix: str, payload: bytes, *, spans: int) -> None:
    journal = Journal(folder / "destination", prefix=prefix)
    journal.append(RecordKind.SPANS, payload, spans)
    journal.close()
