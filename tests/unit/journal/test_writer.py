"""The journal on disk: its files, its bounds, its locks, damage, and what it refuses."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.exceptions import JournalError, JournalFullError, JournalLockedError, JournalUnsafeError
from honeyhive.journal import HEADER_BYTES, DiskSpace, Draft, Files, Journal, JournalReader, Position, adopt, inspect
from honeyhive.journal.faults import Fault, FaultyFiles


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def fill(journal: Journal, count: int, size: int = 100) -> list[Position]:
    return [journal.append(1, bytes([number]) * size) for number in range(count)]


def open_segments(folder: Path) -> list[int]:
    """The descriptors of this process that are segments below *folder*; other tests may have theirs open."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists
            target = path.readlink()
            if target.suffix == ".seg" and target.is_relative_to(folder):
                found.append(int(path.name))
    return found


class CountingFiles(Files):
    """Counts the calls that write."""

    def __init__(self) -> None:
        self.writes = 0
        self.syncs = 0

    def write(self, fd: int, parts: object) -> int:
        self.writes += 1
        return super().write(fd, parts)  # type: ignore[arg-type]

    def sync(self, fd: int) -> None:
        self.syncs += 1
        super().sync(fd)


class SmallDisk(Files):
    """A disk with little room left."""

    free = 10_000

    def disk(self, path: Path) -> DiskSpace:
        return DiskSpace(free=self.free, total=1_000_000)


class StrangersFiles(Files):
    """Everything belongs to somebody else."""

    def lstat(self, path: Path) -> os.stat_result:
        facts = super().lstat(path)
        return os.stat_result((*facts[:4], facts.st_uid + 1, *facts[5:10]))


def test_opening_makes_a_private_directory_and_no_segment(tmp_path: Path) -> None:
    with Journal(tmp_path / "state" / "spool"):
        assert names(tmp_path / "state" / "spool") == []
        for directory in (tmp_path / "state", tmp_path / "state" / "spool"):
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_files_are_private_and_closed_on_exec(tmp_path: Path) -> None:
    with Journal(tmp_path / "spool", prefix="1-b") as journal:
        journal.acknowledge(fill(journal, 3)[0])
        facts = {name: stat.S_IMODE((tmp_path / "spool" / name).stat().st_mode) for name in names(tmp_path / "spool")}
        inheritable = [os.get_inheritable(fd) for fd in open_segments(tmp_path)]

    assert facts == {"1-b-0000000001.ack": 0o600, "1-b-0000000001.seg": 0o600}
    assert inheritable == [False]


def test_an_append_is_one_write(tmp_path: Path) -> None:
    files = CountingFiles()
    with Journal(tmp_path, files=files) as journal:
        journal.append(1, bytes(50_000))
        assert files.writes == 1

        journal.append_many([Draft(1, bytes(10))] * 2_000)
        assert files.writes == 2


def test_one_sync_covers_many_appends_and_the_next_costs_nothing(tmp_path: Path) -> None:
    files = CountingFiles()
    with Journal(tmp_path, files=files) as journal:
        fill(journal, 10)

        journal.sync()
        journal.sync()

        assert files.syncs == 1


def test_sync_covers_the_segments_left_behind(tmp_path: Path) -> None:
    files = CountingFiles()
    with Journal(tmp_path, files=files, segment_bytes=300, keep=True) as journal:
        fill(journal, 9)

        journal.sync()

        assert files.syncs == len(journal.read()) / 2 + 0.5


def test_a_new_life_never_appends_to_an_old_file(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fill(journal, 1)
    (tmp_path / "0000000041.ack").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "0000000099-old.seg.bak").touch()

    with Journal(tmp_path) as journal:
        position = fill(journal, 1)[0]

    assert position.segment == "0000000042"


def test_two_journals_of_one_prefix_do_not_share_a_file(tmp_path: Path) -> None:
    with Journal(tmp_path) as one, Journal(tmp_path) as two:
        segments = {fill(one, 1)[0].segment, fill(two, 1)[0].segment, fill(one, 1)[0].segment}

    assert len(segments) == 2


def test_acknowledged_segments_are_unlinked_with_their_cursors(tmp_path: Path) -> None:
    with Journal(tmp_path, segment_bytes=300) as journal:
        positions = fill(journal, 9)

        journal.acknowledge(positions[4])

        assert names(tmp_path) == [
            f"000000000{n}.{kind}" for n, kind in [(3, "ack"), (3, "seg"), (4, "seg"), (5, "seg")]
        ]
        journal.acknowledge(positions[-1])
    assert names(tmp_path) == []


def test_files_that_somebody_removed_do_no_harm(tmp_path: Path) -> None:
    with Journal(tmp_path, segment_bytes=300) as journal:
        positions = fill(journal, 9)
        for path in tmp_path.iterdir():
            path.unlink()

        assert journal.acknowledge(positions[-1]) == 9
        journal.append(1, b"on")


def test_the_bound_counts_what_other_processes_left(tmp_path: Path) -> None:
    with Journal(tmp_path, prefix="1-b") as other:
        fill(other, 1, size=6_000)

    with Journal(tmp_path, prefix="2-b", max_bytes=10_000) as journal, pytest.raises(JournalFullError, match="10,000"):
        fill(journal, 1, size=2_000)


def test_tiny_segments_count_as_a_block_so_that_their_number_is_bounded(tmp_path: Path) -> None:
    for number in range(5):
        with Journal(tmp_path, prefix=f"{number}-b") as other:
            fill(other, 1, size=1)

    with Journal(tmp_path, prefix="9-b", max_bytes=5 * 4096) as journal, pytest.raises(JournalFullError):
        fill(journal, 1, size=1)


def test_room_that_others_gave_back_is_found_again(tmp_path: Path) -> None:
    with Journal(tmp_path, prefix="1-b") as other:
        fill(other, 1, size=6_000)
    with Journal(tmp_path, prefix="2-b", max_bytes=10_000) as journal:
        with pytest.raises(JournalFullError):
            fill(journal, 1, size=2_000)
        for segment in adopt(tmp_path):
            segment.discard()

        fill(journal, 1, size=2_000)


def test_a_share_of_the_free_disk_is_a_bound(tmp_path: Path) -> None:
    with Journal(tmp_path, files=SmallDisk(), max_disk_share=0.2) as journal:
        fill(journal, 1, size=1_900)

        with pytest.raises(JournalFullError):
            fill(journal, 1, size=1_900)


def test_an_unsafe_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o770)

    for name, reason in (("link", "not a directory"), ("file", "not a directory"), ("open", "chmod 700")):
        with pytest.raises(JournalUnsafeError, match=reason):
            Journal(tmp_path / name)
        with pytest.raises(JournalUnsafeError, match=reason):
            list(adopt(tmp_path / name))


def test_a_strangers_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalUnsafeError, match="belongs to user"):
        Journal(tmp_path, files=StrangersFiles())


def test_a_planted_link_is_never_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    spool = tmp_path / "spool"
    with Journal(spool) as journal:
        (spool / "0000000001.seg").symlink_to(victim)
        (spool / "0000000002.ack").symlink_to(victim)
        positions = fill(journal, 2)
        journal.acknowledge(positions[0])

    assert victim.read_bytes() == b""


def test_a_prefix_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="prefix"):
        Journal(tmp_path, prefix="../x")


def test_a_directory_that_cannot_be_made_is_a_journal_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(JournalError, match="cannot make"):
        Journal(tmp_path / "file" / "spool")


def test_a_log_has_one_writer(tmp_path: Path) -> None:
    with Journal(tmp_path, keep=True), pytest.raises(JournalLockedError):
        Journal(tmp_path, keep=True)

    Journal(tmp_path, keep=True).close()


def test_a_log_keeps_its_records_and_addresses_over_lives(tmp_path: Path) -> None:
    addresses: dict[Position, bytes] = {}
    for life in range(4):
        with Journal(tmp_path, keep=True, segment_bytes=300, max_bytes=None) as log:
            for number in range(7):
                payload = b"%d of %d" % (number, life) + bytes(50)
                addresses[log.append(1, payload)] = payload
            log.sync()

    with Journal(tmp_path, keep=True) as log:
        assert {position: log.payload(position) for position in addresses} == addresses
        assert [record.payload for record in log.read()] == list(addresses.values())
        assert log.pending_items == 28


def test_a_log_holds_few_files_open(tmp_path: Path) -> None:
    with Journal(tmp_path, keep=True, segment_bytes=300) as log:
        for _ in range(20):
            fill(log, 4)
            log.sync()
            log.read()

        assert len(open_segments(tmp_path)) <= 1


def test_an_acknowledged_log_goes_on_at_its_cursor(tmp_path: Path) -> None:
    with Journal(tmp_path, keep=True, segment_bytes=300) as log:
        positions = fill(log, 9)
        assert log.acknowledge(positions[4]) == 5

    with Journal(tmp_path, keep=True) as log:
        assert [record.position for record in log.read()] == positions[5:]
        assert [record.position for record in log.read(positions[1])] == positions[2:]
        assert log.payload(positions[0]) == bytes(100)
        assert log.pending_items == 4


def test_a_log_is_never_adopted(tmp_path: Path) -> None:
    Journal(tmp_path, keep=True).close()

    with pytest.raises(JournalError, match="is a log"):
        list(adopt(tmp_path))


def test_after_a_failed_sync_every_sync_fails_until_the_records_are_dealt_with(tmp_path: Path) -> None:
    """The kernel reports a lost write once and calls the next sync a success."""
    files = FaultyFiles()
    journal = Journal(tmp_path, files=files)
    position = fill(journal, 1)[0]
    files.fail_next("sync", Fault.IO_ERROR)
    with pytest.raises(JournalError, match="cannot sync"):
        journal.sync()
    later = fill(journal, 1)[0]

    with pytest.raises(JournalError, match="earlier sync"):
        journal.sync()
    journal.acknowledge(position)
    journal.sync()

    assert later.segment > position.segment
    journal.close()


def damage(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize("where", [0, 5, 10, 14, 18, 22, HEADER_BYTES, HEADER_BYTES + 99])
def test_a_damaged_record_costs_that_record_alone(tmp_path: Path, where: int) -> None:
    with Journal(tmp_path) as journal:
        positions = fill(journal, 5)
        damage(tmp_path / f"{positions[2].segment}.seg", positions[2].offset + where, b"\x77")

        records = journal.read()

        assert [record.payload[0] for record in records] == [0, 1, 3, 4]
        assert journal.corruption == (1, 1, HEADER_BYTES + 100)
        assert journal.acknowledge(positions[4]) == 4
        assert journal.pending_items == 0
    assert names(tmp_path) == ["quarantine"]
    kept = (tmp_path / "quarantine" / f"{positions[2].segment}-{positions[2].offset}.bad").read_bytes()
    assert kept[where] == 0x77
    assert len(kept) == HEADER_BYTES + 100


def test_damage_is_counted_once_however_often_it_is_read(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        positions = fill(journal, 3)
        damage(tmp_path / f"{positions[1].segment}.seg", positions[1].offset + 50, b"\x77")

        for _ in range(3):
            journal.read()

        assert journal.corruption.records == 1


def test_a_journal_whose_last_records_are_damaged_comes_to_its_end(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        positions = fill(journal, 4)
        for position in positions[2:]:
            damage(tmp_path / f"{position.segment}.seg", position.offset + 50, b"\x77")

        journal.acknowledge(journal.read()[-1].position)

        assert journal.pending_items == 0
        assert journal.read() == []


def test_the_quarantine_is_bounded(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for position in fill(journal, 3, size=7 * 1024 * 1024):
            damage(tmp_path / f"{position.segment}.seg", position.offset + 50, b"\x77")

        journal.read(max_bytes=2**30)

        assert journal.corruption.records == 3
    kept = sum(path.stat().st_size for path in (tmp_path / "quarantine").iterdir())
    assert kept == 16 * 1024 * 1024


def test_a_payload_that_looks_like_records_is_not_taken_for_any(tmp_path: Path) -> None:
    with Journal(tmp_path / "inner") as inner:
        position = inner.append(1, b"fake")
    fake = (tmp_path / "inner" / f"{position.segment}.seg").read_bytes()
    with Journal(tmp_path / "outer") as journal:
        first = journal.append(1, fake * 20)
        journal.append(1, b"true")
        damage(tmp_path / "outer" / f"{first.segment}.seg", 3, b"\x77")

        assert [record.payload for record in journal.read()] == [b"true"]


@given(
    spots=st.lists(st.tuples(st.integers(0, 1_239), st.binary(min_size=1, max_size=40)), max_size=4),
    cut=st.integers(0, 1_240),
)
def test_any_damage_costs_only_what_it_touched(
    tmp_path_factory: pytest.TempPathFactory, spots: list[tuple[int, bytes]], cut: int
) -> None:
    """Law: whatever bytes are changed or cut off, reading raises nothing and gives every untouched record."""
    directory = tmp_path_factory.mktemp("law")
    with Journal(directory) as journal:
        positions = fill(journal, 10)
    path = directory / f"{positions[0].segment}.seg"
    original = path.read_bytes()
    for offset, data in spots:
        damage(path, offset, data)
    os.truncate(path, cut)
    now = path.read_bytes()
    size = HEADER_BYTES + 100
    whole = [at for at in range(10) if now[at * size : (at + 1) * size] == original[at * size : (at + 1) * size]]

    for segment in adopt(directory):
        records = segment.read()
        for record in records:
            segment.acknowledge(record.position)

        assert [record.payload[0] for record in records] == whole
        assert segment.pending_items == 0
    assert not path.exists()


def test_many_threads_append_read_and_acknowledge_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=2_000)
    start = threading.Barrier(4)
    appended = threading.Event()

    def append(mark: int) -> None:
        start.wait()
        for number in range(200):
            journal.append(mark, b"%d" % number)

    def sync() -> None:
        start.wait()
        while not appended.is_set():
            journal.sync()

    writers = [threading.Thread(target=append, args=(mark,)) for mark in (1, 2)]
    syncer = threading.Thread(target=sync)
    for thread in [*writers, syncer]:
        thread.start()
    start.wait()
    seen: list[tuple[int, bytes]] = []
    while any(thread.is_alive() for thread in writers) or journal.pending_items:
        records = journal.read(max_items=50)
        seen += [(record.kind, record.payload) for record in records]
        if records:
            journal.acknowledge(records[-1].position)
    appended.set()
    syncer.join()

    for mark in (1, 2):
        assert [payload for kind, payload in seen if kind == mark] == [b"%d" % number for number in range(200)]
    journal.close()
    assert names(tmp_path) == []


def test_a_reader_beside_the_writer_misses_nothing_when_segments_change(tmp_path: Path) -> None:
    reader = JournalReader(tmp_path)
    done = threading.Event()

    def write() -> None:
        with Journal(tmp_path, keep=True, segment_bytes=300, max_bytes=None) as log:
            for number in range(1_000):
                log.append(1, b"%d" % number)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[bytes] = []
    after = None
    while True:
        finished = done.is_set()
        records = reader.read(after, max_bytes=100)
        seen += [record.payload for record in records]
        after = records[-1].position if records else after
        if finished and not records:
            break
    writer.join()

    assert seen == [b"%d" % number for number in range(1_000)]
    assert after is not None
    assert reader.payload(after) == b"999"


def test_a_reader_leaves_a_record_in_the_making_alone(tmp_path: Path) -> None:
    with Journal(tmp_path, keep=True) as log:
        position = log.append(1, b"whole")
        path = tmp_path / f"{position.segment}.seg"
        with path.open("ab") as file:
            file.write(path.read_bytes()[:26])

        reader = JournalReader(tmp_path)

        assert [record.payload for record in reader.read()] == [b"whole"]
        assert reader.read(position) == []
        assert inspect(tmp_path)[0].corruption.records == 0


def test_a_reader_of_nothing_reads_nothing(tmp_path: Path) -> None:
    assert JournalReader(tmp_path / "absent").read() == []
    with pytest.raises(JournalError):
        JournalReader(tmp_path).payload(Position("../../etc/passwd", 0))


def test_what_was_just_appended_is_read_from_memory_and_the_rest_from_the_disk(tmp_path: Path) -> None:
    files = FaultyFiles()
    journal = Journal(tmp_path, recent_bytes=300, files=files)
    positions = fill(journal, 5)

    files.fail_next("pread", Fault.IO_ERROR)
    from_memory = journal.read(max_items=2)
    with pytest.raises(JournalError):
        journal.read()

    assert [record.position for record in from_memory] == positions[:2]
    assert [record.payload[0] for record in journal.read()] == [0, 1, 2, 3, 4]


def test_acknowledged_records_make_room_in_memory(tmp_path: Path) -> None:
    files = FaultyFiles()
    journal = Journal(tmp_path, recent_bytes=300, files=files)

    journal.acknowledge(fill(journal, 3)[-1])
    positions = fill(journal, 3)
    files.fail_next("pread", Fault.IO_ERROR)

    assert [record.position for record in journal.read()] == positions


def test_beginning_afresh_gives_back_what_is_acknowledged(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    positions = fill(journal, 3)

    journal.acknowledge(positions[1])
    journal.begin_afresh()
    assert names(tmp_path) == ["0000000001.ack", "0000000001.seg"]

    journal.acknowledge(positions[2])
    assert names(tmp_path) == []
    assert journal.size_bytes == 0


@pytest.mark.parametrize("size", [0, 1, 5_120, 5_121, 12_345, 65_536, 65_537])
def test_a_record_of_any_size_comes_back_whole(tmp_path: Path, size: int) -> None:
    payload = bytes(index % 251 for index in range(size))
    written = Journal(tmp_path, prefix="dead")
    written.append(1, payload)
    written.close()

    found = [record.payload for segment in adopt(tmp_path) for record in segment.read()]

    assert [payload] == found
