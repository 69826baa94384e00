"""Values that cannot change at all: what becomes of collections, and what is refused."""

from __future__ import annotations

import dataclasses
import enum
from collections import OrderedDict, namedtuple
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.utils import FrozenDict, Immutable, immutable

ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.sets(ATOMS) | st.tuples(inner, inner),
    max_leaves=20,
)
Point = namedtuple("Point", "x y")  # noqa: PYI024 - the untyped kind is meant


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Line:
    text: str
    tags: object = ()


@dataclasses.dataclass
class Cart:
    items: list[str]


class Money:
    pass


@given(VALUES)
def test_whatever_is_plain_becomes_hashable(value: object) -> None:
    assert isinstance(hash(immutable(value)), int)


@given(VALUES)
def test_what_is_immutable_stays_the_same_object(value: object) -> None:
    frozen = immutable(value)

    assert immutable(frozen) is frozen


def test_collections_become_immutable_all_the_way_down() -> None:
    frozen = immutable({"items": [1, {"tags": {"a"}}], "blob": bytearray(b"x"), "old": OrderedDict(a=[])})

    assert {"items": (1, {"tags": frozenset({"a"})}), "blob": b"x", "old": {"a": ()}} == frozen
    assert isinstance(frozen["items"][1], FrozenDict)


@pytest.mark.parametrize("value", [Decimal(1), datetime.now(UTC), Colour.RED, Line("a"), Point(1, 2), int, len])
def test_what_cannot_change_is_left_alone(value: object) -> None:
    assert immutable(value) is value


def test_a_frozen_record_gets_frozen_fields_in_a_copy() -> None:
    line = Line("a", tags=["x"])

    assert Line("a", tags=("x",)) == immutable(line)
    assert ["x"] == line.tags


def test_a_named_tuple_stays_one() -> None:
    assert Point((1,), 2) == immutable(Point([1], 2))


@pytest.mark.parametrize(
    "value, part",
    [(Money(), "order"), ({"a": [Cart([])]}, r"order\['a'\]\[0\]"), (Line("a", tags=Money()), r"order\.tags")],
)
def test_what_can_change_is_refused_by_its_place(value: object, part: str) -> None:
    with pytest.raises(TypeError, match=rf"^{part} is of class \w+, which can change"):
        immutable(value, "order")


def test_the_refusal_names_the_fix() -> None:
    with pytest.raises(TypeError, match=r"declare it with @dataclass\(frozen=True\)"):
        immutable(Cart([]))
    with pytest.raises(TypeError, match=r"Immutable\.register\(Money\)"):
        immutable(Money())


def test_a_class_can_be_said_never_to_change() -> None:
    class Tag:
        pass

    Immutable.register(Tag)
    tag = Tag()

    assert immutable(tag) is tag
