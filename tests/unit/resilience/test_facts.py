"""Facts on spans: helpers work the same whatever the span is like."""

from __future__ import annotations

import logging

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from honeyhive.resilience import cache, retry


class OddSpan(NonRecordingSpan):
    """A span of a tracer with faults of its own."""

    def is_recording(self) -> bool:
        return True

    @property
    def attributes(self):
        raise RuntimeError("not yours to read")


class SilentSpan(NonRecordingSpan):
    """A span that does not show its attributes."""

    def __init__(self) -> None:
        super().__init__(SpanContext(1, 1, is_remote=False))
        self.told: dict[str, object] = {}

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key, value) -> None:
        self.told[key] = value


def test_a_span_with_faults_does_not_disturb_the_program(caplog, clock):
    caplog.set_level(logging.WARNING, "honeyhive")
    kept = cache(lambda number: number * 2)
    failures = [ValueError()]

    @retry(clock=clock)
    def work() -> str:
        if failures:
            raise failures.pop()
        return "done"

    with use_span(OddSpan(SpanContext(1, 1, is_remote=False))):
        assert [kept(1), kept(1)] == [2, 2]
        assert work() == "done"

    assert any("honeyhive failed in 'tell a sum on the current span'" in text for text in caplog.messages)


def test_a_span_that_shows_nothing_has_the_last_amount():
    span = SilentSpan()
    kept = cache(lambda number: number * 2)

    with use_span(span):
        kept(1)
        kept(1)

    assert span.told == {"honeyhive.resilience.cache.misses": 1, "honeyhive.resilience.cache.hits": 1}


@pytest.mark.parametrize("theirs", ["many", [1, 2], True])
def test_what_others_have_put_under_our_name_is_replaced(theirs, recording, facts_of):
    kept = cache(lambda number: number * 2)

    with recording() as span:
        span.set_attribute("honeyhive.resilience.cache.misses", theirs)
        kept(1)

    assert facts_of(span)["cache.misses"] in {1, 2}
