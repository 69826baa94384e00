"""The pytest plugin: one fixture, and nothing else happens unless a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from honeyhive.testing.tracers import SpanCapture

__all__ = ["capture_spans"]


@pytest.fixture
def capture_spans() -> Iterator[SpanCapture]:
    """Record in memory what the code under test traces: ``capture_spans.spans``, ``.named(..)``, ``.tree()``.

    While the test runs, bare ``@trace`` means ``capture_spans.tracer``; nothing leaves the process.
    """
    from honeyhive.testing.tracers import SpanCapture

    with SpanCapture.running() as capture:
        yield capture
