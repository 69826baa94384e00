"""Sampling keeps traces whole and shares exact."""

from __future__ import annotations

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from honeyhive.exceptions import ConfigurationError
from honeyhive.tracer.processing.sampling import EventTypeSampler, rate_sampler

LOW, HIGH = 1, (1 << 64) - 1


def kept(sampler: Sampler, trace_id: int, event_type: str | None = None, parent: SpanContext | None = None) -> bool:
    attributes = {} if event_type is None else {"honeyhive_event_type": event_type}
    context = None if parent is None else otel_trace.set_span_in_context(NonRecordingSpan(parent))
    result = sampler.should_sample(context, trace_id, "work", attributes=attributes)
    return result.decision is Decision.RECORD_AND_SAMPLE


def parent(*, sampled: bool) -> SpanContext:
    return SpanContext(LOW, 7, is_remote=False, trace_flags=TraceFlags(int(sampled)))


def test_each_event_type_has_its_own_rate() -> None:
    sampler = EventTypeSampler({"tool": 0.5, "chain": 0})

    assert [True, False, False, True] == [
        kept(sampler, LOW, "tool"),
        kept(sampler, HIGH, "tool"),
        kept(sampler, LOW, "chain"),
        kept(sampler, HIGH, "model"),
    ]


def test_other_types_have_the_default_rate() -> None:
    assert not kept(EventTypeSampler({"tool": 1}, default_rate=0), LOW, "model")


def test_a_rate_of_one_keeps_every_trace_and_of_zero_none() -> None:
    sampler = EventTypeSampler({"tool": 1.0, "model": 0.0})

    assert (True, False) == (kept(sampler, HIGH, "tool"), kept(sampler, 0, "model"))


def test_the_type_is_detected_from_what_instrumentors_write() -> None:
    sampler = EventTypeSampler({"model": 0})

    result = sampler.should_sample(None, LOW, "chat", attributes={"gen_ai.operation.name": "chat"})

    assert result.decision is Decision.DROP


def test_nothing_is_recorded_below_a_span_that_was_left_out() -> None:
    sampler = EventTypeSampler({})

    assert (False, True) == (
        kept(sampler, LOW, parent=parent(sampled=False)),
        kept(sampler, LOW, parent=parent(sampled=True)),
    )


def test_a_rate_counts_for_whole_traces() -> None:
    sampler = rate_sampler(0)

    assert (False, True) == (kept(sampler, LOW), kept(sampler, LOW, parent=parent(sampled=True)))


@pytest.mark.parametrize("rate", [-0.1, 1.1, "half", None, True, float("nan")])
def test_a_bad_rate_is_refused_by_name(rate: float) -> None:
    with pytest.raises(ConfigurationError, match=r"sample_rates\['tool'\]"):
        EventTypeSampler({"tool": rate})
