"""Trace and span ids that a test can write down."""

from __future__ import annotations

import itertools
import threading

from opentelemetry.sdk.trace.id_generator import IdGenerator

__all__ = ["CountingIds"]


class CountingIds(IdGenerator):
    """Counts: the first trace is 1, the second 2; the first span is 1, the second 2. Safe to use from any thread."""

    def __init__(self) -> None:
        self._traces = itertools.count(1)
        self._spans = itertools.count(1)
        # Keeps ids unique on builds without the GIL, where `next` on a shared counter is not one step.
        self._counting = threading.Lock()

    def generate_trace_id(self) -> int:
        """Return the next trace id."""
        with self._counting:
            return next(self._traces)

    def generate_span_id(self) -> int:
        """Return the next span id."""
        with self._counting:
            return next(self._spans)
