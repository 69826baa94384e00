"""Spans become a tree whatever their parents are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from honeyhive.utils.trees import preorder


def test_children_follow_their_parent_in_the_order_given() -> None:
    nodes = list(preorder({"b": "a", "c": "a", "a": None, "d": "b"}))

    assert [(node.key, node.depth, list(node.children)) for node in nodes] == [
        ("a", 0, ["b", "c"]),
        ("b", 1, ["d"]),
        ("d", 2, []),
        ("c", 1, []),
    ]


def test_a_chain_of_a_hundred_thousand_needs_no_recursion() -> None:
    parents = {number: number - 1 if number else None for number in range(100_000)}

    assert [node.depth for node in preorder(parents)] == list(range(100_000))


def test_orphans_and_circles_are_shown_as_roots() -> None:
    nodes = {node.key: node for node in preorder({"orphan": "missing", "self": "self", "x": "y", "y": "x"})}

    assert [(key, node.depth, node.is_orphan) for key, node in nodes.items()] == [
        ("orphan", 0, True),
        ("self", 0, True),
        ("x", 0, True),
        ("y", 1, False),
    ]


@given(st.dictionaries(st.integers(0, 30), st.none() | st.integers(0, 40), max_size=31))
def test_every_key_comes_once_and_after_its_parent(parents: dict[int, int | None]) -> None:
    nodes = list(preorder(parents))

    seen: dict[int, int] = {}
    for node in nodes:
        if node.depth:
            parent = parents[node.key]
            assert parent is not None
            assert seen[parent] == node.depth - 1
        seen[node.key] = node.depth
    assert sorted(seen) == sorted(parents)
    assert len(nodes) == len(parents)
