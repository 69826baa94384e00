"""Dictionaries read as attributes, and the package's loggers."""

from __future__ import annotations

import pytest

from honeyhive import DotDict, get_logger


def test_keys_are_attributes_at_every_depth() -> None:
    found = DotDict({"a": {"b": 1}})
    found.c = {"d": 2}

    assert (1, 2, 1, None) == (found.a.b, found["c"].d, found.get("a.b"), found.get("a.x"))
    assert {"a": {"b": 1}, "c": {"d": 2}} == found.to_dict()
    assert DotDict is not type(found.to_dict()["a"])


def test_a_missing_key_is_a_missing_attribute() -> None:
    found = DotDict(a=1)
    del found.a

    with pytest.raises(AttributeError, match="'a'"):
        _ = found.a


def test_loggers_stand_below_the_packages_own_and_have_no_handlers() -> None:
    assert "honeyhive.mine" == get_logger("mine").name
    assert "honeyhive.tracer" == get_logger("honeyhive.tracer").name
    assert [] == get_logger("mine").handlers
