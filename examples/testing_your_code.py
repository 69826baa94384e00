"""Test what your own code traces: the fixture ``capture_spans`` hands you the spans.

Run it with ``pytest examples/testing_your_code.py``. The fixture comes with
honeyhive; nothing is sent and nothing is written.
"""

import pytest

from honeyhive import enrich_span, trace
from honeyhive.testing import SpanCapture


@trace(event_type="chain", event_name="share")
def share(total: float, people: int) -> str:
    return f"{divide(total, people):.2f} each"


@trace(event_type="tool", event_name="divide")
def divide(a: float, b: float) -> float:
    enrich_span(metadata={"exact": a % b == 0})
    return a / b


def test_sharing_divides_once(capture_spans: SpanCapture) -> None:
    assert share(9, 3) == "3.00 each"

    assert capture_spans.tree() == "share [chain]\n  divide [tool]"


def test_a_division_shows_what_went_in_and_out(capture_spans: SpanCapture) -> None:
    divide(6, 4)

    (span,) = capture_spans.spans
    assert span.inputs == {"a": 6, "b": 4}
    assert span.outputs == {"result": 1.5}
    assert span.metadata["exact"] is False


def test_a_failure_is_noted_and_passes_on(capture_spans: SpanCapture) -> None:
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)

    (span,) = capture_spans.spans
    assert span.status == "error"
    assert [error.type for error in span.exceptions] == ["ZeroDivisionError"]
