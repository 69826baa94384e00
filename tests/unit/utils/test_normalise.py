"""Keys and values in the one form of attributes and baggage."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.utils import normalise_key, normalise_value


@pytest.mark.acceptance("S15")
@pytest.mark.parametrize("key", ["My-Key", "my.key", "MY KEY", "my_key"])
def test_keys_are_lower_case_with_underscores(key: str):
    assert "my_key" == normalise_key(key)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_a_normal_key_stays(key: str):
    assert normalise_key(normalise_key(key)) == normalise_key(key)


@pytest.mark.acceptance("S15")
@pytest.mark.parametrize("value", [{"a": [1, "x"]}, [1, 2], (1, 2)])
def test_containers_become_text(value: object):
    text = normalise_value(value)

    assert isinstance(text, str)
    assert json.loads(json.dumps(value)) == json.loads(text)


@pytest.mark.acceptance("S15")
@pytest.mark.parametrize("value", [None, True, 1, 1.5, "x"])
def test_scalars_stay(value: object):
    assert value is normalise_value(value)
