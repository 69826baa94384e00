"""Writes docs/acceptance.md: every capability, and the tests that prove it.

The capabilities are listed in ``acceptance.toml``. A test claims one with
``@pytest.mark.acceptance("S9")``; the marks are read from the source, without
importing it, so that the page is the same on every machine.

    python tests/acceptance.py
"""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "acceptance.md"
HEADER = """\
# Acceptance

What this project sets out to do, and the tests that prove it. {proved} of {total} rows are proved; the others are open.

<!-- Generated from tests/acceptance.toml and the marks of the tests by `nox -s acceptance`; not edited by hand. -->
"""

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page as it should be now.

    Raises:
        ValueError: A test claims a row that does not exist.
    """
    areas = tomllib.loads((TESTS / "acceptance.toml").read_text(encoding="utf-8"))["area"]
    rows = [row for area in areas for row in area["rows"]]
    proofs = collect(TESTS)
    if unknown := proofs.keys() - set(rows):
        raise ValueError(f"tests claim rows that do not exist: {', '.join(sorted(unknown))}")
    header = HEADER.format(proved=len(proofs), total=len(rows))
    return "\n".join([header, *(section(area, proofs) for area in areas)])


def section(area: Mapping[str, object], proofs: Mapping[str, Sequence[str]]) -> str:
    """Return the table of one area."""
    rows = area["rows"]
    assert isinstance(rows, dict)
    lines = [f"| {row} | {text} | {'<br>'.join(proofs.get(row, ['open']))} |" for row, text in rows.items()]
    return "\n".join(
        [f"## {area['letter']}: {area['title']}", "", "| row | capability | proof |", "|---|---|---|", *lines, ""]
    )


def collect(tests: Path) -> dict[str, list[str]]:
    """Return the names of the proving tests for each claimed row."""
    proofs: dict[str, list[str]] = defaultdict(list)
    for path in sorted(tests.rglob("test_*.py")):
        tree = ast.parse(path.read_bytes(), filename=str(path))
        for name, rows in claims(tree.body, inherited=module_rows(tree)):
            for row in rows:
                proofs[row].append(f"`{path.relative_to(tests.parent).as_posix()}::{name}`")
    return dict(proofs)


def claims(body: Sequence[ast.stmt], inherited: Sequence[str], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield each test of *body* with the rows it claims."""
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from claims(node.body, [*inherited, *marked(node.decorator_list)], f"{prefix}{node.name}::")
        elif isinstance(node, FUNCTIONS) and node.name.startswith("test"):
            rows = dict.fromkeys([*inherited, *marked(node.decorator_list)])
            yield prefix + node.name, list(rows)


def module_rows(tree: ast.Module) -> list[str]:
    """Return the rows that a module claims for all its tests through ``pytestmark``."""
    return [
        row
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
        for row in marked([node.value])
    ]


def marked(marks: Sequence[ast.expr]) -> list[str]:
    """Return the rows named by ``pytest.mark.acceptance(...)`` anywhere in *marks*."""
    return [
        argument.value
        for mark in marks
        for call in ast.walk(mark)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "acceptance"
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


if __name__ == "__main__":
    main()
