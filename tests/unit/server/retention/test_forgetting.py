"""Forgetting what was accepted before a moment: log and read model stay of one mind, whatever stays."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import settings

from honeyhive.exceptions import JournalError
from honeyhive.journal import JournalReader, Position
from honeyhive.journal.faults import Fault, FaultyFiles, SimulatedDeath
from honeyhive.server.admission.limits import Refusal
from honeyhive.server.records.marks import LogKind
from honeyhive.server.retention.forgetting import JournalForgetter
from honeyhive.server.storage.history import session_at
from keeping_law import KeepingAndForgetting
from kept_data import Kept


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path)
    yield kept
    kept.close()


def content_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def metadata_of(session: Mapping[str, object]) -> object:
    details = session["details"]
    assert isinstance(details, Mapping)
    return details["metadata"]


def test_what_was_accepted_before_is_gone_and_the_rest_is_whole(kept: Kept) -> None:
    kept.span("old", trace=1)
    kept.span("split, old half", trace=2)
    kept.log_record("old line")
    moment_ns = kept.span("split, young half", trace=2)
    kept.span("young", trace=3)

    kept.forget_before(moment_ns)

    assert kept.names() == {"split, young half", "young"}
    assert kept.queries.trace(f"{1:032x}") is None
    half = kept.queries.trace(f"{2:032x}")
    assert half is not None
    assert (half["spans"], half["name"]) == (1, "split, young half")
    assert kept.tables()["logs"] == set()
    assert kept.tables() == kept.tables_made_anew()


def test_the_bytes_of_what_is_forgotten_are_in_no_file(kept: Kept) -> None:
    kept.span("secret-old-name")
    kept.log_record("secret-old-line")
    kept.project()
    kept.journal.begin_afresh()
    moment_ns = kept.span("young")

    kept.forget_before(moment_ns)

    assert b"secret-old" not in content_of(kept.data)
    assert b"young" in content_of(kept.data)


def test_old_rows_are_gone_though_their_segment_is_still_there(kept: Kept) -> None:
    kept.span("old")
    moment_ns = kept.span("young")

    kept.forget_before(moment_ns)

    assert kept.names() == {"young"}
    assert b"old" in content_of(kept.data / "journal")
    assert kept.tables_made_anew() == kept.tables()


def test_everything_can_be_forgotten_and_the_backend_goes_on(kept: Kept) -> None:
    kept.span("old")

    kept.clock.advance(1)
    kept.forget_before(kept.clock.time_ns())

    assert kept.names() == set()
    assert b"old" not in content_of(kept.data)
    kept.span("young")
    kept.project()
    assert kept.names() == {"young"}
    assert kept.tables_made_anew() == kept.tables()


def test_nothing_is_written_when_nothing_is_to_go(kept: Kept) -> None:
    moment_ns = kept.span("young")
    kept.project()
    last = kept.journal.last

    kept.forget_before(moment_ns)

    assert kept.journal.last == last


def test_rows_go_in_short_transactions(kept: Kept) -> None:
    for number in range(10):
        kept.span(f"old {number}")
    moment_ns = kept.span("young")

    left = [len(kept.names()) for _ in kept.forgetter.forget_before(moment_ns)]

    assert left[:3] == [7, 3, 1]
    assert kept.names() == {"young"}


def test_the_room_of_removed_rows_is_given_back(kept: Kept) -> None:
    for number in range(300):
        kept.span(f"old {number}" + "x" * 2_000)
    kept.project()
    index = kept.data / "index.sqlite"
    before = kept.forgetter.size()
    kept.clock.advance(1)

    kept.forget_before(kept.clock.time_ns())

    after = kept.forgetter.size()
    assert before.index_bytes - after.index_bytes > 600_000
    assert before.log_bytes - after.log_bytes > 600_000
    assert index.stat().st_size < 400_000
    assert index.with_name("index.sqlite-wal").stat().st_size < 100_000


def test_a_session_that_still_runs_keeps_its_start_and_its_updates(kept: Kept) -> None:
    kept.start("running", name="the long one")
    kept.update("running", colour="red", size=1)
    kept.start("over")
    for number in range(30):
        kept.span(f"filler {number}", session="over")
    kept.span("old", session="running")
    kept.update("running", size=2)
    moment_ns = kept.span("young", session="running")

    kept.forget_before(moment_ns)

    running = kept.queries.session("running")
    assert running is not None
    assert (running["name"], running["spans"]) == ("the long one", 1)
    assert metadata_of(running) == {"colour": "red", "size": 2}
    assert kept.queries.session("over") is None
    kept.project()
    assert kept.tables_made_anew() == kept.tables()
    assert JournalReader(kept.data / "journal").extents()[0].segment > "0000000001"


def test_a_session_is_carried_over_again_and_again_until_it_is_over(kept: Kept) -> None:
    kept.start("running", name="the long one")
    for number in range(100):
        moment_ns = kept.span(f"span {number}", session="running")
        if number % 10 == 9:
            kept.forget_before(moment_ns)
            session = kept.queries.session("running")
            assert session is not None
            assert session["name"] == "the long one"
    kept.span("something else")
    kept.clock.advance(1)

    kept.forget_before(kept.clock.time_ns())

    assert kept.queries.session("running") is None
    assert kept.tables()["session_starts"] == set()
    assert b"the long one" not in content_of(kept.data)


def test_an_update_that_came_before_its_event_is_kept_with_it(kept: Kept) -> None:
    kept.update("e", colour="red", size=1)
    for number in range(30):
        kept.span(f"filler {number}")
    moment_ns = kept.event("e", session="s")
    kept.update("e", size=2)

    kept.forget_before(moment_ns)

    event = kept.queries.event("e")
    assert event is not None
    assert {"colour": "red", "size": 2}.items() <= event["metadata"].items()  # type: ignore[attr-defined] # a mapping
    kept.project()
    assert kept.tables_made_anew() == kept.tables()


def test_what_is_carried_over_does_not_undo_what_came_meanwhile(kept: Kept) -> None:
    kept.start("s", name="first name")
    kept.update("s", size=1)
    for number in range(30):
        kept.span(f"filler {number}")
    moment_ns = kept.span("young", session="s")
    kept.project()
    steps = kept.forgetter.forget_before(moment_ns)
    next(steps)
    kept.start("s", name="second name")
    kept.update("s", size=2)

    for _ in steps:
        pass
    kept.project()

    session = kept.queries.session("s")
    assert session is not None
    assert (session["name"], metadata_of(session)) == ("second name", {"size": 2})
    assert kept.tables_made_anew() == kept.tables()


def test_what_is_kept_for_the_sake_of_what_goes_later_is_kept_by_a_new_index_too(kept: Kept) -> None:
    """The span for which a start was kept once may be gone from the log when the next one has come for it."""
    kept.start("s", name="the session")
    for number in range(20):
        first_ns = kept.span(f"filler {number}")
    kept.span("first", session="s")
    kept.forget_before(first_ns)
    kept.journal.begin_afresh()
    kept.log_record("something else")
    kept.forget_before(kept.clock.time_ns())
    second_ns = kept.span("second", session="s")

    kept.forget_before(second_ns)
    kept.project()

    session = kept.queries.session("s")
    assert session is not None
    assert session["spans"] == 1
    assert kept.tables_made_anew() == kept.tables()


def test_what_gets_something_new_at_the_last_moment_keeps_what_was_said_of_it(kept: Kept) -> None:
    kept.start("s", name="the session")
    kept.update("s", size=1)
    kept.update("e", colour="red")
    kept.span("old", session="s")
    moment_ns = kept.log_record("young")
    come_back = [lambda: kept.span("new", session="s"), lambda: kept.event("e", session="s")]

    def append(kind: LogKind, payload: bytes, items: int = 1) -> Position:
        while kind is LogKind.FORGOTTEN and come_back:
            come_back.pop()()
        return kept.log.append(kind, payload, items)

    late = JournalForgetter(kept.journal, append, kept.database, settle=kept.settle)
    for _ in late.forget_before(moment_ns):
        pass

    session, event = kept.queries.session("s"), kept.queries.event("e")
    assert session is not None
    assert (session["name"], session["spans"], metadata_of(session)) == ("the session", 2, {"size": 1})
    assert event is not None
    assert event["metadata"]["colour"] == "red"  # type: ignore[index] # a mapping
    assert kept.tables_made_anew() == kept.tables()


def test_many_sessions_that_are_over_go_in_short_transactions(kept: Kept) -> None:
    for number in range(8):
        kept.start(f"s{number}")
    kept.clock.advance(1)

    steps = list(kept.forgetter.forget_before(kept.clock.time_ns()))

    assert len(steps) >= 3
    assert kept.tables()["sessions"] == kept.tables()["session_starts"] == set()
    assert kept.tables_made_anew() == kept.tables()


def test_a_session_as_it_was_has_nothing_that_is_forgotten(kept: Kept) -> None:
    kept.start("s", name="the session")
    kept.update("s", size=1)
    for number in range(30):
        kept.span(f"old {number}", session="s")
    kept.span("the last of the old ones", session="s")
    moment_ns = kept.span("young", session="s")
    later_ns = kept.update("s", size=2)

    kept.forget_before(moment_ns)

    for moment, size in ((moment_ns, 1), (later_ns, 2)):
        past = session_at(kept.data, "s", moment).session
        assert past is not None
        assert (past["name"], past["spans"], metadata_of(past)) == ("the session", 1, {"size": size})
    before = session_at(kept.data, "s", moment_ns - 1).session
    assert before is not None
    assert (before["name"], before["spans"]) == ("the session", 0)


def test_forgetting_can_end_after_any_step_and_goes_on_the_next_time(kept: Kept) -> None:
    kept.start("s", name="the session")
    for number in range(40):
        kept.span(f"old {number}", session="s")
    moment_ns = kept.span("young", session="s")

    for _ in range(30):
        with suppress(StopIteration):
            next(kept.forgetter.forget_before(moment_ns))
        kept.project()
        assert kept.tables_made_anew() == kept.tables()

    assert kept.names() == {"young"}
    assert len(kept.journal.extents()) <= 4


def forgetful_life(data: Path, files: FaultyFiles) -> None:
    """Accept a session and what it did, and forget the first half, unless that is cut short."""
    with closing(Kept(data, files=files, segment_bytes=600)) as kept:
        kept.start("s", name="the session")
        kept.update("s", size=1)
        for number in range(12):
            moment_ns = kept.span(f"{number:02d}", session="s")
        kept.project()
        files.operations.append("accepted")
        kept.forget_before(moment_ns - 5 * 10**9)
        files.operations.append("forgotten")


@pytest.mark.fault
@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", [Fault.DEATH, Fault.POWER_LOSS, Fault.NO_SPACE])
def test_whatever_fails_while_forgetting_log_and_read_model_agree(tmp_path: Path, fault: Fault) -> None:
    files = FaultyFiles()
    forgetful_life(tmp_path / "whole", files)
    young = {f"{number:02d}" for number in range(6, 12)}
    first, last = files.operations.index("accepted") + 2, files.operations.index("forgotten")

    for at in range(first, last + 1):
        data = tmp_path / str(at)
        files = FaultyFiles(fault, at=at)
        with suppress(SimulatedDeath, JournalError, Refusal):
            forgetful_life(data, files)
        if not files.dead:
            files.die()

        kept = Kept(data)
        kept.project()
        story = f"operation {at}, {files.operations[at - 1]}"
        assert young <= kept.names(), story
        assert kept.tables_made_anew() == kept.tables(), story
        dates = sorted(int(str(row[-1])) for row in kept.tables()["spans"])
        kept.forget_before(dates[-6])
        assert kept.names() == young, story
        session = kept.queries.session("s")
        assert session is not None, story
        assert (session["name"], metadata_of(session)) == ("the session", {"size": 1}), story
        assert kept.tables_made_anew() == kept.tables(), story
        kept.close()

    assert last - first > 20


class ForgettingInFiles(KeepingAndForgetting):
    def opened(self) -> Kept:
        self.folder = tempfile.TemporaryDirectory()
        return Kept(Path(self.folder.name), segment_bytes=600)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestForgettingInFiles = ForgettingInFiles.TestCase
TestForgettingInFiles.settings = settings(max_examples=50, stateful_step_count=40)
