"""Telling an outage of SQLite from a mistake in a statement: sqlite3 raises both as the same error."""

from __future__ import annotations

import sqlite3
from typing import Final

__all__ = ["is_away"]

_AWAY: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


def is_away(error: sqlite3.Error) -> bool:
    """Tell whether *error* says that the file cannot be used just now: locked for too long, its disk full or failing."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _AWAY
