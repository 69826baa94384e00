"""Leaves out the tests whose optional libraries are not installed, as where only the lowest versions of the core are."""

from __future__ import annotations

from importlib.util import find_spec

NEEDS = {
    "test_http.py": "fastapi",
    "test_ledgers.py": "aiosqlite",
    "test_limiting.py": "fastapi",
    "test_outbox.py": "aiosqlite",
    "test_sql.py": "aiosqlite",
}
collect_ignore = [name for name, library in NEEDS.items() if find_spec(library) is None]
