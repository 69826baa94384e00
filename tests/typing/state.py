"""What a type checker knows of states and their paths. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, assert_type

from honeyhive import MISSING, Missing, State, is_missing, not_missing
from honeyhive.models import Path, path

Element = TypeVar("Element")


class Address(State):
    """Where somebody lives."""

    city: str


class User(State):
    """Somebody."""

    name: str
    address: Address
    roles: Sequence[str] = ()


class Box(State, Generic[Element]):
    """Anything, in order."""

    items: Sequence[Element]
    notes: Mapping[str, str] = {}


def construction_is_checked() -> None:
    user = User(name="Ada", address=Address(city="London"), roles=["admin"])
    assert_type(user.roles, Sequence[str])
    assert_type(user.updated(name="Eve"), User)
    assert_type(Box[int](items=[1]).items, Sequence[int])
    User(name="Ada")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Address(city=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Box[int](items=["x"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


def paths_know_where_they_begin(user: User) -> None:
    assert_type(User._, Path[User, User])
    assert_type(User._.address.city, Path[User, Any])
    assert_type(User._.address.city(user, updated="Oslo"), User)


def selected_paths_know_both_ends(user: User) -> None:
    city = path(User, lambda user: user.address.city)
    assert_type(city, Path[User, str])
    assert_type(city(user), str)
    city(user, updated=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def missing_is_told_apart(value: str | Missing | None) -> None:
    if is_missing(value):
        assert_type(value, Missing)
    else:
        assert_type(value, str | None)
    if not_missing(value):
        assert_type(value, str | None)
    if value is not MISSING:
        assert_type(value, str | None)
