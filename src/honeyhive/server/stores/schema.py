"""The tables of the read model, as text, and which version of them this is."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

__all__ = ["SCHEMA_VERSION", "schema_text"]

SCHEMA_VERSION: Final = 4
"""Goes up with every change of ``schema.sql``; what another version wrote is projected again."""


def schema_text() -> str:
    """Return the statements that make the tables."""
    return files(__package__).joinpath("schema.sql").read_text("utf-8")
