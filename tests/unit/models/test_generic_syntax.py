"""Generic states in the syntax of Python 3.12 and newer."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from honeyhive.exceptions import StateError

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is new in Python 3.12")


@pytest.fixture(scope="module")
def classes() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).with_name("generic_syntax.py")))


@pytest.mark.acceptance("H22")
def test_the_type_argument_is_enforced(classes: dict[str, Any]) -> None:
    container = classes["Container"]

    assert (1, 2) == container[int](items=[1, 2], metadata={"a": [1]}).items
    with pytest.raises(StateError, match=r"^Container\[int\]\.items\[0\] should be a valid integer, got str$"):
        container[int](items=["x"], metadata={})


def test_an_alias_is_frozen_like_what_it_stands_for(classes: dict[str, Any]) -> None:
    named = classes["Named"](names=["a"], data={"a": [1, {"b": "c"}]})

    assert ("a",) == named.names
    assert {"a": (1, {"b": "c"})} == named.data
    assert isinstance(hash(named), int)
