"""The SQLite store among several processes."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from honeyhive.events import SQLiteEventStore

WRITER = """
import sys
from honeyhive.events import SQLiteEventStore
from honeyhive.testing.store_contracts import noted
store = SQLiteEventStore(sys.argv[1])
for number in range(20):
    store.save(f"a{number % 2}", noted(number, number))
print("done")
"""


@pytest.mark.acceptance("O33")
def test_processes_save_side_by_side_and_need_not_close(tmp_path: Path) -> None:
    """A program that ends without closing its store ends, and has lost nothing."""
    database = tmp_path / "events.db"
    command = [sys.executable, "-c", WRITER, str(database)]

    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [writer.communicate(timeout=60)[0] for writer in writers]

    with closing(SQLiteEventStore(database)) as store:
        records = store.read_all()
    assert ["done\n"] * 3 == printed
    assert list(range(1, 121)) == [record.position for record in records]
    for aggregate_id in ("a0", "a1"):
        versions = [record.version for record in records if record.aggregate_id == aggregate_id]
        assert list(range(1, 61)) == versions


def test_a_subscription_sees_what_another_process_saves(tmp_path: Path) -> None:
    database = tmp_path / "events.db"
    with closing(SQLiteEventStore(database, poll_s=0.02)) as store, store.subscribe() as tail:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(database)], stdout=subprocess.DEVNULL)
        seen = []
        for record in tail:
            seen.append(record.position)
            if len(seen) == 40:
                break
        writer.wait(timeout=60)

    assert list(range(1, 41)) == seen
