"""The guides that were promised are there, in the navigation, with code that `test_pages.py` runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def guide(page: str) -> str:
    """Return the text of a guide that readers can find."""
    assert page in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


@pytest.mark.acceptance("H40")
@pytest.mark.parametrize(
    "page",
    [
        "how-to/state.md",
        "how-to/scopes.md",
        "how-to/dependency-injection.md",
        "how-to/organise.md",
        "how-to/async.md",
        "how-to/web-frameworks.md",
    ],
)
def test_each_subject_of_scopes_and_state_has_a_guide_with_code(page: str) -> None:
    text = guide(page)

    assert len(text.split()) > 200
    assert len(re.findall(r"^```python", text, re.MULTILINE)) >= 3


@pytest.mark.acceptance("H35")
@pytest.mark.parametrize(
    "page, practice",
    [
        ("how-to/dependency-injection.md", "@runtime_checkable"),
        ("how-to/state.md", "## Use abstract collections"),
        ("how-to/scopes.md", "## Open and close resources"),
        ("how-to/dependency-injection.md", "## Swap it"),
        ("how-to/organise.md", "Types are complete"),
    ],
)
def test_each_recommended_practice_is_shown(page: str, practice: str) -> None:
    assert practice in guide(page)


@pytest.mark.acceptance("A25")
@pytest.mark.parametrize("page", ["how-to/test-your-code.md", "how-to/state.md", "how-to/async.md"])
def test_asynchronous_code_is_explained_with_its_tests_and_its_state(page: str) -> None:
    assert "asyncio.run(" in guide(page)


@pytest.mark.acceptance("A25")
@pytest.mark.acceptance("H35")
def test_the_example_of_scopes_is_listed() -> None:
    assert (ROOT / "examples" / "scopes.py").exists()
    assert "`scopes.py`" in (ROOT / "examples" / "README.md").read_text(encoding="utf-8")


@pytest.mark.acceptance("O40")
@pytest.mark.parametrize(
    "page, subject",
    [
        ("how-to/event-sourcing.md", "## Build read models"),
        ("how-to/test-event-sourcing.md", "## A store of your own: the contract"),
        ("how-to/event-sourcing-practice.md", "## Whether to do it at all"),
        ("how-to/messages.md", "## Test what uses a bus"),
        ("how-to/messages.md", "## Good practice"),
    ],
)
def test_messages_and_event_sourcing_are_explained_with_their_tests_and_practice(page: str, subject: str) -> None:
    assert subject in guide(page)


@pytest.mark.acceptance("O39")
@pytest.mark.parametrize(
    "page",
    [
        "adr/0040-protocols.md",
        "adr/0041-immutable-messages.md",
        "adr/0044-events-first.md",
        "adr/0045-one-order.md",
        "adr/0047-where-we-differ.md",
        "adr/0057-cloudevents.md",
    ],
)
def test_the_decisions_of_the_events_room_are_written_down(page: str) -> None:
    assert "Decision" in guide(page)
    assert "Consequences" in guide(page)
