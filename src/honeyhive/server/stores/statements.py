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


def found(
    connection: Connection, query: str, keys: Sequence[tuple[object, ...]], *, one_key: str | None = None
) -> Iterator[Cells]:
    """Yield the rows of *query* for *keys*, however many these are.

    Args:
        connection: Where to ask.
        query: Has ``{keys}`` in place of the list behind ``IN``; with *one_key*, in place of the whole condition.
        keys: All of the same length.
        one_key: The condition for one key that has several parts.
    """
    start = 0
    while start < len(keys):
        size = next((size for size in _SIZES if len(keys) - start <= size), _SIZES[-1])
        part = keys[start : start + size]
        padded = [*part, *[part[-1]] * (size - len(part))]
        wanted = ", ".join("?" * size) if one_key is None else " OR ".join([f"({one_key})"] * size)
        yield from connection.rows(query.format(keys=f"({wanted})"), [cell for key in padded for cell in key])
        start += size


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
