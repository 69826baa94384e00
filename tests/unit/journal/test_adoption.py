"""What dead processes left: taken over once, resumed at the cursor, looked at without change."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from honeyhive.exceptions import JournalError
from honeyhive.journal import HEADER_BYTES, Files, Journal, adopt, inspect


@pytest.fixture
def leave(tmp_path: Path) -> Callable[..., None]:
    """Leave the segments of a dead process behind."""

    def leave(prefix: str = "1-b", count: int = 6, acknowledged: int = 0) -> None:
        with Journal(tmp_path, prefix=prefix, segment_bytes=400) as journal:
            positions = [journal.append(1, bytes([number]) * 100, items=2) for number in range(count)]
            if acknowledged:
                journal.acknowledge(positions[acknowledged - 1])

    return leave


def test_nothing_is_adopted_from_an_absent_or_empty_directory(tmp_path: Path) -> None:
    assert list(adopt(tmp_path / "absent")) == []
    assert list(adopt(tmp_path)) == []
    assert inspect(tmp_path / "absent") == []


def test_segments_of_the_living_are_left_alone(tmp_path: Path) -> None:
    with Journal(tmp_path, segment_bytes=300) as journal:
        for _ in range(9):
            journal.append(1, bytes(100))

        assert list(adopt(tmp_path)) == []
        assert all(facts.owner_alive for facts in inspect(tmp_path))


def test_an_adopted_segment_goes_on_where_its_owner_stopped(tmp_path: Path, leave: Callable[..., None]) -> None:
    leave(count=3, acknowledged=1)

    (found,) = [
        (segment.pending_items, segment.pending_bytes, [record.payload[0] for record in segment.read()])
        for segment in adopt(tmp_path)
    ]

    assert found == (4, 2 * (HEADER_BYTES + 100), [1, 2])


def test_a_segment_is_gone_when_all_of_it_is_acknowledged(tmp_path: Path, leave: Callable[..., None]) -> None:
    leave(count=6)

    for segment in adopt(tmp_path):
        for record in segment.read():
            assert segment.acknowledge(record.position) == 2

    assert list(tmp_path.iterdir()) == []


def test_what_an_adopter_did_not_finish_waits_for_the_next(tmp_path: Path, leave: Callable[..., None]) -> None:
    leave(count=3)
    for segment in adopt(tmp_path):
        segment.acknowledge(segment.read()[1].position)

    left = [record.payload[0] for segment in adopt(tmp_path) for record in segment.read()]

    assert left == [2]


def test_a_segment_has_one_adopter_at_a_time(tmp_path: Path, leave: Callable[..., None]) -> None:
    leave(count=3)

    for segment in adopt(tmp_path):
        assert list(adopt(tmp_path)) == []
        segment.close()
        assert [other.name for other in adopt(tmp_path)] == [segment.name]


def test_a_closed_segment_says_so(tmp_path: Path, leave: Callable[..., None]) -> None:
    leave(count=1)
    ((segment, position),) = [(segment, segment.read()[0].position) for segment in adopt(tmp_path)]

    with pytest.raises(JournalError, match="closed"):
        segment.read()
    with pytest.raises(JournalError, match="closed"):
        segment.acknowledge(position)


def test_the_longest_untouched_comes_first(tmp_path: Path, leave: Callable[..., None]) -> None:
    for prefix, written_at_s in (("3-b", 1_000), ("1-b", 3_000), ("2-b", 2_000)):
        leave(prefix, count=1)
        os.utime(tmp_path / f"{prefix}-0000000001.seg", (written_at_s, written_at_s))

    assert [(segment.name[:3], segment.written_at_s) for segment in adopt(tmp_path)] == [
        ("3-b", 1_000),
        ("2-b", 2_000),
        ("1-b", 3_000),
    ]


def test_a_discarded_segment_is_gone_and_counted(tmp_path: Path, leave: Callable[..., None]) -> None:
    leave(count=3, acknowledged=1)

    assert [segment.discard() for segment in adopt(tmp_path)] == [4]
    assert list(tmp_path.iterdir()) == []


def test_garbage_is_put_aside_and_never_raises(tmp_path: Path) -> None:
    (tmp_path / "1-b-0000000001.seg").write_bytes(b"\xff" * 5_000)
    (tmp_path / "1-b-0000000002.seg").write_bytes(b"")
    (tmp_path / "1-b-0000000003.seg").write_bytes(bytes(5_000))
    (tmp_path / "1-b-0000000004.seg").mkdir()
    (tmp_path / "1-b-0000000005.seg").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "1-b-0000000006.seg")
    (tmp_path / "1-b-0000000007.ack").write_bytes(b"junk")

    assert [(segment.read(), segment.corruption.bytes) for segment in adopt(tmp_path)] == [
        ([], size) for size in (5_000, 0, 0)
    ]
    assert [path.name for path in (tmp_path / "quarantine").iterdir()] == ["1-b-0000000001-0.bad"]


def test_a_damaged_cursor_costs_a_repetition_at_worst(tmp_path: Path, leave: Callable[..., None]) -> None:
    leave(count=3, acknowledged=1)
    cursor = tmp_path / "1-b-0000000001.ack"
    whole = cursor.read_bytes()

    for data, pending in ((whole[:-1], 6), (whole + whole[:9], 4), (b"\xf5HA\xfa" * 9, 6), (b"", 6)):
        cursor.write_bytes(data)
        assert [segment.pending_items for segment in adopt(tmp_path)] == [pending]


def test_inspection_tells_what_is_there_and_changes_nothing(tmp_path: Path, leave: Callable[..., None]) -> None:
    leave(count=6, acknowledged=1)
    damaged = tmp_path / "1-b-0000000002.seg"
    content = bytearray(damaged.read_bytes())
    content[60] ^= 0xFF
    damaged.write_bytes(content)
    before = sorted(path.name for path in tmp_path.iterdir())

    first, second = inspect(tmp_path, verify=True)

    assert (first.records, first.items, first.pending_items, first.owner_alive) == (3, 6, 4, False)
    assert (second.records, second.corruption) == (2, (1, 2, HEADER_BYTES + 100))
    assert inspect(tmp_path)[1].corruption.records == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == before


class AdoptedInBetween(Files):
    """An adopter looks into the directory between the making of the first segment and its lock."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.adopted: list[str] = []

    def lock(self, fd: int) -> bool:
        if not self.adopted:
            self.adopted += [segment.name for segment in adopt(self.directory)]
        return super().lock(fd)


def test_a_segment_taken_for_an_orphan_while_it_is_made_is_not_written_to(tmp_path: Path) -> None:
    files = AdoptedInBetween(tmp_path)
    with Journal(tmp_path, files=files) as journal:
        position = journal.append(1, b"safe")

        assert files.adopted == ["0000000001"]
        assert position.segment == "0000000002"
    assert [record.payload for segment in adopt(tmp_path) for record in segment.read()] == [b"safe"]
