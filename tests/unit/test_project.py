"""The project keeps what its rows promise of it as a whole: dependencies, layout, gates, pages."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.acceptance("C1")
def test_the_core_stands_on_opentelemetry_httpx_and_wrapt(pyproject: dict[str, Any]) -> None:
    names = {re.match(r"[\w.-]+", requirement)[0] for requirement in pyproject["project"]["dependencies"]}

    assert {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "httpx", "wrapt"} <= names
    assert any(requirement.startswith("pytest") for requirement in pyproject["dependency-groups"]["tests"])


@pytest.mark.acceptance("C2")
@pytest.mark.parametrize(
    "place", ["pyproject.toml", "CHANGELOG.md", "src/honeyhive", "tests/unit", "tests/integration", "docs", "docs/adr"]
)
def test_everything_has_its_usual_place(place: str) -> None:
    assert (ROOT / place).exists()


@pytest.mark.acceptance("S3")
@pytest.mark.parametrize("room", ["api", "models", "tracer", "utils"])
def test_each_concern_is_a_package_of_its_own(room: str) -> None:
    module = importlib.import_module(f"honeyhive.{room}")

    assert hasattr(module, "__path__")


@pytest.mark.acceptance("S16")
def test_the_strict_type_checker_and_all_rules_of_the_linter_guard_the_sources(pyproject: dict[str, Any]) -> None:
    tool = pyproject["tool"]

    assert tool["mypy"]["strict"] is True
    assert "src" in tool["mypy"]["files"]
    assert ["ALL"] == tool["ruff"]["lint"]["select"]


@pytest.mark.acceptance("S27")
@pytest.mark.parametrize("page", ["concepts/architecture.md", "concepts/errors.md", "concepts/types.md"])
def test_design_errors_and_types_are_explained(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")

    assert page in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert len(text.split()) > 100


def test_blind_handlers_are_allowed_in_three_places_only(pyproject: dict[str, Any]) -> None:
    exceptions = pyproject["tool"]["ruff"]["lint"]["per-file-ignores"]

    places = [place for place, codes in exceptions.items() if "BLE001" in codes]

    assert [
        "src/honeyhive/tracer/calls.py",
        "src/honeyhive/tracer/generators.py",
        "src/honeyhive/utils/guard.py",
    ] == sorted(places)
    assert "BLE001" not in pyproject["tool"]["ruff"]["lint"]["ignore"]
