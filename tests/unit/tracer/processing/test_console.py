"""Traces printed as trees."""

from __future__ import annotations

import io

import pytest
from opentelemetry.sdk.trace.id_generator import IdGenerator

from honeyhive import HoneyHiveTracer, enrich_span, trace
from honeyhive.testing import CountingIds, ManualClock
from honeyhive.tracer import Components
from honeyhive.tracer.processing.console import ConsoleSpanProcessor
from honeyhive.utils.redact import Redactor


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tracer(printed: io.StringIO, clock: ManualClock) -> HoneyHiveTracer:
    ids: IdGenerator = CountingIds()
    tracer = HoneyHiveTracer.init(project="x", test_mode=True, components=Components(clock=clock, ids=ids))
    tracer.provider.add_span_processor(ConsoleSpanProcessor(printed, Redactor().text))
    return tracer


def test_a_trace_is_printed_as_a_tree_when_its_last_span_has_ended(
    tracer: HoneyHiveTracer, printed: io.StringIO, clock: ManualClock
) -> None:
    @trace(event_type="model", event_name="ask", tracer=tracer)
    def ask() -> None:
        enrich_span({"gen_ai.request.model": "m"}, metadata={"prompt_tokens": 12, "completion_tokens": 3})
        clock.advance(0.5)

    with tracer.trace("agent", event_type="chain"):
        ask()
        with pytest.raises(ValueError, match="sk-"), tracer.trace("look\x1b[2Jup"):
            raise ValueError("key sk-proj-abcdefghijklmnopqrstuvwxyz0123456789")
        assert "" == printed.getvalue()

    lines = printed.getvalue().splitlines()
    assert "chain agent  500 ms" == lines[0]
    assert lines[1].startswith("├─ model ask  500 ms")
    assert lines[2].startswith("└─ tool look")
    assert "\x1b" not in lines[2]
    assert "abcdefghijklmnop" not in lines[2]


def test_spans_beyond_a_thousand_are_counted(tracer: HoneyHiveTracer, printed: io.StringIO) -> None:
    with tracer.start_span("root"):
        for _ in range(1_005):
            tracer.start_span("leaf").end()

    assert "... and 6 more spans" == printed.getvalue().splitlines()[-1]
