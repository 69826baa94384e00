"""The page on asynchronous patterns leads on to what it promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "how-to" / "async-patterns.md"


@pytest.mark.acceptance("A25")
@pytest.mark.parametrize("subject", ["Test your code", "State", "examples"])
def test_pages_on_testing_state_and_examples_are_there(subject: str) -> None:
    read_on = PAGE.read_text(encoding="utf-8").rpartition("## Read on")[2]

    line = next(line for line in read_on.splitlines() if subject in line)
    targets = re.findall(r"\((\S+\.md)\)", line) or ["../../examples/README.md"]

    assert all((PAGE.parent / target).is_file() for target in targets)
