"""Flattening loses nothing that unflattening cannot bring back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.models.conventions.flat import nested, parsed, rows

names = st.from_regex(r"[a-z]{1,4}", fullmatch=True)
trees = st.recursive(
    st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3) | st.lists(inner, min_size=1, max_size=3),
    max_leaves=10,
)


def flattened(value: object, path: str = "") -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [pair for key, child in value.items() for pair in flattened(child, f"{path}.{key}")]
    if isinstance(value, list):
        return [pair for number, child in enumerate(value) for pair in flattened(child, f"{path}.{number}")]
    return [(path[1:], value)]


@given(st.dictionaries(names, trees, max_size=4))
def test_what_was_flattened_comes_back(tree: dict[str, object]) -> None:
    assert tree == nested(flattened(tree))


@pytest.mark.parametrize("order", [1, -1])
def test_a_key_that_is_value_and_prefix_keeps_both(order: int) -> None:
    pairs = [("a", 1), ("a.b", 2)][::order]

    assert {"a": {"": 1, "b": 2}} == nested(pairs)


def test_mappings_that_are_values_are_not_taken_apart() -> None:
    assert {"a": {"0": 1}} == nested([("a", {"0": 1})])


def test_rows_come_in_the_order_of_their_numbers_without_gaps() -> None:
    assert [{"x": "two"}, {"x": "ten"}] == rows([("10.x", "ten"), ("2.x", "two"), ("junk", 1)])


@pytest.mark.parametrize("text", ["12", "true", "plain", "{broken", '{"a": NaN}', "", "[" * 100 + "]" * 100])
def test_what_is_no_structure_stays_text(text: str) -> None:
    assert text == parsed(text)


@given(st.dictionaries(names, trees))
def test_json_text_is_read(tree: dict[str, object]) -> None:
    assert tree == parsed(json.dumps(tree))
