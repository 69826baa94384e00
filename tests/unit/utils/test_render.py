"""One strict JSON text, whichever library writes it."""

import json
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from honeyhive.utils.capture import CaptureLimits, bounded_copy, capture
from honeyhive.utils.render import json_text, render

anything_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@given(st.lists(anything_json))
def test_the_text_is_strict_and_valid(value: list[object]):
    text = render(capture(value))

    text.encode()
    assert len(value) == len(json.loads(text, parse_constant=refuse))


@given(anything_json, st.integers(min_value=400, max_value=5_000))
def test_a_limit_is_kept_and_the_text_remains_json(value: object, limit: int):
    text = json_text(bounded_copy([value] * 20), CaptureLimits(max_bytes=limit))

    assert len(text.encode()) <= limit
    json.loads(text, parse_constant=refuse)


def test_without_orjson_the_text_is_the_same():
    code = """
import sys
sys.modules["orjson"] = None
from honeyhive.utils import capture, render
print(ascii(render(capture([{"a": [1, 2.5, None, True, "x\\u00e9\\n\\x00"], "b": {}}, "\\ud800", 2**70]))))
"""

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    value = [{"a": [1, 2.5, None, True, "x\u00e9\n\x00"], "b": {}}, "\ud800", 2**70]
    assert ascii(render(capture(value))) == answer.stdout.strip()


def test_both_numbers_and_their_limits():
    assert 2**63 - 1 == render(capture(2**63 - 1))
    assert "9223372036854775808" == render(capture(2**63))
    assert "-Infinity" == render(capture(-float("inf")))
