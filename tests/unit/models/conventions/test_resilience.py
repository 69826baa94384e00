"""The vocabulary of the helpers is documented as it is."""

from __future__ import annotations

from pathlib import Path

from honeyhive.models.conventions import resilience

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "resilience.md"


def rows() -> set[tuple[str, str]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [line.strip("|").split(" | ") for line in lines if line.startswith("| `")]
    return {(name.strip(" `"), meaning.strip()) for name, meaning in cells}


def test_the_reference_has_every_name_and_nothing_else():
    attributes = {(name.removeprefix(resilience.PREFIX), text) for name, text in resilience.ATTRIBUTES.items()}
    events = {
        (name.removeprefix(resilience.PREFIX), ", ".join(f"`{fact}`" for fact in facts))
        for name, facts in resilience.EVENTS.items()
    }

    assert rows() == attributes | events


def test_all_names_begin_alike():
    names = [*resilience.ATTRIBUTES, *resilience.EVENTS]

    assert all(name.startswith(resilience.PREFIX) for name in names)
