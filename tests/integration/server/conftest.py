"""What the backend's tests send."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest

_SPAN_IDS = itertools.count(1)


@pytest.fixture
def client(server: Any) -> Iterator[httpx.Client]:
    """A client of the running backend, with the token."""
    with server.client() as client:
        yield client


@pytest.fixture
def span() -> Callable[..., dict[str, object]]:
    """Make a span in OTLP/JSON; attributes are texts, numbers and booleans."""

    def make(
        name: str = "work",
        *,
        trace_id: str = "0af7651916cd43dd8448eb211c80319c",
        span_id: str | None = None,
        parent_id: str | None = None,
        start_ms: float = 0.0,
        duration_ms: float = 10.0,
        attributes: Mapping[str, object] | None = None,
        **more: object,
    ) -> dict[str, object]:
        start_ns = _BASE_NS + round(start_ms * 1e6)
        return {
            "traceId": trace_id,
            "spanId": span_id or f"{next(_SPAN_IDS):016x}",
            "parentSpanId": parent_id,
            "name": name,
            "kind": "SPAN_KIND_INTERNAL",
            "startTimeUnixNano": str(start_ns),
            "endTimeUnixNano": str(start_ns + round(duration_ms * 1e6)),
            "attributes": [{"key": key, "value": _value(value)} for key, value in (attributes or {}).items()],
            **more,
        }

    return make


@pytest.fixture
def request_of() -> Callable[..., dict[str, object]]:
    """Wrap spans into an OTLP/JSON trace request."""
    return lambda *spans: {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "test"}, "spans": list(spans)}]}]}


_BASE_NS = time.time_ns()


def _value(value: object) -> dict[str, object]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
