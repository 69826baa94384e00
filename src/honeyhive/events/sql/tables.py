"""Every table that the event room keeps in a SQL database."""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, UniqueConstraint

__all__ = ["Tables"]

_PREFIX: Final = re.compile(r"[a-z_][a-z0-9_]*|")


class Tables:
    """The tables, their names beginning with *prefix*.

    Args:
        prefix: Lower case letters, digits and underscores; sets several stores in one database apart.

    Raises:
        ValueError: The prefix has other characters.
    """

    def __init__(self, prefix: str = "") -> None:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError(f"a table prefix has only lower case letters, digits and underscores, so not {prefix!r}")
        self.prefix = prefix
        self.metadata = MetaData()
        # Byte by byte, so that "begins with" is a range of the index whatever the language of the database.
        identity = Text().with_variant(Text(collation="C"), "postgresql")
        position = BigInteger().with_variant(Integer, "sqlite")
        self.events = Table(
            f"{prefix}events",
            self.metadata,
            Column("position", position, primary_key=True, autoincrement=False),
            Column("aggregate_id", identity, nullable=False),
            Column("version", BigInteger, nullable=False),
            Column("event_id", Text, nullable=False, unique=True),
            Column("type", Text, nullable=False),
            Column("recorded_ns", BigInteger, nullable=False),
            Column("document", Text, nullable=False),
            UniqueConstraint("aggregate_id", "version"),
        )
        self.snapshots = Table(
            f"{prefix}snapshots",
            self.metadata,
            Column("aggregate_id", identity, primary_key=True),
            Column("version", BigInteger, nullable=False),
            Column("type", Text, nullable=False),
            Column("schema_version", Integer, nullable=False),
            Column("state", Text, nullable=False),
        )
        self.positions = Table(
            f"{prefix}projection_positions",
            self.metadata,
            Column("name", Text, primary_key=True),
            Column("position", BigInteger, nullable=False),
        )
        self.buried = Table(
            f"{prefix}projection_buried",
            self.metadata,
            Column("name", Text, primary_key=True),
            Column("position", BigInteger, primary_key=True, autoincrement=False),
            Column("reason", Text, nullable=False),
        )
        self.outbox = Table(
            f"{prefix}outbox",
            self.metadata,
            Column("position", position, primary_key=True, autoincrement=False),
            Column("message_id", Text, nullable=False, unique=True),
            Column("document", Text, nullable=False),
        )
        self.inbox = Table(
            f"{prefix}inbox",
            self.metadata,
            Column("consumer", Text, primary_key=True),
            Column("message_id", Text, primary_key=True),
            Column("received_ns", BigInteger, nullable=False),
            Index(f"{prefix}inbox_by_age", "received_ns"),
        )
