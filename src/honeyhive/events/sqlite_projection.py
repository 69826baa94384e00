"""A read model in a SQLite file, with nothing but the standard library."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar, Final

from honeyhive.events.following import BuriedRecord, Overtaken
from honeyhive.events.projections import Projection
from honeyhive.events.sqlite_outages import is_away
from honeyhive.events.steps import run
from honeyhive.events.store import RecordedEvent
from honeyhive.exceptions import StoreUnavailableError

__all__ = ["SQLiteProjection"]

_BOOKKEEPING: Final = """
CREATE TABLE IF NOT EXISTS projection_positions (name TEXT PRIMARY KEY, position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS projection_buried (
    name TEXT NOT NULL, position INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (name, position)
);
"""


class SQLiteProjection(Projection):
    """A read model in tables of a SQLite file; rows and position move in one transaction.

    Several may share a file, also from several processes: SQLite lets one write at a time, and all read meanwhile.

    Args:
        path: The file; made when absent.
        busy_timeout_s: How long to wait for other writers.

    Attributes:
        schema: ``CREATE TABLE`` and ``CREATE INDEX`` statements, separated by semicolons.
    """

    schema: ClassVar[str]
    outages = (StoreUnavailableError,)

    def __init__(self, path: Path | str, *, busy_timeout_s: float = 30.0) -> None:
        self.path = Path(path)
        self._busy_timeout_s = busy_timeout_s
        self._open: sqlite3.Connection | None = None
        self._position: int | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of the transaction in which an event is being handled.

        Raises:
            RuntimeError: It is not open; to read, open the file with a connection of your own.
        """
        if self._open is None:
            raise RuntimeError(f"{self.name} is not being kept up to date; to read {self.path}, connect to it yourself")
        return self._open

    def open(self) -> object:
        self.close()
        with _outages_told():
            self._open = sqlite3.connect(self.path, timeout=self._busy_timeout_s, isolation_level=None)
            self._open.execute("PRAGMA journal_mode = WAL")
            self._open.execute("PRAGMA synchronous = NORMAL")  # what a loss of power takes is projected again
            self._open.executescript(_BOOKKEEPING)
        with self._transaction() as connection:
            if self._stored() is None:
                self._make(connection)
        return None

    def close(self) -> object:
        if self._open is not None:
            self._open.close()
            self._open = None
        return None

    def position(self) -> int | None:
        self._position = self._stored()
        return self._position

    def apply(self, records: Sequence[RecordedEvent]) -> object:
        with self._moving(records[-1].position):
            for record in records:
                run(self.handling(record))
        return None

    def bury(self, record: RecordedEvent, error: Exception) -> object:
        reason = f"{type(error).__name__}: {error}"
        with self._moving(record.position) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO projection_buried VALUES (?, ?, ?)", (self.name, record.position, reason)
            )
        return None

    def reset(self) -> object:
        with self._transaction() as connection:
            for table in ("projection_positions", "projection_buried"):
                connection.execute(f"DELETE FROM {table} WHERE name = ?", (self.name,))  # noqa: S608 -- our own names
            self._make(connection)
        return None

    def buried(self) -> list[BuriedRecord]:
        """Return the events that could not be applied, oldest first."""
        with closing(sqlite3.connect(self.path, timeout=self._busy_timeout_s)) as connection:
            rows = connection.execute(
                "SELECT position, reason FROM projection_buried WHERE name = ? ORDER BY position", (self.name,)
            )
            return [BuriedRecord(self.name, position, reason) for position, reason in rows]

    def _make(self, connection: sqlite3.Connection) -> None:
        for kind, name in _made_by(self.schema):
            connection.execute(f'DROP {kind} IF EXISTS "{name}"')
        for statement in _statements(self.schema):
            connection.execute(statement)

    def _stored(self) -> int | None:
        row = self.connection.execute(
            "SELECT position FROM projection_positions WHERE name = ?", (self.name,)
        ).fetchone()
        return None if row is None else int(row[0])

    @contextmanager
    def _moving(self, position: int) -> Iterator[sqlite3.Connection]:
        with self._transaction() as connection:
            if self._stored() != self._position:
                raise Overtaken(self.name)
            yield connection
            connection.execute("INSERT OR REPLACE INTO projection_positions VALUES (?, ?)", (self.name, position))
        self._position = position

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self.connection
        with _outages_told():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")


@contextmanager
def _outages_told() -> Iterator[None]:
    """Tell an outage from a mistake in a statement, which sqlite3 raises as the same error."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if is_away(error):
            raise StoreUnavailableError(f"SQLite cannot go on just now: {error}") from error
        raise


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for piece in script.split(";"):
        statement += piece + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n\t;"):
                yield statement
            statement = ""


def _made_by(script: str) -> list[tuple[str, str]]:
    """Return kind and name of what *script* makes, found out in a database of its own."""
    with closing(sqlite3.connect(":memory:")) as scratch:
        scratch.executescript(script)
        rows = scratch.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type")
        return [(kind, name) for kind, name in rows]
