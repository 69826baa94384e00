"""What the read model asks of a database.

::

    Database    where it is; readers and the writer are opened here
    Writer      the writer's side: transactions beside which no other writer runs
    Connection  statements and rows; what a transaction or one reader's view gives

Statements mark their values with ``?``, in order. Values are texts, whole numbers of at most 64 bits, floats and ``None``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from honeyhive.exceptions import StoreUnavailableError

__all__ = ["Cells", "Connection", "Database", "IndexMissingError", "QueryTooLongError", "Values", "Writer"]

Values: TypeAlias = Sequence[object]
"""One value for each mark of a statement."""


class Cells(Protocol):
    """One row: by name, by number, or unpacked in the order of the columns; ``dict(row)`` works."""

    def keys(self) -> Iterable[str]:
        """Return the names of the columns."""

    def __getitem__(self, column: Any, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...


class IndexMissingError(StoreUnavailableError):
    """There is no read model yet at this place."""


class QueryTooLongError(StoreUnavailableError):
    """A query ran longer than it may, and was given up."""


class Connection(ABC):
    """A view of the database: for one thread at a time, as long as the block lasts that gave it."""

    @abstractmethod
    def execute(self, statement: str, values: Values = ()) -> None:
        """Run *statement*."""

    @abstractmethod
    def execute_many(self, statement: str, rows: Iterable[Values]) -> None:
        """Run *statement* once with each of *rows*, in order."""

    @abstractmethod
    def rows(self, statement: str, values: Values = ()) -> Sequence[Cells]:
        """Return all rows of a query."""

    @abstractmethod
    def stream(self, statement: str, values: Values = ()) -> Iterator[Cells]:
        """Yield the rows of a query as they come, so that they need not fit into memory."""

    def row(self, statement: str, values: Values = ()) -> Cells | None:
        """Return the first row of a query, or ``None``."""
        found = self.rows(statement, values)
        return found[0] if found else None


class Writer(ABC):
    """The writer's side of a read model; for one thread, which must be the one that opens it."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Connection]:
        """Give a connection beside which no other writer runs; commit at the end of the block, roll back on an error.

        Raises:
            StoreUnavailableError: The database is away; whether a commit came through is not known then.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget everything.

        Raises:
            StoreUnavailableError: The database is away.
        """

    @abstractmethod
    def give_back(self) -> None:
        """Give the room of removed rows back to the disk, as far as it can be had without waiting for anybody."""

    @abstractmethod
    def close(self) -> None:
        """Give up what opening took; twice is once."""


class Database(ABC):
    """A place for a read model. Thread-safe.

    Attributes:
        least_bytes: What it takes with nothing in it, the engine's own files included.
    """

    least_bytes: int

    @abstractmethod
    def size_bytes(self) -> int:
        """Return how many bytes the read model takes, without the room of removed rows; 0 where there is none yet.

        Raises:
            StoreUnavailableError: The database is away.
        """

    @abstractmethod
    def writer(self) -> Writer:
        """Open it for writing, with all tables made; a read model of an older schema is emptied.

        Raises:
            StoreUnavailableError: The database is away.
        """

    @abstractmethod
    def reading(self, *, longest_s: float) -> AbstractContextManager[Connection]:
        """Give a connection for reading, with one consistent view.

        Args:
            longest_s: A query that runs longer is given up; infinite for no bound.

        Raises:
            IndexMissingError: There is no read model yet.
            QueryTooLongError: A query ran too long.
            StoreUnavailableError: It cannot be read just now.
        """

    @abstractmethod
    def close(self) -> None:
        """Give up what is kept open for the next reader; twice is once."""
