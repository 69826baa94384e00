"""Forgetting whole segments of a log: what goes, what stays, and that neither faults nor readers change it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from honeyhive.exceptions import JournalError
from honeyhive.journal import Files, Journal, JournalReader
from honeyhive.journal.faults import Fault, FaultyFiles, SimulatedDeath

SIZE = 100


def log_in(directory: Path, files: Files | None = None) -> Journal:
    """A log whose segments take two records of `SIZE` bytes."""
    return Journal(directory, keep=True, segment_bytes=300, max_bytes=None, max_disk_share=None, files=files)


def fill(journal: Journal, *numbers: int) -> None:
    for number in numbers:
        journal.append(1, b"%d " % number + bytes(SIZE - 2))


def numbers_in(journal: Journal | JournalReader) -> list[int]:
    return [int(record.payload.split()[0]) for record in journal.read()]


def sealed(journal: Journal) -> list[str]:
    return [extent.segment for extent in journal.extents() if extent.sealed]


class InterruptedFiles(Files):
    """Does something else once, right after a directory was synced."""

    def __init__(self) -> None:
        self.synced_directories = 0
        self.afterwards: Callable[[], object] | None = None

    def sync_directory(self, path: Path) -> None:
        super().sync_directory(path)
        self.synced_directories += 1
        afterwards, self.afterwards = self.afterwards, None
        if afterwards is not None:
            afterwards()


def test_forgotten_segments_are_gone_and_the_others_keep_their_addresses(tmp_path: Path) -> None:
    with log_in(tmp_path) as log:
        fill(log, 0, 1, 2, 3, 4)
        before = log.size_bytes
        kept = log.read()[2:]

        freed = log.forget(sealed(log)[:1])

        assert log.read() == kept
        assert log.size_bytes == before - freed
        assert log.payload(kept[0].position) == kept[0].payload
        assert log.forget(["0000000001"]) == 0
    with log_in(tmp_path) as log:
        assert log.read() == kept


def test_segments_in_the_middle_can_be_forgotten(tmp_path: Path) -> None:
    with log_in(tmp_path) as log:
        fill(log, 0, 1, 2, 3, 4)
        first = log.read()[0].position

        log.forget(sealed(log)[1:])

        assert numbers_in(log) == [0, 1, 4]
        assert [int(record.payload.split()[0]) for record in log.read(first)] == [1, 4]


def test_the_segment_being_written_is_forgotten_only_after_a_new_one_was_begun(tmp_path: Path) -> None:
    with log_in(tmp_path) as log:
        fill(log, 0, 1, 2)
        last = log.last
        with pytest.raises(ValueError, match=r"0000000002 is still being written; call begin_afresh"):
            log.forget([extent.segment for extent in log.extents()])
        assert numbers_in(log) == [0, 1, 2]

        log.begin_afresh()
        log.forget(sealed(log))
        fill(log, 3)

        assert numbers_in(log) == [3]
        assert last is not None
        assert log.read(last) == log.read()


def test_names_are_not_given_again_when_everything_is_forgotten(tmp_path: Path) -> None:
    newest = ""
    for number in range(3):
        with log_in(tmp_path) as log:
            fill(log, number)
            log.begin_afresh()
            assert all(extent.segment > newest for extent in log.extents()[-1:])
            newest = log.extents()[-1].segment
            log.forget(sealed(log))
            assert log.read() == []

    assert len(list(tmp_path.glob("*.seg"))) == 1


def test_the_name_of_the_next_segment_is_durable_before_the_newest_goes(tmp_path: Path) -> None:
    files = FaultyFiles()
    with log_in(tmp_path, files) as log:
        fill(log, 0)
        log.begin_afresh()
        log.sync()
        done = len(files.operations)

        log.forget(sealed(log))

        steps = [step for step in files.operations[done:] if step in ("create", "sync_directory", "unlink")]
        assert steps == ["create", "sync_directory", "unlink", "unlink", "sync_directory"]


def test_a_spool_does_not_forget(tmp_path: Path) -> None:
    with Journal(tmp_path, prefix="1-b") as spool, pytest.raises(JournalError, match="is no log"):
        spool.forget(["1-b-0000000001"])


def test_forgotten_records_make_room_on_disk_and_in_memory(tmp_path: Path) -> None:
    with Journal(tmp_path, keep=True, segment_bytes=300, max_bytes=500, recent_bytes=200) as log:
        fill(log, 0, 1, 2, 3)
        with pytest.raises(JournalError):
            fill(log, 4)

        log.forget(sealed(log))
        fill(log, 4)

        assert numbers_in(log) == [2, 3, 4]


def test_a_reader_passes_over_what_was_forgotten(tmp_path: Path) -> None:
    reader = JournalReader(tmp_path)
    with log_in(tmp_path) as log:
        fill(log, 0, 1, 2, 3, 4, 5)
        first = reader.read(max_items=1)[0].position

        log.forget(sealed(log))

        assert [int(record.payload.split()[0]) for record in reader.read(first)] == [4, 5]
        assert [extent.segment for extent in reader.extents()] == ["0000000003"]
        assert reader.ends("0000000001") is None
        with pytest.raises(JournalError, match="No such file"):
            reader.payload(first)


def test_a_segment_that_goes_after_it_was_listed_is_passed_over(tmp_path: Path) -> None:
    with log_in(tmp_path) as log:
        fill(log, 0, 1, 2)

        class Forgetful(Files):
            def list(self, path: Path) -> list[str]:
                names = list(super().list(path))
                log.forget(sealed(log))
                return names

        reader = JournalReader(tmp_path, files=Forgetful())

        assert numbers_in(reader) == [2]


def test_segments_tell_their_size_and_their_first_and_last_record(tmp_path: Path) -> None:
    with log_in(tmp_path) as log:
        fill(log, 0, 1, 2)
        reader = JournalReader(tmp_path)

        for journal in (log, reader):
            assert [(extent.bytes, extent.sealed) for extent in journal.extents()] == [(248, True), (124, False)]
            ends = journal.ends("0000000001")
            assert ends == tuple(log.read()[:2])
            assert journal.ends("0000000077") is None


def test_damaged_records_are_not_the_ends_of_a_segment(tmp_path: Path) -> None:
    with log_in(tmp_path) as log:
        fill(log, 0, 1, 2)
        path = tmp_path / "0000000001.seg"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        ends = log.ends("0000000001")
        content[30] ^= 1
        path.write_bytes(content)

        assert ends is not None
        assert ends[0] == ends[1]
        assert log.ends("0000000001") is None


def test_a_segment_begun_while_names_are_synced_is_durable_after_the_next_sync(tmp_path: Path) -> None:
    files = InterruptedFiles()
    with log_in(tmp_path, files) as log:
        fill(log, 0)
        files.afterwards = lambda: fill(log, 1, 2)

        log.sync()
        assert files.synced_directories == 1
        log.sync()

        assert files.synced_directories == 2


def test_reading_goes_on_while_segments_are_forgotten(tmp_path: Path) -> None:
    """Each reader sees rising numbers and ends with the newest, whatever went meanwhile; no file stays open."""
    written = threading.Event()
    with log_in(tmp_path) as log:
        seen: dict[str, list[int]] = {"within": [], "beside": []}

        def follow(name: str, journal: Journal | JournalReader) -> None:
            after = None
            while True:
                finished = written.is_set()
                records = journal.read(after, max_items=3)
                seen[name] += [int(record.payload.split()[0]) for record in records]
                after = records[-1].position if records else after
                if finished and not records:
                    return

        threads = [
            threading.Thread(target=follow, args=("within", log)),
            threading.Thread(target=follow, args=("beside", JournalReader(tmp_path))),
        ]
        for thread in threads:
            thread.start()
        for number in range(300):
            fill(log, number)
            if number % 5 == 0:
                log.sync()
                log.forget(sealed(log))
        written.set()
        for thread in threads:
            thread.join()
        log.forget(sealed(log))

        for numbers in seen.values():
            assert numbers == sorted(set(numbers))
            assert numbers[-1] == 299
        links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        assert not [link for link in links if link.is_relative_to(tmp_path) and "deleted" in link.name]


class ForgettingLife:
    """A log that is filled, made to forget, and filled again, while one operation fails."""

    def __init__(self, directory: Path, files: FaultyFiles) -> None:
        self.directory = directory
        self.files = files
        self.tried: set[int] = set()
        self.promised: set[int] = set()
        self.doomed: set[int] = set()
        self.forgotten: set[int] = set()
        self.newest = ""

    def run(self) -> None:
        with_luck = log_in(self.directory, self.files)
        self._keep(with_luck, 0, 1, 2, 3, 4)
        self._forget(with_luck, 2)
        self._keep(with_luck, 5, 6, 7)
        with_luck.begin_afresh()
        self._forget(with_luck, None)
        self._keep(with_luck, 8)

    def _keep(self, log: Journal, *numbers: int) -> None:
        self.tried.update(numbers)
        fill(log, *numbers)
        log.sync()
        self.promised.update(numbers)
        self.newest = log.extents()[-1].segment

    def _forget(self, log: Journal, count: int | None) -> None:
        names = sealed(log)[:count]
        doomed = {int(record.payload.split()[0]) for record in log.read() if record.position.segment in names}
        self.doomed |= doomed
        log.forget(names)
        self.forgotten |= doomed


@pytest.mark.fault
@pytest.mark.parametrize("fault", Fault)
def test_whatever_fails_while_forgetting_only_what_was_to_go_is_gone(tmp_path: Path, fault: Fault) -> None:
    at = 0
    while True:
        at += 1
        files = FaultyFiles(fault, at=at)
        life = ForgettingLife(tmp_path / str(at), files)
        with suppress(JournalError, SimulatedDeath):
            life.run()
        if not files.dead:
            files.die()
        if not files.fired:
            break

        with log_in(life.directory) as log:
            found = set(numbers_in(log))
            fill(log, 99)
            following = log.extents()[-1].segment

        story = f"operation {at}, {files.operations[at - 1]}"
        assert life.promised - life.doomed <= found <= life.tried, story
        assert not found & life.forgotten, story
        assert following > life.newest, story

    assert at > 60
