"""Frozen collections."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.utils import FrozenDict, freeze

VALUES = st.dictionaries(st.text(), st.integers())


@pytest.mark.parametrize(
    "change",
    [
        lambda mapping: mapping.__setitem__("a", 2),
        lambda mapping: mapping.__delitem__("a"),
        lambda mapping: mapping.__ior__({"b": 2}),
        lambda mapping: mapping.update(b=2),
        lambda mapping: mapping.setdefault("b", 2),
        lambda mapping: mapping.pop("a"),
        lambda mapping: mapping.popitem(),
        lambda mapping: mapping.clear(),
    ],
)
def test_a_frozen_dict_refuses_every_change(change: Callable[[Any], object]) -> None:
    mapping = FrozenDict({"a": 1})

    with pytest.raises(TypeError, match="frozen"):
        change(mapping)

    assert {"a": 1} == mapping


@given(VALUES)
def test_a_frozen_dict_reads_like_the_dict_it_was_made_of(plain: dict[str, int]) -> None:
    frozen = FrozenDict(plain)

    assert plain == frozen == copy.copy(frozen) == copy.deepcopy(frozen) == pickle.loads(pickle.dumps(frozen))
    assert json.dumps(plain) == json.dumps(frozen)
    assert repr(plain) == repr(frozen)
    assert frozen.copy() is frozen


@given(VALUES)
def test_equal_frozen_dicts_have_equal_hashes(plain: dict[str, int]) -> None:
    assert hash(FrozenDict(plain)) == hash(FrozenDict(reversed(plain.items())))


@given(VALUES, VALUES)
def test_a_union_is_a_new_frozen_dict(left: dict[str, int], right: dict[str, int]) -> None:
    for union in (FrozenDict(left) | right, left | FrozenDict(right), FrozenDict(left) | FrozenDict(right)):
        assert left | right == union
        assert type(union) is FrozenDict


def test_a_union_with_anything_else_is_refused() -> None:
    with pytest.raises(TypeError):
        FrozenDict({}) | 1
    with pytest.raises(TypeError):
        1 | FrozenDict({})


def test_freezing_goes_all_the_way_down_and_leaves_other_objects_alone() -> None:
    class Own(list[int]):
        """Somebody's own kind of list."""

    own = Own([1])

    frozen = freeze({"a": [1, ({2}, own)], "b": bytearray(b"x")})

    assert {"a": (1, (frozenset({2}), own)), "b": b"x"} == frozen
    assert frozen["a"][1][1] is own  # type: ignore[index]
