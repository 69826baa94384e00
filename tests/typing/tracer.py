"""What a type checker knows of the tracer. Checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import assert_type

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span

from honeyhive import BatchSpanProcessor, FlushResult, HoneyHiveTracer, Statistics, enrich_span

tracer = HoneyHiveTracer(project="typing", source="test", sample_rate=0.5)


class Subclass(HoneyHiveTracer):
    """A user's own tracer."""


def construction_is_checked() -> None:
    assert_type(tracer, HoneyHiveTracer)
    assert_type(Subclass.init(project="typing"), Subclass)
    HoneyHiveTracer(projct="typo")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    HoneyHiveTracer(sample_rate="half")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def spans_are_opentelemetry_spans() -> None:
    with tracer.start_span("work", attributes={"key": "value"}) as span:
        as_span: Span = span
        as_span.set_attribute("key", 1)
    if isinstance(span, ReadableSpan):
        assert_type(span.name, str)


def enrichment_answers_yes_or_no() -> None:
    assert_type(tracer.enrich_span(metadata={"key": "value"}), bool)
    assert_type(bool(enrich_span({"key": "value"})), bool)
    with enrich_span(event_type="tool") as span:
        assert_type(span, Span)


def sessions_are_ids() -> None:
    assert_type(tracer.create_session("chat"), str | None)
    with tracer.with_session("chat") as session_id:
        assert_type(session_id, str)


def the_end_is_told() -> None:
    result = tracer.flush(timeout_millis=1_000)
    assert_type(result, FlushResult)
    assert_type(tracer.statistics(), Statistics)
    assert_type(tracer.shutdown(), FlushResult)
    BatchSpanProcessor(max_batch_size=512, schedule_delay_millis=5_000)
