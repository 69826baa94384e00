"""A process is killed while it appends; what it was told is written is there afterwards."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from honeyhive.journal import Journal, adopt

# Appends numbered records for ever, and says each number after its append has returned.
_CHILD = """
import sys
from pathlib import Path
from honeyhive.journal import Draft, Journal

directory, life, keep = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "log"
journal = Journal(directory, prefix="" if keep else f"{life}-b", segment_bytes=20_000, max_bytes=None, keep=keep)
number = 0
while True:
    many = [Draft(1, b"%d/%d " % (life, number + step) + bytes((number * 37) % 3_000)) for step in range(number % 3 + 1)]
    journal.append_many(many)
    number += len(many)
    print(number, flush=True)
    if number % 20 == 0:
        journal.sync()
"""


def killed_after(directory: Path, life: int, kind: str, reports: int) -> int:
    """Start a writer, kill it once it has reported so many times, and return how many records it had reported."""
    command = [sys.executable, "-c", _CHILD, str(directory), str(life), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(reports)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
    return max(int(line) for line in lines if line.endswith("\n"))


def lives(directory: Path, kind: str, seed: int, count: int) -> list[int]:
    dice = random.Random(seed)
    return [killed_after(directory, life, kind, dice.randint(1, 300)) for life in range(count)]


def check_spool(directory: Path, seed: int, count: int) -> None:
    reported = lives(directory, "spool", seed, count)

    found: list[list[int]] = [[] for _ in range(count)]
    for segment in adopt(directory):
        while records := segment.read(max_bytes=10_000):
            for record in records:
                life, _, number = record.payload.split(b" ")[0].partition(b"/")
                found[int(life)].append(int(number))
            segment.acknowledge(records[-1].position)
        assert segment.corruption.records == 0, f"seed {seed}"

    for life in range(count):
        numbers = sorted(found[life])
        assert numbers == list(range(len(numbers))), f"seed {seed}, life {life}"
        assert len(numbers) >= reported[life], f"seed {seed}, life {life}"
    assert list(directory.iterdir()) == []


def check_log(directory: Path, seed: int, count: int) -> None:
    reported = lives(directory, "log", seed, count)

    with Journal(directory, keep=True, max_bytes=None) as log:
        found = [record.payload.split(b" ")[0] for record in log.read(max_bytes=2**30)]
        assert log.corruption.records == 0, f"seed {seed}"

    for life in range(count):
        numbers = [int(mark.partition(b"/")[2]) for mark in found if mark.startswith(b"%d/" % life)]
        assert numbers == list(range(len(numbers))), f"seed {seed}, life {life}"
        assert len(numbers) >= reported[life], f"seed {seed}, life {life}"


# Appends numbered records for ever and forgets all but the newest: says what it will forget, then what it has forgotten.
_FORGETFUL = """
import sys
from pathlib import Path
from honeyhive.journal import Journal

journal = Journal(Path(sys.argv[1]), segment_bytes=2_000, max_bytes=None, keep=True)
records = journal.read(max_bytes=2**30)
number = int(records[-1].payload.split()[0]) + 1 if records else 0
while True:
    journal.append(1, b"%d " % number + bytes((number * 37) % 600))
    print("appended", number, flush=True)
    number += 1
    if number % 20 == 0:
        journal.sync()
        if number % 40 == 0:
            journal.begin_afresh()
        doomed = [extent.segment for extent in journal.extents() if extent.sealed]
        kept = [record for record in journal.read(max_bytes=2**30) if record.position.segment not in doomed]
        first = int(kept[0].payload.split()[0]) if kept else number
        print("forgetting", first, flush=True)
        journal.forget(doomed)
        print("forgotten", first, flush=True)
"""


def check_forgetful_log(directory: Path, seed: int, count: int) -> None:
    dice = random.Random(seed)
    said = {"appended": -1, "forgetting": 0, "forgotten": 0}
    for _ in range(count):
        with subprocess.Popen(
            [sys.executable, "-c", _FORGETFUL, str(directory)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(dice.randint(1, 300))]
            child.send_signal(signal.SIGKILL)
            lines += child.stdout.read().splitlines(keepends=True)
        said.update({line.split()[0]: int(line.split()[1]) for line in lines if line.endswith("\n")})

        with Journal(directory, keep=True, max_bytes=None) as log:
            found = [int(record.payload.split()[0]) for record in log.read(max_bytes=2**30)]

        assert found == sorted(set(found)), f"seed {seed}"
        assert set(range(said["forgetting"], said["appended"] + 1)) <= set(found), f"seed {seed}"
        assert not found or found[0] >= said["forgotten"], f"seed {seed}"


def test_a_log_killed_while_it_forgets_loses_nothing_else(tmp_path: Path) -> None:
    check_forgetful_log(tmp_path / "log", seed=3, count=6)


def test_a_killed_spool_keeps_every_record_whose_append_returned(tmp_path: Path) -> None:
    check_spool(tmp_path / "spool", seed=1, count=4)


def test_a_killed_log_keeps_every_record_whose_append_returned(tmp_path: Path) -> None:
    check_log(tmp_path / "log", seed=2, count=4)


@pytest.mark.fault
@pytest.mark.soak
@pytest.mark.timeout(300)
def test_the_crash_loop_runs_long(tmp_path: Path) -> None:
    for seed in range(10):
        check_spool(tmp_path / f"spool-{seed}", seed, count=10)
        check_log(tmp_path / f"log-{seed}", seed, count=10)
        check_forgetful_log(tmp_path / f"forgetful-{seed}", seed, count=10)


_FORKING = """
import os, sys
from pathlib import Path
from honeyhive.exceptions import JournalError
from honeyhive.journal import Journal, adopt

directory = Path(sys.argv[1])
parent = Journal(directory, prefix="parent", segment_bytes=200)
for number in range(5):
    parent.append(1, b"parent %d" % number + bytes(90))


def in_child(depth):
    parent.abandon_after_fork()
    try:
        parent.append(1, b"must not")
        os._exit(2)
    except JournalError:
        pass
    assert list(adopt(directory)) == [], "a child took its living parent's segments"
    with Journal(directory, prefix=f"child-{depth}") as own:
        own.append(1, b"child %d" % depth)
        if depth < 2:
            reap(own, depth + 1)
        own.append(1, b"child %d again" % depth)
    os._exit(0)


def reap(journal, depth):
    pid = os.fork()
    if pid == 0:
        try:
            if depth > 1:
                journal.abandon_after_fork()
            in_child(depth)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(3)
    status = os.waitpid(pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 0, status


reap(parent, 1)
names = [segment.name for segment in adopt(directory)]
assert all(name.startswith("child") for name in names), names
parent.append(1, b"parent last")
print(len(parent.read()), flush=True)
os._exit(0)
"""


def test_children_leave_their_parents_journal_alone(tmp_path: Path) -> None:
    """Closing the inherited descriptors gives no lock away, in a child and in a child of a child."""
    done = subprocess.run(
        [sys.executable, "-c", _FORKING, str(tmp_path / "spool")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "6", "")
    left = sorted(record.payload.rstrip(b"\0") for segment in adopt(tmp_path / "spool") for record in segment.read())
    assert left == sorted(
        [b"parent %d" % number for number in range(5)]
        + [b"parent last", b"child 1", b"child 1 again", b"child 2", b"child 2 again"]
    )


def test_a_segment_stays_owned_while_a_forgetful_child_lives_and_is_free_afterwards(tmp_path: Path) -> None:
    """The lock belongs to the open file, not to a process: no segment is taken that somebody may still write."""
    program = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from honeyhive.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), prefix='p')\n"
        "journal.append(1, b'x')\n"
        "if os.fork():\n"
        "    os._exit(0)\n"
        "print(os.getpid(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        child.wait()
        assert list(adopt(tmp_path)) == []
        assert child.stdin is not None
        child.stdin.close()
        _wait_until_gone(grandchild)

    assert [segment.pending_items for segment in adopt(tmp_path)] == [1]


def _wait_until_gone(pid: int) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone, _, _ = select.select([process], [], [], 10)
    os.close(process)
    assert gone
