"""Shutting a tracer down takes the time it was given, once."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import SpanProcessor

from honeyhive.testing import TestableTracer


class Patience(SpanProcessor):
    """Notes how long it was allowed to take, as a processor of ours whose backend hangs would."""

    def __init__(self) -> None:
        self.granted_ms: list[float] = []

    def flush(self, timeout_millis: float) -> bool:
        self.granted_ms.append(timeout_millis)
        return False

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        self.granted_ms.append(timeout_millis)


@pytest.mark.parametrize("timeout_ms", [0, 500])
def test_a_hanging_backend_is_not_waited_for_twice(timeout_ms: float) -> None:
    patience = Patience()
    tracer = TestableTracer(span_processor=patience, test_mode=True)

    tracer.shutdown(timeout_ms)

    assert sum(patience.granted_ms) <= timeout_ms
