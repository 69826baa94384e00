"""The order application on events: its story, and how its layers are kept apart."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
STORY = """\
order-1: thank you
order-2: thank you
order-3: thank you
open: [('order-1', 'pending'), ('order-2', 'pending'), ('order-3', 'pending')]
stock: {'tea': 1, 'cup': 0}
order-2: please pay
order-3: please pay
order-3: cancelled, LookupError: there is no cup left
order-2: cancelled, not paid
open: []
order-2: ['OrderPlaced', 'OrderCancelled']
order-1 at first: pending
"""


@pytest.mark.acceptance("O19")
def test_orders_are_placed_paid_sent_and_given_up() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "orders"], cwd=EXAMPLES, capture_output=True, text=True, timeout=30, check=False
    )

    assert ("", STORY) == (ran.stderr, ran.stdout)


@pytest.mark.acceptance("O10")
@pytest.mark.parametrize(
    "layer, allowed",
    [
        ("domain", set()),
        ("application", {"orders.domain"}),
        ("infrastructure", {"orders.domain", "orders.application"}),
    ],
)
def test_each_layer_knows_only_those_beneath_it(layer: str, allowed: set[str]) -> None:
    tree = ast.parse((EXAMPLES / "orders" / f"{layer}.py").read_text("utf-8"))
    imports = {
        (node.module or "", name.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }

    ours = {module for module, _ in imports if module.startswith("orders")}
    beneath = {name for module, name in imports if module == "honeyhive.events"}

    assert ours <= allowed
    if layer == "domain":
        assert {"Aggregate", "Event", "on"} == beneath
    if layer != "infrastructure":
        assert not {name for name in beneath if "InMemory" in name or "SQL" in name or name.endswith("Projection")}
