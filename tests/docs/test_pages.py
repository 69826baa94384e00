"""The pages tell the truth: their code runs, and what is generated is up to date."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).parents[2]
NEEDS_A_BACKEND = ROOT / "docs" / "how-to" / "events.md"  # runs in tests/integration/test_client_and_backend.py
PAGES = [ROOT / "README.md", *sorted({*(ROOT / "docs").rglob("*.md")} - {NEEDS_A_BACKEND})]


def examples_of(page: Path) -> list[object]:
    """Return the Python blocks of *page*, in order; they share one namespace."""
    sybil = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()], pattern=page.name, path=str(page.parent))
    return list(sybil.parse(page).examples())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    for example in examples_of(page):
        example.evaluate()


def test_the_acceptance_page_is_up_to_date() -> None:
    generate = runpy.run_path(str(ROOT / "tests" / "acceptance.py"))["page"]

    committed = (ROOT / "docs" / "acceptance.md").read_text(encoding="utf-8")

    assert generate() == committed, "run `nox -s acceptance` and commit the page"
