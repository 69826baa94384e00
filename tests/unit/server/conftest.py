"""What the backend's unit tests are made of: requests, records, a read model in a temporary file."""

from __future__ import annotations

from pathlib import Path

import pytest

from read_models import (
    intake,
    limits,
    make_span,
    project,
    queries,
    records,
    request_with,
    store,
    table,
)

__all__ = ["intake", "limits", "make_span", "project", "queries", "records", "request_with", "store", "table"]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def place(index: Path) -> Path:
    return index
