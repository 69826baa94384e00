"""The store in files: what a crash leaves, who may open it, what damage costs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import pytest

from honeyhive.events import JournalEventStore
from honeyhive.exceptions import JournalError, JournalLockedError
from honeyhive.journal.faults import Fault, FaultyFiles, SimulatedDeath
from honeyhive.testing.store_contracts import Noted, noted, numbers

BATCHES = ([1, 2], [3], [4, 5, 6], [7])


class Life:
    """One life of a store, and which of its saves were answered."""

    def __init__(self, directory: Path, files: FaultyFiles) -> None:
        self._directory = directory
        self._files = files
        self.answered: list[Sequence[int]] = []
        self.failed = False

    def run(self) -> None:
        with suppress(SimulatedDeath):
            self._work()

    def _work(self) -> None:
        try:
            store = JournalEventStore(self._directory, files=self._files)
        except JournalError:
            self.failed = True
            return
        for batch in BATCHES:
            try:
                store.save("a", noted(*batch))
                self.answered.append(batch)
            except JournalError:
                self.failed = True
        with suppress(JournalError):
            store.close()


@pytest.mark.parametrize("fault", list(Fault))
def test_whatever_fails_a_save_is_there_as_a_whole_or_not_at_all(tmp_path: Path, fault: Fault) -> None:
    """Each file operation fails once; what was answered is kept, and what was not is never there by halves."""
    for at in count(1):
        life = Life(tmp_path / str(at), files := FaultyFiles(fault, at=at))
        life.run()
        if not files.fired:
            break

        with closing(JournalEventStore(tmp_path / str(at))) as store:
            records = store.read_all()
            found = numbers(records)
            whole = [batch for batch in BATCHES if batch[0] in found]

            assert [number for batch in whole for number in batch] == found
            assert all(batch in whole for batch in life.answered)
            assert list(range(1, len(found) + 1)) == [record.position for record in records]
            assert len(found) + 1 == store.save("a", noted(8)).version

    assert at > 5


def test_one_process_opens_it_at_a_time(tmp_path: Path) -> None:
    with closing(JournalEventStore(tmp_path)), pytest.raises(JournalLockedError):
        JournalEventStore(tmp_path)


def test_damage_costs_the_batch_it_hits_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(JournalEventStore(tmp_path)) as store:
        for batch in BATCHES:
            store.save("a", noted(*batch))
    (segment,) = tmp_path.glob("*.seg")
    content = bytearray(segment.read_bytes())
    content[content.index(b'"number":3')] ^= 1
    segment.write_bytes(content)

    with caplog.at_level(logging.ERROR), closing(JournalEventStore(tmp_path)) as store:
        found = numbers(store.read_all())
        appended = store.save("a", noted(8))

    assert [1, 2, 4, 5, 6, 7] == found
    assert (8, 8) == (appended.version, appended.position)
    assert "damaged" in caplog.text


def test_events_of_many_segments_are_read_in_order(tmp_path: Path) -> None:
    with closing(JournalEventStore(tmp_path)) as store:
        for number in range(20):
            store.save(f"a{number % 3}", [Noted(number=number, words=("long",) * 1_500) for _ in range(60)])

    with closing(JournalEventStore(tmp_path)) as store:
        position = 0
        while records := store.read_all(position, 150):
            assert list(range(position + 1, position + 1 + len(records))) == [record.position for record in records]
            position = records[-1].position

        assert 20 * 60 == position
        assert [0, 3, 6, 9, 12, 15, 18] == sorted(set(numbers(store.load("a0"))))
    assert 1 < len(list(tmp_path.glob("*.seg")))
