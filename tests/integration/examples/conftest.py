"""What the example tests share: a way to run a program as a user would, and a private backend to run it against."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="session", autouse=True)
def _examples_on_path() -> None:
    """Import ``model_server`` as the examples do."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
