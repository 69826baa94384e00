"""The databases that the read model can be in, each behind the same few verbs, so that one SQL serves them all.

::

    interface    Database, Writer, Connection: what the read model asks of an engine
    schema       the tables (schema.sql), in the words that all engines share, and their version
    statements   upserts, and lists of keys of any length
    sqlite       a file: opening it, putting it aside when it is damaged, who may read and write at once
    postgres     tables that any number of processes share; postgres.sql has the functions that SQLite has
    pool         connections to PostgreSQL for threads that block

What is written with these lives in `honeyhive.server.index`: its ``store`` writes, its ``queries`` read, and neither
knows the engine. They keep to what SQLite from 3.37 and PostgreSQL from 13 both understand.
"""

from __future__ import annotations

from pathlib import Path

from honeyhive.server.stores.interface import (
    Cells,
    Connection,
    Database,
    IndexMissingError,
    QueryTooLongError,
    Values,
    Writer,
)
from honeyhive.server.stores.postgres import PostgresDatabase
from honeyhive.server.stores.sqlite import SQLiteDatabase

__all__ = [
    "Cells",
    "Connection",
    "Database",
    "IndexMissingError",
    "PostgresDatabase",
    "QueryTooLongError",
    "SQLiteDatabase",
    "Values",
    "Writer",
    "database_of",
]


def database_of(place: Database | Path) -> Database:
    """Return *place* as a database: a path is that of a SQLite file."""
    return SQLiteDatabase(place) if isinstance(place, Path) else place
