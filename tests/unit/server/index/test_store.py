"""The read model in a SQLite file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from honeyhive.server.index.store import Store
from read_models import ReadModelContract


class TestReadModelInSQLite(ReadModelContract):
    pass


def test_a_damaged_file_is_put_aside_and_made_again(index: Path) -> None:
    Store(index).close()
    index.write_bytes(b"SQLite format 3\0" + b"rubbish" * 1_000)

    store = Store(index)

    assert store.position() is None
    assert [path.name.startswith("index.sqlite.damaged-") for path in index.parent.glob("*damaged*")] == [True]
    store.close()


def test_a_file_of_another_schema_is_made_again(index: Path) -> None:
    Store(index).close()
    with sqlite3.connect(index) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()

    store = Store(index)

    assert store.position() is None
    store.close()


def test_a_new_file_can_give_back_what_is_deleted(store: Store, index: Path) -> None:
    assert store.position() is None
    with closing(sqlite3.connect(index)) as connection:
        assert (2,) == connection.execute("PRAGMA auto_vacuum").fetchone()
