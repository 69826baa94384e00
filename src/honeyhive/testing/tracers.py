"""Tracers for tests: with parts of the test's own, and ready made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.context import Context

from honeyhive.testing.exporter import MemoryExporter
from honeyhive.tracer import HoneyHiveTracer, get_default_tracer, set_default_tracer
from honeyhive.tracer.context import attach, detach

__all__ = ["SpanCapture", "TestableTracer", "TracerFactory"]


class TestableTracer(HoneyHiveTracer):
    """A tracer whose client and span processor a test can bring.

    Args:
        api_client: Used in place of the REST client.
        span_processor: Where finished spans go; any OpenTelemetry span processor.
        **kwargs: Those of `HoneyHiveTracer`; ``test_mode=True`` keeps everything else off the network too.
    """

    __test__ = False  # pytest takes classes named Test* for test cases

    def __init__(self, api_client: Any = None, span_processor: Any = None, **kwargs: Any) -> None:
        self._api_client = api_client
        self._given_processor = span_processor
        super().__init__(**kwargs)

    def _create_api_client(self) -> Any:
        """Use the test's client where there is one."""
        return super()._create_api_client() if self._api_client is None else self._api_client

    def _create_span_processor(self) -> Any:
        """Use the test's processor where there is one."""
        return super()._create_span_processor() if self._given_processor is None else self._given_processor


class TracerFactory:
    """Tracers with the settings that tests usually want; every one can be overridden."""

    @staticmethod
    def create_basic_tracer(**overrides: Any) -> HoneyHiveTracer:
        """Make a tracer for unit tests: test mode, no network, no disk."""
        settings = {"api_key": "test-key", "project": "test-project", "test_mode": True, **overrides}
        return HoneyHiveTracer(**settings)

    @staticmethod
    def create_integration_tracer(**overrides: Any) -> HoneyHiveTracer:
        """Make a tracer that really sends, with the key in ``HH_API_KEY``."""
        settings = {
            "api_key": os.environ.get("HH_API_KEY"),
            "project": "integration-test",
            "test_mode": False,
            **overrides,
        }
        return HoneyHiveTracer(**settings)


class SpanCapture(MemoryExporter):
    """What code under test records, and the tracer that it records with.

    Attributes:
        tracer: The default tracer while the capture lasts.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.tracer = TestableTracer(
            span_processor=self.processor(), **{"project": "test-project", "test_mode": True, **settings}
        )

    @classmethod
    @contextmanager
    def running(cls, **settings: Any) -> Iterator[SpanCapture]:
        """Capture what bare ``@trace`` and friends record within the block, then restore the former default tracer."""
        before = get_default_tracer()
        capture = cls(**settings)
        set_default_tracer(capture.tracer)
        # A session that earlier code has left open would take the spans to its own tracer.
        token = attach(Context())
        try:
            yield capture
        finally:
            detach(token)
            capture.tracer.shutdown()
            set_default_tracer(before)
