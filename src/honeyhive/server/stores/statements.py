"""Statements that are built: replacing rows, and asking for many keys at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from honeyhive.server.stores.interface import Cells, Connection

__all__ = ["found", "upsert"]

_SIZES: Final = (1, 8, 64)
"""How many keys one statement asks for. A few fixed numbers, so that databases meet the same statements again."""


def upsert(table: str, columns: Sequence[str], key: Sequence[str]) -> str:
    """Return the statement that inserts a row with *columns*, or replaces the one that has the same *key*."""
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in key)
    return (
        f"INSERT INTO {table} ({_quoted(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - own names
        f" ON CONFLICT ({_quoted(key)}) DO UPDATE SET {changed}"
    )


def found(connection: Connection, query: str, keys: Sequence[tuple[object, ...]]) -> Iterator[Cells]:
    """Yield the rows of *query* for *keys*, however many these are.

    Args:
        connection: Where to ask.
        query: Has ``{keys}`` in place of the list behind ``IN``, or of the rows of a common table if keys have several
            parts. A row may come more than once.
        keys: All of the same length.
    """
    start = 0
    while start < len(keys):
        size = next((size for size in _SIZES if len(keys) - start <= size), _SIZES[-1])
        part = keys[start : start + size]
        padded = [*part, *[part[-1]] * (size - len(part))]
        yield from connection.rows(
            query.format(keys=_marks(size, len(part[0]))), [cell for key in padded for cell in key]
        )
        start += size


def _marks(size: int, width: int) -> str:
    if width == 1:
        return f"({', '.join('?' * size)})"
    one = f"({', '.join('?' * width)})"
    return f"(VALUES {', '.join([one] * size)})"


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
