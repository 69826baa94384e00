"""Test what your own code traces: ``capture_spans`` hands you the spans, offline.

Run it with ``pytest examples/testing_your_code.py``. The fixture comes with
honeyhive; nothing is sent, nothing is written.
"""

import pytest

from honeyhive import enrich_span, trace


@trace(event_type="tool", event_name="divide")
def divide(a: float, b: float) -> float:
    enrich_span(metadata={"exact": a % b == 0})
    return a / b


def test_division_is_traced(capture_spans):
    assert divide(6, 3) == 2

    (span,) = capture_spans.spans
    assert span.name == "divide"
    assert span.attributes["honeyhive_inputs.a"] == 6
    assert span.attributes["honeyhive_outputs.result"] == 2
    assert span.attributes["honeyhive_metadata.exact"] is True


def test_a_failure_is_traced_and_passes_on(capture_spans):
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)

    (span,) = capture_spans.spans
    assert span.attributes["honeyhive_error_type"] == "ZeroDivisionError"
