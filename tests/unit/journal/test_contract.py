"""What every journal promises, on disk, as a log, and in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.exceptions import JournalError, JournalFullError
from honeyhive.journal import HEADER_BYTES, Draft, Journal, JournalInterface, MemoryJournal, Position

Opener = Callable[[int], JournalInterface]

drafts = st.builds(
    Draft,
    kind=st.integers(0, 2**16 - 1),
    payload=st.binary(max_size=300),
    items=st.integers(0, 2**32 - 1),
)


@pytest.fixture(params=["spool", "recent", "log", "memory"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    def on_disk(max_bytes: int) -> JournalInterface:
        return Journal(
            tmp_path / "journal",
            prefix="7-boot",
            segment_bytes=500,
            max_bytes=max_bytes,
            max_disk_share=None,
            keep=request.param == "log",
            recent_bytes=40 if request.param == "recent" else 0,
        )

    def in_memory(max_bytes: int) -> JournalInterface:
        return MemoryJournal(max_bytes=max_bytes)

    return in_memory if request.param == "memory" else on_disk


@pytest.fixture
def journal(opener: Opener) -> Iterator[JournalInterface]:
    with opener(1_000_000) as journal:
        yield journal


def payloads(journal: JournalInterface, after: Position | None = None) -> list[bytes]:
    return [record.payload for record in journal.read(after)]


def test_a_new_journal_is_empty(journal: JournalInterface) -> None:
    assert journal.read() == []
    assert journal.last is None
    assert not journal.dirty
    assert (journal.pending_items, journal.pending_bytes, journal.size_bytes) == (0, 0, 0)


def test_records_come_back_whole_and_in_order(journal: JournalInterface) -> None:
    positions = [journal.append(kind, b"payload %d" % kind, items=kind + 1) for kind in range(50)]

    records = journal.read()

    assert [(record.kind, record.payload, record.items) for record in records] == [
        (kind, b"payload %d" % kind, kind + 1) for kind in range(50)
    ]
    assert [record.position for record in records] == positions == sorted(positions)
    assert journal.last == positions[-1]


def test_several_records_are_appended_at_once(journal: JournalInterface) -> None:
    positions = journal.append_many([Draft(1, b"a"), Draft(2, b"", items=0), Draft(3, b"c", items=3)])

    assert [journal.payload(position) for position in positions] == [b"a", b"", b"c"]
    assert journal.pending_items == 4
    assert journal.append_many([]) == []


def test_reading_goes_on_after_a_position(journal: JournalInterface) -> None:
    positions = [journal.append(1, b"%d" % number) for number in range(40)]

    assert payloads(journal, positions[16]) == [b"%d" % number for number in range(17, 40)]
    assert payloads(journal, positions[-1]) == []


def test_reading_goes_on_after_a_record_that_is_gone(journal: JournalInterface) -> None:
    positions = [journal.append(1, b"%d" % number) for number in range(40)]
    journal.acknowledge(positions[20])

    after_some_other = payloads(journal, positions[25])

    assert after_some_other == [b"%d" % number for number in range(26, 40)]


def test_a_read_stays_within_its_bounds(journal: JournalInterface) -> None:
    for _ in range(20):
        journal.append(1, bytes(100), items=3)

    assert len(journal.read(max_bytes=350)) == 3
    assert len(journal.read(max_bytes=400)) == 4
    assert len(journal.read(max_items=8)) == 2
    assert len(journal.read(max_items=9)) == 3


def test_the_first_record_comes_even_when_it_is_over_the_bounds(journal: JournalInterface) -> None:
    journal.append(1, bytes(5_000), items=70)
    journal.append(1, b"small")

    assert [len(record.payload) for record in journal.read(max_bytes=10, max_items=1)] == [5_000]


def test_acknowledged_records_are_not_read_again(journal: JournalInterface) -> None:
    positions = [journal.append(1, b"%d" % number, items=10) for number in range(40)]

    assert journal.acknowledge(positions[16]) == 170
    assert journal.acknowledge(positions[3]) == 0
    assert journal.acknowledge(positions[16]) == 0
    assert payloads(journal) == [b"%d" % number for number in range(17, 40)]
    assert journal.pending_items == 230


def test_what_is_pending_adds_up(journal: JournalInterface) -> None:
    positions = [journal.append(1, bytes(76), items=5) for _ in range(10)]
    journal.acknowledge(positions[5])

    assert journal.pending_items == 20
    assert journal.pending_bytes == 4 * (HEADER_BYTES + 76)
    assert journal.size_bytes >= journal.pending_bytes


def test_everything_acknowledged_leaves_nothing_pending(journal: JournalInterface) -> None:
    journal.append_many([Draft(1, bytes(90), items=2)] * 30)
    assert journal.last is not None

    assert journal.acknowledge(journal.last) == 60
    assert (journal.pending_items, journal.pending_bytes) == (0, 0)
    assert journal.read() == []


def test_a_full_journal_refuses_and_takes_again_when_there_is_room(opener: Opener) -> None:
    with opener(2_000) as journal:
        for _ in range(20):
            try:
                last = journal.append(1, bytes(200))
            except JournalFullError:
                break
        assert journal.size_bytes <= 2_000

        with pytest.raises(JournalFullError):
            journal.append(1, bytes(3_000))
        assert journal.read()[-1].position == last


def test_a_spool_that_was_full_takes_again_after_an_acknowledgement(tmp_path: Path) -> None:
    spool = Journal(tmp_path / "spool", segment_bytes=500, max_bytes=2_000, max_disk_share=None)
    for journal in (MemoryJournal(max_bytes=2_000), spool):
        for _ in range(8):
            journal.append(1, bytes(200))
        with pytest.raises(JournalFullError):
            journal.append(1, bytes(200))
        journal.acknowledge(journal.read()[-1].position)

        journal.append(1, bytes(200))
        journal.close()


def test_sync_covers_what_was_appended(journal: JournalInterface) -> None:
    journal.append_many([Draft(1, bytes(200))] * 3)
    journal.append(1, bytes(400))
    assert journal.dirty

    journal.sync()

    assert journal.dirty is not journal.durable


def test_a_number_that_does_not_fit_is_refused_and_does_no_harm(journal: JournalInterface) -> None:
    with pytest.raises(ValueError, match="kind 70000"):
        journal.append(70_000, b"")
    with pytest.raises(ValueError, match="-1 items"):
        journal.append(1, b"", items=-1)
    journal.append(1, b"good")

    assert payloads(journal) == [b"good"]


def test_an_unknown_position_has_no_payload(journal: JournalInterface) -> None:
    position = journal.append(1, b"x" * 100)

    for unknown in (Position("nowhere", 0), Position(position.segment, 5), Position("../../etc/passwd", 0)):
        with pytest.raises(JournalError):
            journal.payload(unknown)


def test_a_closed_journal_says_so(journal: JournalInterface) -> None:
    position = journal.append(1, b"x")
    journal.close()
    journal.close()

    for use in (lambda: journal.append(1, b""), journal.sync, journal.read, lambda: journal.payload(position)):
        with pytest.raises(JournalError, match="closed"):
            use()


def test_an_abandoned_journal_holds_nothing(journal: JournalInterface) -> None:
    journal.append(1, b"x")

    journal.abandon_after_fork()

    assert (journal.pending_items, journal.size_bytes, journal.last) == (0, 0, None)
    with pytest.raises(JournalError):
        journal.append(1, b"")


@given(groups=st.lists(st.lists(drafts, max_size=5), max_size=10), max_bytes=st.integers(0, 1_000))
def test_what_goes_in_comes_out(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[Draft]], max_bytes: int
) -> None:
    """Law: reading in steps of any size gives every draft, in order, once."""
    path = tmp_path_factory.mktemp("law")
    for journal in (Journal(path, segment_bytes=400), MemoryJournal()):
        positions = [position for group in groups for position in journal.append_many(group)]
        seen: list[Draft] = []
        after = None
        while records := journal.read(after, max_bytes=max_bytes):
            seen += [Draft(record.kind, record.payload, record.items) for record in records]
            after = records[-1].position

        assert seen == [draft for group in groups for draft in group]
        assert [journal.payload(position) for position in positions] == [draft.payload for draft in seen]
        journal.close()


def test_a_journal_that_was_told_to_start_afresh_goes_on(journal: JournalInterface) -> None:
    first = journal.append(1, b"first")
    journal.begin_afresh()
    second = journal.append(1, b"second")

    assert payloads(journal) == [b"first", b"second"]
    assert first < second
    journal.acknowledge(second)
    journal.begin_afresh()
    assert payloads(journal) == []
