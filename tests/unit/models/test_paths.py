"""Paths read and replace nested values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive import State
from honeyhive.exceptions import StateError
from honeyhive.models import path

Element = TypeVar("Element")


class Address(State):
    city: str
    extra: Mapping[str, Any] = {}


class User(State):
    name: str
    address: Address | None = None


class Page(State, Generic[Element]):
    items: Sequence[Element]


class Directory(State):
    page: Page[User]
    by_name: Mapping[str, User] = {}


ADA = User(name="Ada", address=Address(city="London"))
DIRECTORY = Directory(page=Page[User](items=[ADA]), by_name={"ada": ADA})


@pytest.mark.acceptance("H12")
def test_a_path_reads_a_nested_value() -> None:
    assert "London" == User._.address.city(ADA)


@pytest.mark.acceptance("H12")
def test_a_path_replaces_a_nested_value_in_a_copy() -> None:
    moved = User._.address.city(ADA, updated="Oslo")

    assert User(name="Ada", address=Address(city="Oslo")) == moved
    assert "London" == ADA.address.city


@pytest.mark.acceptance("H12")
def test_a_path_leads_through_generic_states_sequences_and_mappings() -> None:
    first, named = Directory._.page.items[0].address.city, Directory._.by_name["ada"].name

    assert "London" == first(DIRECTORY)
    assert "Bergen" == first(first(DIRECTORY, updated="Bergen"))
    assert "Eve" == named(DIRECTORY, updated="Eve").by_name["ada"].name


def test_the_whole_state_is_a_path_too() -> None:
    assert ADA is User._(ADA)
    assert ADA is User._(User(name="Eve"), updated=ADA)


def test_a_new_value_is_validated() -> None:
    with pytest.raises(StateError, match=r"^Address\.city should be a valid string, got int$"):
        User._.address.city(ADA, updated=1)


def test_none_is_a_value_to_put_there() -> None:
    assert User._.address(ADA, updated=None).address is None


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: User._.nam, "User has no field 'nam'; it has name, address"),
        (lambda: User._.address.town, "Address has no field 'town'; it has city, extra"),
        (lambda: Directory._.page.items[0].nam, "User has no field 'nam'"),
        (lambda: Directory._.by_name["ada"].nam, "User has no field 'nam'"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_when_the_path_is_made(make: Any, message: str) -> None:
    with pytest.raises(AttributeError, match=message):
        make()


def test_a_path_refuses_states_of_other_types() -> None:
    with pytest.raises(TypeError, match=r"User\._\.name leads through User; this is Address"):
        User._.name(Address(city="London"))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "error, use",
    [
        (IndexError, lambda: Directory._.page.items[7].name(DIRECTORY)),
        (KeyError, lambda: Directory._.by_name["eve"].name(DIRECTORY)),
        (AttributeError, lambda: User._.address.city(User(name="Eve"))),
        (TypeError, lambda: User._.name["first"](ADA, updated="x")),
        (TypeError, lambda: Address._.extra["f"].real(Address(city="", extra={"f": 1}), updated=2)),
    ],
)
def test_a_way_that_ends_early_is_an_error(error: type[Exception], use: Any) -> None:
    with pytest.raises(error):
        use()


def test_a_typed_path_is_the_same_path() -> None:
    assert User._.address.city == path(User, lambda user: user.address.city)
    assert {User._.name} == {path(User, lambda user: user.name)}


def test_a_typed_path_must_be_a_path() -> None:
    with pytest.raises(TypeError, match="returns what it reads"):
        path(User, lambda user: "London")


def test_a_path_tells_where_it_leads() -> None:
    assert "Directory._.page.items[0].name" == repr(Directory._.page.items[0].name)


@given(st.lists(st.text(), min_size=1), st.data())
def test_what_was_put_is_read_and_nothing_else_changes(names: list[str], data: st.DataObject) -> None:
    page = Page[User](items=[User(name=name) for name in names])
    index = data.draw(st.integers(-len(names), len(names) - 1))
    name = Page[User]._.items[index].name

    changed = name(page, updated="new")

    names[index] = "new"
    assert names == [user.name for user in changed.items]
    assert page == name(changed, updated=name(page))
