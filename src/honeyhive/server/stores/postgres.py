"""The read model in PostgreSQL: any number of processes read it, and any number may write, one transaction at a time.

Its tables are in a schema of their own. Nothing in them is the truth; the log is. So a commit need not wait for the disk,
and tables of an older version are replaced and projected again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.resources import files
from typing import Any, Final

from honeyhive.exceptions import ConfigurationError, StoreUnavailableError
from honeyhive.server.stores.interface import Connection, Database, IndexMissingError, Writer
from honeyhive.server.stores.pool import Pool, lock_of
from honeyhive.server.stores.schema import SCHEMA_VERSION, schema_text

__all__ = ["PostgresDatabase", "make_schema"]

_TABLE: Final = re.compile(r"CREATE TABLE (\w+)")
_WORDS: Final = ((re.compile(r" WITHOUT ROWID"), ""), (re.compile(r"\bTEXT\b"), 'TEXT COLLATE "C"'))
"""What of ``schema.sql`` is said differently: keys are ordered by code points, as cursors and positions expect."""
_LONGEST_PAUSE: Final = "SET LOCAL idle_in_transaction_session_timeout = '60s'"
"""A writer that stands still must not keep the others out for ever."""
_UNSYNCED: Final = "SET LOCAL synchronous_commit = off"
_BY_INDEX: Final = "SET LOCAL enable_seqscan = off; SET LOCAL jit = off"
"""A writer looks for keys only, and keeps its plans from when the tables were small."""
_BY_VALUES: Final = "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off"


class PostgresDatabase(Database):
    """A read model in PostgreSQL, version 13 or newer. Connects when first used.

    Args:
        url: ``postgresql://user@host/name``.
        schema: The schema that its tables are in; made when absent, if the user may.

    Attributes:
        pool: The connections, for what else lives in the same schema.

    Raises:
        ConfigurationError: The URL or the name of the schema is wrong, or asyncpg is missing.
    """

    def __init__(self, url: str, *, schema: str = "honeyhive") -> None:
        self.schema = schema
        self.pool = Pool(url, schema=schema)

    least_bytes = 0

    def size_bytes(self) -> int:
        """Return what its tables take, with the room of removed rows that was not used again yet."""
        sizes = ", ".join(f"(to_regclass('{name}'))" for name in _TABLE.findall(schema_text()))
        with self.pool.transaction(is_readonly=True) as connection:
            [(size,)] = connection.rows(
                "SELECT CAST(coalesce(sum(pg_total_relation_size(name)), 0) AS BIGINT)"  # noqa: S608 - our own names
                f" FROM (VALUES {sizes}) AS tables (name) WHERE name IS NOT NULL"
            )
        return int(size)

    def __str__(self) -> str:
        return f"{self.schema} in PostgreSQL"

    def writer(self) -> Writer:
        self.pool.call(self._make)
        return _Writer(self)

    @contextmanager
    def reading(self, *, longest_s: float) -> Iterator[Connection]:
        import asyncpg

        longest_ms = 0 if math.isinf(longest_s) else max(1, round(longest_s * 1_000))
        limits = f"SET LOCAL statement_timeout = {longest_ms}; {_BY_VALUES}"
        try:
            with self.pool.transaction(limits, isolation="repeatable_read", is_readonly=True) as connection:
                if _version_in(connection) != SCHEMA_VERSION:
                    raise IndexMissingError(str(self))
                yield connection
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
            raise IndexMissingError(str(self)) from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection beside which no other writer of the read model runs; see `Writer.transaction`."""
        lock = lock_of(f"{self.schema} read model")
        with self.pool.transaction(lock, f"{_LONGEST_PAUSE}; {_UNSYNCED}; {_BY_INDEX}") as connection:
            if (
                _version_in(connection) != SCHEMA_VERSION
            ):  # else all that fails now would be taken for faults of records
                raise StoreUnavailableError(f"{self} was made anew by another version of honeyhive; use one version.")
            yield connection

    def close(self) -> None:
        """Close all connections; twice is once."""
        self.pool.close()

    async def _make(self) -> None:
        """Make the tables; processes that start at the same moment do so one after the other."""
        async with self.pool.acquired() as raw, raw.transaction():
            await make_schema(raw, self.schema)
            await raw.execute("CREATE TABLE IF NOT EXISTS read_model_version (version BIGINT NOT NULL)")
            version = await raw.fetchval("SELECT version FROM read_model_version")
            if version is not None and version > SCHEMA_VERSION:
                raise ConfigurationError(f"{self} was made by a newer honeyhive (version {version}); upgrade this one.")
            if version != SCHEMA_VERSION:
                await _make_anew(raw)


class _Writer(Writer):
    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def transaction(self) -> AbstractContextManager[Connection]:
        return self._database.writing()

    def reset(self) -> None:
        with self.transaction() as connection:
            connection.execute(f"TRUNCATE {', '.join(_TABLE.findall(schema_text()))}")

    def give_back(self) -> None:
        """Do nothing: PostgreSQL uses the room of removed rows again by itself."""

    def close(self) -> None:
        """Do nothing: the connections are the database's."""


def _version_in(connection: Connection) -> object:
    row = connection.row("SELECT version FROM read_model_version")
    return None if row is None else row["version"]


async def make_schema(raw: Any, schema: str) -> None:
    """Make *schema* where it is not there yet; until the transaction ends, nobody else makes anything in it."""
    await raw.execute(lock_of(f"{schema} schema"))
    if not await raw.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema):
        await raw.execute(f'CREATE SCHEMA "{schema}"')


async def _make_anew(raw: Any) -> None:
    schema = schema_text()
    await raw.execute(f"DROP TABLE IF EXISTS {', '.join(_TABLE.findall(schema))}")
    for pattern, words in _WORDS:
        schema = pattern.sub(words, schema)
    await raw.execute(schema)
    await raw.execute(files(__package__).joinpath("postgres.sql").read_text("utf-8"))
    await raw.execute("DELETE FROM read_model_version")
    await raw.execute("INSERT INTO read_model_version VALUES ($1)", SCHEMA_VERSION)
