"""Every file operation of a journal's life fails once, in every way, and nothing promised is lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from honeyhive.exceptions import JournalError
from honeyhive.journal import Draft, Files, Journal, adopt
from honeyhive.journal.faults import Fault, FaultyFiles, SimulatedDeath

Tolerant = Callable[[Callable[[], object]], bool]


class Life:
    """One life of a journal, and what it was promised."""

    def __init__(self, directory: Path, files: FaultyFiles, *, keep: bool) -> None:
        self.directory = directory
        self.files = files
        self.keep = keep
        self.tried: set[bytes] = set()
        self.appended: set[bytes] = set()
        self.synced: set[bytes] = set()
        self.delivered: set[bytes] = set()
        self.errors: list[JournalError] = []

    def run(self) -> None:
        try:
            journal = self._opened()
            self._work(journal)
            self._at_rest(journal)
            self._attempt(journal.close)
        except SimulatedDeath:
            pass

    def _opened(self) -> Journal:
        while True:
            try:
                return Journal(
                    self.directory, prefix="1-b", segment_bytes=400, keep=self.keep, files=self.files, max_bytes=10**6
                )
            except JournalError as error:
                self.errors.append(error)

    def _work(self, journal: Journal) -> None:
        for step in range(4):
            self._append(journal, *(b"%d/%d" % (step, number) + bytes(90) for number in range(2)))
            self._append(journal, b"%d/last" % step + bytes(90))
            if step != 2:
                self._sync(journal)
            if step:
                self._deliver(journal)

    def _append(self, journal: Journal, *payloads: bytes) -> None:
        self.tried.update(payloads)
        if self._attempt(lambda: journal.append_many([Draft(1, payload) for payload in payloads])):
            self.appended.update(payloads)

    def _sync(self, journal: Journal) -> None:
        covered = set(self.appended)
        if self._attempt(journal.sync):
            self.synced = covered

    def _deliver(self, journal: Journal) -> None:
        def deliver() -> None:
            records = journal.read(max_items=2)
            if records:
                self.delivered.update(record.payload for record in records)
                journal.acknowledge(records[-1].position)

        self._attempt(deliver)

    def _at_rest(self, journal: Journal) -> None:
        """One fault is over after one error at most: the journal works, and holds what it took."""
        self._append(journal, b"after" + bytes(90))
        self._append(journal, b"after that" + bytes(90))
        assert len(self.appended & {b"after" + bytes(90), b"after that" + bytes(90)}) >= 1
        seen: set[bytes] = set()
        if not self._attempt(lambda: seen.update(record.payload for record in journal.read())):
            seen.update(record.payload for record in journal.read())
        assert self.appended <= seen | self.delivered
        assert seen <= self.tried

    def _attempt(self, action: Callable[[], object]) -> bool:
        try:
            action()
        except JournalError as error:
            self.errors.append(error)
            return False
        return True


def recovered(directory: Path, *, keep: bool) -> list[bytes]:
    if keep:
        with Journal(directory, prefix="2-b", keep=True):
            pass
        with Journal(directory, prefix="1-b", keep=True) as log:
            return [record.payload for record in log.read()]
    return [record.payload for segment in adopt(directory) for record in segment.read()]


@pytest.mark.fault
@pytest.mark.parametrize("keep", [False, True], ids=["spool", "log"])
@pytest.mark.parametrize("fault", Fault)
def test_whatever_fails_nothing_promised_is_lost(tmp_path: Path, fault: Fault, keep: bool) -> None:
    at = 0
    while True:
        at += 1
        files = FaultyFiles(fault, at=at)
        life = Life(tmp_path / str(at), files, keep=keep)
        life.run()
        if not files.fired:
            break

        found = recovered(life.directory, keep=keep) if life.directory.exists() else []

        promised = life.synced if fault is Fault.POWER_LOSS else life.appended
        story = f"operation {at}, {files.operations[at - 1]}, errors {life.errors}"
        assert promised - life.delivered <= set(found), story
        assert set(found) <= life.tried, story
        assert len(found) == len(set(found)), story

    assert at > 40


@pytest.mark.fault
@pytest.mark.parametrize("fault", Fault)
def test_whatever_fails_while_adopting_nothing_is_lost(tmp_path: Path, fault: Fault) -> None:
    payloads = {b"%d" % number + bytes(90) for number in range(7)}
    at = 0
    while True:
        at += 1
        directory = tmp_path / str(at)
        with Journal(directory, prefix="1-b", segment_bytes=400) as journal:
            for payload in payloads:
                journal.append(1, payload)
        files = FaultyFiles(fault, at=at)
        delivered = set(adopt_and_deliver(directory, files))
        if not files.fired:
            break

        found = recovered(directory, keep=False)

        assert delivered | set(found) == payloads, f"operation {at}, {files.operations[at - 1]}"

    assert at > 20


def adopt_and_deliver(directory: Path, files: Files) -> list[bytes]:
    delivered: list[bytes] = []
    segments = adopt(directory, files=files)
    with suppress(SimulatedDeath), closing(segments), suppress(JournalError):
        for segment in segments:
            while records := segment.read(max_items=2):
                delivered += [record.payload for record in records]
                segment.acknowledge(records[-1].position)
    return delivered


def test_a_full_disk_is_left_behind_when_there_is_room_again(tmp_path: Path) -> None:
    files = FaultyFiles()
    with Journal(tmp_path, files=files, segment_bytes=300) as journal:
        first = journal.append(1, b"before")
        for _ in range(3):
            files.fail_next("write", Fault.NO_SPACE)
            with pytest.raises(JournalError, match="No space"):
                journal.append(1, b"lost")
        journal.append(1, b"after")

        assert [record.payload for record in journal.read()] == [b"before", b"after"]
        files.fail_next("write", Fault.NO_SPACE)
        assert journal.acknowledge(first) == 1


def test_a_failed_write_that_cannot_be_cut_back_ends_the_segment(tmp_path: Path) -> None:
    files = FaultyFiles()
    with Journal(tmp_path, files=files) as journal:
        before = journal.append(1, b"before")
        files.fail_next("write", Fault.FULL_MIDWAY)
        files.fail_next("truncate", Fault.IO_ERROR)
        with pytest.raises(JournalError):
            journal.append(1, b"lost")

        after = journal.append(1, b"after")

        assert after.segment > before.segment
        assert [record.payload for record in journal.read()] == [b"before", b"after"]
    assert [record.payload for segment in adopt(tmp_path) for record in segment.read()] == [b"before", b"after"]
