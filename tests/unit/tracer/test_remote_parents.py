"""Spans below those of other processes: read and begun in few steps, and no different from the SDK's."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from honeyhive.tracer.provider import TracerProvider
from honeyhive.tracer.traceparent import TraceParentPropagator

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

CARRIERS: list[dict[str, Any]] = [
    {},
    {"traceparent": ""},
    {"traceparent": f"00-{TRACE}-{SPAN}-01"},
    {"traceparent": f"00-{TRACE}-{SPAN}-00"},
    {"traceparent": f"00-{TRACE}-{SPAN}-03"},
    {"traceparent": f"00-{TRACE}-{SPAN}-ff"},
    {"traceparent": f" 00-{TRACE}-{SPAN}-01 "},
    {"traceparent": f"00-{TRACE}-{SPAN}-01-more"},
    {"traceparent": f"01-{TRACE}-{SPAN}-01-more"},
    {"traceparent": f"ff-{TRACE}-{SPAN}-01"},
    {"traceparent": f"00-{TRACE.upper()}-{SPAN}-01"},
    {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
    {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
    {"traceparent": f"00-{TRACE}-{SPAN}-1"},
    {"traceparent": f"00-+{TRACE[1:]}-{SPAN}-01"},
    {"traceparent": "x" * 5_000},
    {"traceparent": [f"00-{TRACE}-{SPAN}-01"]},
    {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"},
    {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": ""},
    {"tracestate": "vendor=1"},
]


@pytest.mark.parametrize("carrier", CARRIERS, ids=str)
def test_headers_mean_what_opentelemetry_says(carrier: dict[str, Any]) -> None:
    here = otel_trace.set_span_in_context(
        NonRecordingSpan(SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))), Context()
    )

    for context in (None, Context(), here):
        theirs = otel_trace.get_current_span(TraceContextTextMapPropagator().extract(carrier, context))
        ours = otel_trace.get_current_span(TraceParentPropagator().extract(carrier, context))

        assert theirs.get_span_context() == ours.get_span_context()
        assert theirs.get_span_context().is_remote == ours.get_span_context().is_remote


@pytest.mark.parametrize("state", [TraceState(), TraceState([("vendor", "1")])])
@pytest.mark.parametrize("flags", [0, 1, 3])
def test_what_travels_is_what_opentelemetry_sends(flags: int, state: TraceState) -> None:
    remote = NonRecordingSpan(SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(flags), trace_state=state))
    below = otel_trace.set_span_in_context(remote, Context())
    span = TracerProvider(ParentBased(ALWAYS_ON)).get_tracer("test").start_span("work", below)

    for context in (Context(), below, otel_trace.set_span_in_context(span, Context())):
        theirs: dict[str, str] = {}
        ours: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(theirs, context)
        TraceParentPropagator().inject(ours, context)

        assert theirs == ours


SAMPLERS = [
    ALWAYS_ON,
    ALWAYS_OFF,
    ParentBased(ALWAYS_ON),
    ParentBased(ALWAYS_OFF),
    ParentBased(TraceIdRatioBased(0.0)),
    ParentBased(ALWAYS_ON, remote_parent_sampled=ALWAYS_OFF),
    ParentBased(ALWAYS_OFF, remote_parent_not_sampled=ALWAYS_ON),
]


def assert_a_span_below_it_is_the_sdks(sampler: Sampler, below: otel_trace.Span) -> None:
    parent = below.get_span_context()
    with otel_trace.use_span(below):
        theirs: Any = SdkProvider(sampler).get_tracer("test").start_span("work", attributes={"a": 1})
        ours: Any = TracerProvider(sampler).get_tracer("test").start_span("work", attributes={"a": 1})

    expected, context = theirs.get_span_context(), ours.get_span_context()
    assert expected.trace_id == context.trace_id
    assert expected.trace_flags == context.trace_flags
    assert expected.trace_state == context.trace_state
    assert context.span_id not in {0, parent.span_id}
    assert theirs.is_recording() == ours.is_recording()
    if theirs.is_recording():
        assert parent == ours.parent
        assert parent.is_remote == ours.parent.is_remote
        assert {"a": 1} == dict(ours.attributes)
    assert sent_with(ours, TraceContextTextMapPropagator()) == sent_with(ours, TraceParentPropagator())


def sent_with(span: otel_trace.Span, propagator: Any) -> dict[str, str]:
    carrier: dict[str, str] = {}
    propagator.inject(carrier, otel_trace.set_span_in_context(span, Context()))
    return carrier


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.get_description())
@pytest.mark.parametrize("is_remote", [True, False])
@pytest.mark.parametrize("flags", [0, 1, 2, 3])
@pytest.mark.parametrize("state", [TraceState(), TraceState([("vendor", "1")])])
def test_a_span_below_it_is_the_sdks(sampler: Sampler, is_remote: bool, flags: int, state: TraceState) -> None:
    parent = SpanContext(7, 8, is_remote=is_remote, trace_flags=TraceFlags(flags), trace_state=state)

    assert_a_span_below_it_is_the_sdks(sampler, NonRecordingSpan(parent))


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.get_description())
@pytest.mark.parametrize("flags", ["00", "01", "02", "03", "ff"])
@pytest.mark.parametrize("state", [{}, {"tracestate": "vendor=1"}], ids=["no state", "state"])
def test_a_span_below_one_that_came_in_headers_is_the_sdks(sampler: Sampler, flags: str, state: dict[str, str]) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-{flags}", **state}

    below = otel_trace.get_current_span(TraceParentPropagator().extract(headers, Context()))

    assert_a_span_below_it_is_the_sdks(sampler, below)


def test_below_an_invalid_span_a_trace_begins() -> None:
    with otel_trace.use_span(otel_trace.INVALID_SPAN):
        span: Any = TracerProvider(ALWAYS_ON).get_tracer("test").start_span("work")

    assert span.parent is None
    assert span.get_span_context().is_valid
