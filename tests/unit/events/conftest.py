"""Leaves out the tests whose optional libraries are not installed, as where only the lowest versions of the core are."""

from __future__ import annotations

from importlib.util import find_spec

NEEDS = {
    "stores/test_contract.py": "aiosqlite",
    "stores/test_mongodb.py": "pymongo",
    "test_aggregates.py": "aiosqlite",
    "test_async_projections.py": "aiosqlite",
    "test_outbox.py": "aiosqlite",
    "test_upcasting.py": "aiosqlite",
}
collect_ignore = [name for name, library in NEEDS.items() if find_spec(library) is None]
