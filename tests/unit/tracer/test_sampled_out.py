"""Spans that are sampled out have the same ids, flags and children as the SDK's, though no object is built for them."""

from __future__ import annotations

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from honeyhive.tracer.provider import TracerProvider


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_the_decision_on_a_new_trace_is_the_samplers(rate: float):
    sampler = TraceIdRatioBased(rate)
    tracer = TracerProvider(ParentBased(sampler)).get_tracer("test")

    contexts = [tracer.start_span("root").get_span_context() for _ in range(200)]

    for context in contexts:
        asked = sampler.should_sample(None, context.trace_id, "root")
        assert asked.decision.is_sampled() == context.trace_flags.sampled
        assert context.is_valid


def test_below_a_trace_that_is_left_out_nothing_is_recorded():
    tracer = TracerProvider(ParentBased(ALWAYS_OFF)).get_tracer("test")

    with tracer.start_as_current_span("root") as root, tracer.start_as_current_span("child") as child:
        current = otel_trace.get_current_span()

    parent, context = root.get_span_context(), child.get_span_context()
    assert current is child
    assert not child.is_recording()
    assert parent.trace_id == context.trace_id
    assert parent.span_id != context.span_id
    assert parent.trace_flags == context.trace_flags
    assert context is child.get_span_context()


@pytest.mark.parametrize(
    "sampler, recorded",
    [
        (ParentBased(ALWAYS_OFF, local_parent_not_sampled=ALWAYS_ON), True),
        (ParentBased(ALWAYS_OFF, local_parent_sampled=ALWAYS_OFF), False),
        (ALWAYS_OFF, False),
        (TraceIdRatioBased(0.0), False),
    ],
)
def test_what_a_sampler_says_of_children_holds(sampler: Sampler, recorded: bool):
    tracer = TracerProvider(sampler).get_tracer("test")

    with tracer.start_as_current_span("root") as root:
        child = tracer.start_span("child")

    assert not root.is_recording()
    assert recorded == child.is_recording()
    assert root.get_span_context().trace_id == child.get_span_context().trace_id
