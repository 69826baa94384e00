"""The absence of a value."""

from __future__ import annotations

import copy
import pickle

import pytest

from honeyhive import MISSING, Missing, is_missing, not_missing
from honeyhive.utils import unless_missing


@pytest.mark.acceptance("H20")
@pytest.mark.parametrize("value", [None, 0, "", False, "missing"])
def test_only_missing_is_missing(value: object) -> None:
    assert is_missing(MISSING)
    assert not is_missing(value)
    assert not_missing(value)
    assert not not_missing(MISSING)


def test_a_default_stands_in_for_what_is_missing_and_not_for_none() -> None:
    assert "default" == unless_missing(MISSING, "default")
    assert unless_missing(None, "default") is None


def test_missing_is_false_and_one_of_a_kind() -> None:
    assert not MISSING
    assert "MISSING" == repr(MISSING)
    assert MISSING is Missing.MISSING is copy.deepcopy(MISSING) is pickle.loads(pickle.dumps(MISSING))
