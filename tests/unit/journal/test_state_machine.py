"""Lives, deaths, losses of power and failing disks in any order: what was promised is delivered."""

from __future__ import annotations

import tempfile
from contextlib import closing, suppress
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from honeyhive.exceptions import JournalError
from honeyhive.journal import Draft, Journal, adopt
from honeyhive.journal.faults import Fault, FaultyFiles

OPERATIONS = ["write", "sync", "truncate", "create", "lock", "unlink", "open_append", "pread", "list", "sync_directory"]
ERRORS = [Fault.NO_SPACE, Fault.IO_ERROR, Fault.NO_DESCRIPTOR, Fault.CUT_WRITE, Fault.FULL_MIDWAY]


class SpoolOverManyLives(RuleBasedStateMachine):
    """A spool, its processes one after the other, and the set of payloads that must not be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.directory = Path(self.folder.name) / "spool"
        self.life = 0
        self.count = 0
        self.tried: set[bytes] = set()
        self.appended: set[bytes] = set()
        self.synced: set[bytes] = set()
        self.delivered: set[bytes] = set()

    @initialize()
    def begin(self) -> None:
        self.life += 1
        self.files = FaultyFiles()
        self.journal = Journal(
            self.directory,
            prefix=f"{self.life}-b",
            segment_bytes=300,
            recent_bytes=self.life % 3 * 250,
            files=self.files,
        )

    @rule(sizes=st.lists(st.integers(0, 400), min_size=1, max_size=3))
    def append(self, sizes: list[int]) -> None:
        payloads = [b"%d " % (self.count + number) + bytes(size) for number, size in enumerate(sizes)]
        self.count += len(sizes)
        self.tried.update(payloads)
        with suppress(JournalError):
            self.journal.append_many([Draft(1, payload) for payload in payloads])
            self.appended.update(payloads)

    @rule()
    def sync(self) -> None:
        with suppress(JournalError):
            self.journal.sync()
            self.synced |= self.appended

    @rule(max_bytes=st.integers(0, 1_000))
    def deliver(self, max_bytes: int) -> None:
        with suppress(JournalError):
            for record in self.journal.read(max_bytes=max_bytes):
                self.delivered.add(record.payload)
                self.journal.acknowledge(record.position)

    @rule(patience=st.integers(0, 5))
    def deliver_what_the_dead_left(self, patience: int) -> None:
        with closing(adopt(self.directory, files=self.files)) as segments, suppress(JournalError):
            for segment in segments:
                for record in segment.read():
                    if patience == 0:
                        return
                    patience -= 1
                    self.delivered.add(record.payload)
                    segment.acknowledge(record.position)

    @rule(operation=st.sampled_from(OPERATIONS), fault=st.sampled_from(ERRORS))
    def break_something(self, operation: str, fault: Fault) -> None:
        self.files.fail_next(operation, fault)

    @rule()
    def close(self) -> None:
        self.journal.close()
        self.begin()

    @rule()
    def kill(self) -> None:
        self.files.die()
        self.begin()

    @rule()
    def lose_power(self) -> None:
        self.files.die(power_loss=True)
        self.appended &= self.synced
        self.begin()

    @rule()
    def end_of_a_life_makes_it_durable(self) -> None:
        """What an earlier life left in the page cache is on the disk after a while."""
        self.journal.close()
        self.synced |= self.appended
        self.begin()

    @invariant()
    def figures_are_sane(self) -> None:
        if self.life:
            assert 0 <= self.journal.pending_bytes <= self.journal.size_bytes

    def teardown(self) -> None:
        self.journal.close()
        found = [record.payload for segment in adopt(self.directory) for record in segment.read()]
        self.folder.cleanup()

        assert self.appended <= self.delivered | set(found)
        assert set(found) <= self.tried
        assert len(found) == len(set(found))


TestSpoolOverManyLives = SpoolOverManyLives.TestCase
