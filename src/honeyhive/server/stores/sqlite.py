"""The read model in a SQLite file: many read while one writes.

Nothing in the file is the truth; the journal is. A file that is damaged, or that another version of the schema wrote, is
put aside or replaced and projected again.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from honeyhive.events.sqlite_outages import is_away
from honeyhive.exceptions import StoreUnavailableError
from honeyhive.server.stores.interface import (
    Cells,
    Connection,
    Database,
    IndexMissingError,
    QueryTooLongError,
    Values,
    Writer,
)
from honeyhive.server.stores.schema import SCHEMA_VERSION, schema_text

__all__ = ["SQLiteDatabase", "remove_file", "replace_file"]

_BESIDE: Final = ("-wal", "-shm")
_WAL_BYTES: Final = 4 * 1024 * 1024
"""To what its write-ahead log is cut back, though readers of old views may keep it larger for a while."""
_WORKING_BYTES: Final = _WAL_BYTES + 1024 * 1024
"""What that log takes with a transaction of common size at its end."""
_PATIENCE: Final = "PRAGMA busy_timeout = 10000"
_STEPS: Final = 10_000
"""Of SQLite's machine, between two looks at the clock."""

_logger = logging.getLogger("honeyhive.server")


class SQLiteDatabase(Database):
    """A read model in a file. Readers work beside the running server and without one.

    Args:
        path: The file; made by the writer when absent, put aside when damaged.
    """

    least_bytes = _WORKING_BYTES + 256 * 1024

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def writer(self) -> Writer:
        return _Writer(self._path)

    def size_bytes(self) -> int:
        try:
            with self.reading(longest_s=float("inf")) as connection:
                pages, free, page_bytes = (
                    int(row[0])
                    for pragma in ("page_count", "freelist_count", "page_size")
                    for row in connection.rows(f"PRAGMA {pragma}")
                )
        except IndexMissingError:
            return 0
        return (pages - free) * page_bytes + _WORKING_BYTES

    @contextmanager
    def reading(self, *, longest_s: float) -> Iterator[Connection]:
        if not self._path.is_file():
            raise IndexMissingError(str(self._path))
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)) as raw:
                deadline = time.monotonic() + longest_s
                raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
                raw.row_factory = sqlite3.Row
                raw.execute("BEGIN")
                yield _Connection(raw)
        except sqlite3.Error as error:
            raise _told(error) from error

    def close(self) -> None:
        """Do nothing: every reader has a connection of its own."""


class _Connection(Connection):
    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    def execute(self, statement: str, values: Values = ()) -> None:
        self._raw.execute(statement, values)

    def execute_many(self, statement: str, rows: Iterable[Values]) -> None:
        self._raw.executemany(statement, rows)

    def rows(self, statement: str, values: Values = ()) -> Sequence[Cells]:
        return self._raw.execute(statement, values).fetchall()

    def stream(self, statement: str, values: Values = ()) -> Iterator[Cells]:
        return self._raw.execute(statement, values)


class _Writer(Writer):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw = _open(path)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        try:
            self._raw.execute("BEGIN IMMEDIATE")
            try:
                yield _Connection(self._raw)
                self._raw.execute("COMMIT")
            finally:
                if self._raw.in_transaction:
                    self._raw.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if is_away(error):
                raise StoreUnavailableError(f"The index cannot be written: {error}.") from error
            raise

    def reset(self) -> None:
        self.close()
        remove_file(self._path)
        self._raw = _open(self._path)

    def give_back(self) -> None:
        try:
            # As a script, since it takes a step for each page, and has no columns for which `execute` would go on.
            self._raw.executescript("PRAGMA incremental_vacuum")
            self._raw.execute("PRAGMA busy_timeout = 0")
            self._raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError as error:
            if not is_away(error):
                raise
        finally:
            self._raw.execute(_PATIENCE)

    def close(self) -> None:
        self._raw.close()


def remove_file(path: Path) -> None:
    """Remove the database file *path*, and what SQLite keeps beside it; what is not there is well."""
    for suffix in ("", *_BESIDE):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def replace_file(old: Path, fresh: Path) -> None:
    """Put the database file *fresh*, which nobody has open, in the place of *old*."""
    # The log of the old file must not be taken for that of the new one. What crashes here is made anew by the server.
    for suffix in _BESIDE:
        old.with_name(old.name + suffix).unlink(missing_ok=True)
    fresh.replace(old)


def _told(error: sqlite3.Error) -> StoreUnavailableError:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
        return QueryTooLongError("The query took too long.")
    return StoreUnavailableError(f"The index cannot be read: {error}.")


def _open(path: Path) -> sqlite3.Connection:
    """Open *path* for writing; put a damaged file aside, replace one of another schema."""
    if path.exists():
        raw = sqlite3.connect(path, isolation_level=None)
        try:
            _prepare(raw)
            if raw.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION and _is_sound(raw):
                return raw
        except sqlite3.DatabaseError:
            raw.close()
            _put_aside(path)
        else:
            raw.close()
            remove_file(path)
    return _create(path)


def _prepare(raw: sqlite3.Connection) -> None:
    raw.row_factory = sqlite3.Row
    raw.execute("PRAGMA journal_mode = WAL")
    # The journal is the truth and is synced before any answer: a commit lost here is projected again.
    raw.execute("PRAGMA synchronous = NORMAL")
    raw.execute(_PATIENCE)
    raw.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    # What is removed is overwritten where it was, and gone from the file once its pages are given back.
    raw.execute("PRAGMA secure_delete = FAST")


def _is_sound(raw: sqlite3.Connection) -> bool:
    if raw.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise sqlite3.DatabaseError("the file is damaged")
    return True


def _create(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    raw = sqlite3.connect(path, isolation_level=None)
    # What is deleted by age can be given back to the disk; it can be had only before there is a first page.
    raw.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _prepare(raw)
    raw.executescript(schema_text())
    raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return raw


def _put_aside(path: Path) -> None:
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    path.rename(aside)
    for suffix in _BESIDE:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    _logger.error("The index %s was damaged. It is kept as %s; a new one is made from the journal.", path, aside.name)
