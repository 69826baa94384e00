"""Values: data classes whose fields can only be read."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from honeyhive.utils.values import value


@value
class Parcel:
    """Something that is sent."""

    kind: ClassVar[str] = "parcel"

    sender: str
    weight_g: int = 100
    labels: dict[str, str] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def describe(self) -> str:
        return f"{self.kind} of {self.weight_g} g"


@value
class Letter(Parcel):
    kind: ClassVar[str] = "letter"

    stamp: str


LETTER = Letter(sender="ann", stamp="blue")


def test_fields_are_given_by_keyword_and_have_defaults() -> None:
    assert ("ann", 100, {}, "blue") == (LETTER.sender, LETTER.weight_g, LETTER.labels, LETTER.stamp)


def test_a_default_that_is_made_is_not_shared() -> None:
    assert Parcel(sender="ann").labels is not Parcel(sender="ann").labels


@pytest.mark.parametrize("given", [{}, {"sender": "ann", "colour": "red"}])
def test_what_is_missing_or_unknown_is_refused_by_name(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"Parcel\.__init__\(\).*'(sender|colour)'"):
        Parcel(**given)


@pytest.mark.parametrize("name", ["stamp", "sender", "colour"])
def test_nothing_can_be_assigned_to_or_deleted(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        setattr(LETTER, name, "red")
    with pytest.raises(AttributeError, match=name):
        delattr(LETTER, name)


def test_equal_values_of_one_class_are_equal() -> None:
    assert Letter(sender="ann", stamp="blue") == LETTER
    assert hash(Letter(sender="ann", stamp="blue")) == hash(LETTER)
    assert Letter(sender="ann", stamp="red") != LETTER
    assert Parcel(sender="ann") != LETTER


def test_a_value_tells_its_fields() -> None:
    assert repr(LETTER) == "Letter(sender='ann', weight_g=100, stamp='blue')"


def test_methods_and_class_variables_stay() -> None:
    assert LETTER.describe() == "letter of 100 g"
    assert Letter.__doc__ != Parcel.__doc__ == "Something that is sent."


def test_it_is_a_data_class_of_which_changed_copies_can_be_made() -> None:
    assert dataclasses.replace(LETTER, stamp="red") == Letter(sender="ann", stamp="red")
    assert dataclasses.asdict(Parcel(sender="ann")) == {"sender": "ann", "weight_g": 100, "labels": {}}


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_copies_are_equal(copied: Callable[[Letter], Letter]) -> None:
    assert copied(LETTER) == LETTER
