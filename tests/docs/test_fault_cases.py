"""The table of fault cases names tests that exist, and each case once."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "concepts" / "fault-cases.md").read_text(encoding="utf-8")


def test_every_proof_is_a_test_that_exists() -> None:
    proofs = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)

    missing = [
        (file, name)
        for file, name in proofs
        if not (ROOT / "tests" / file).exists()
        or not re.search(rf"def {name}\(", (ROOT / "tests" / file).read_text(encoding="utf-8"))
    ]

    assert len(proofs) > 150
    assert [] == missing


def test_every_case_stands_there_once() -> None:
    cases = re.findall(r"^\| ([A-Z]{2}-\d\d) \|", PAGE, flags=re.MULTILINE)

    assert len(cases) == len(set(cases))
    assert sorted(cases) == sorted(cases, key=lambda case: (case[:2], int(case[3:])))
