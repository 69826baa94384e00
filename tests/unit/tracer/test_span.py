"""Our span behaves as the SDK's own in every way that can be seen."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from honeyhive.tracer import HoneyHiveTracer
from honeyhive.tracer.provider import TracerProvider
from honeyhive.tracer.span import Span

KEYS = st.one_of(st.sampled_from(["a", "b", "c", ""]), st.text(max_size=3))
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.text(max_size=20),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.booleans(),
    st.none(),
    st.lists(st.integers(), max_size=3),
    st.lists(st.text(max_size=3), max_size=3),
    st.binary(max_size=4),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
STATUSES = st.sampled_from([StatusCode.OK, StatusCode.ERROR, StatusCode.UNSET, Status(StatusCode.ERROR, "why")])
CONTEXT = SpanContext(1, 2, True, TraceFlags(1))
ACTS: st.SearchStrategy[tuple[Any, ...]] = st.one_of(
    st.tuples(st.just("set_attribute"), KEYS, VALUES),
    st.tuples(st.just("set_attributes"), st.dictionaries(KEYS, VALUES, max_size=4)),
    st.tuples(st.just("add_event"), st.text(max_size=5), st.dictionaries(KEYS, VALUES, max_size=2), st.just(5)),
    st.tuples(st.just("add_link"), st.just(CONTEXT), st.dictionaries(KEYS, VALUES, max_size=2)),
    st.tuples(st.just("set_status"), STATUSES),
    st.tuples(st.just("update_name"), st.text(max_size=5)),
    st.tuples(st.just("end"), st.just(9)),
    st.tuples(st.just("read"), st.just(None)),
)
LIMITS = st.builds(
    SpanLimits,
    max_span_attributes=st.sampled_from([0, 1, 3, 128]),
    max_events=st.sampled_from([0, 1, 128]),
    max_links=st.sampled_from([1, 128]),
    max_span_attribute_length=st.sampled_from([None, 3]),
)


def lived(provider: SdkProvider, acts: list[tuple[Any, ...]]) -> dict[str, Any]:
    span = provider.get_tracer("laws").start_span("begin", attributes={"first": 1}, start_time=1)
    assert isinstance(span, ReadableSpan)
    for name, *arguments in acts:
        if name == "read":
            dict(span.attributes or {})
        else:
            getattr(span, name)(*arguments)
    span.end(9)
    return {
        "name": span.name,
        "status": (span.status.status_code, span.status.description),
        "times": (span.start_time, span.end_time),
        "kind": span.kind,
        "attributes": dict(span.attributes or {}),
        "events": [(event.name, event.timestamp, dict(event.attributes or {})) for event in span.events],
        "links": [(link.context, dict(link.attributes or {})) for link in span.links],
        "dropped": (span.dropped_attributes, span.dropped_events, span.dropped_links),
    }


@given(acts=st.lists(ACTS, max_size=12), limits=LIMITS)
def test_whatever_is_done_to_it_reads_as_the_sdks_span_reads(acts: list[tuple[Any, ...]], limits: SpanLimits) -> None:
    expected = lived(SdkProvider(span_limits=limits, shutdown_on_exit=False), acts)
    found = lived(TracerProvider(span_limits=limits, shutdown_on_exit=False), acts)

    assert expected == found


@pytest.mark.parametrize("most", [0, 1, 3, 128])
@pytest.mark.parametrize("before", ["begun", "read", "ended"])
def test_plain_attributes_are_set_as_others_are(most: int, before: str) -> None:
    tracer = TracerProvider(span_limits=SpanLimits(max_span_attributes=most), shutdown_on_exit=False).get_tracer("laws")
    plain, usual = (tracer.start_span("begin", attributes={"first": 1, "second": "b"}) for _ in range(2))
    assert isinstance(plain, Span)
    assert isinstance(usual, Span)
    for span in (plain, usual):
        if before == "read":
            dict(span.attributes)
        elif before == "ended":
            span.end()

    plain.set_plain_attributes({"own": "c", "other": 0.5})
    usual.set_attributes({"own": "c", "other": 0.5})

    assert list(usual.attributes.items()) == list(plain.attributes.items())


def test_it_is_an_instance_of_every_kind_of_span(tracer: HoneyHiveTracer) -> None:
    span = tracer.start_span("x")

    assert isinstance(span, Span)
    assert all(isinstance(span, kind) for kind in (otel_trace.Span, SdkSpan, ReadableSpan))
    span.end()


@pytest.mark.acceptance("S10")
def test_start_span_in_a_with_statement_is_current_and_ends(tracer: HoneyHiveTracer) -> None:
    with tracer.start_span("op") as span:
        assert otel_trace.get_current_span() is span
        span.set_attribute("result", 1)

    assert not span.is_recording()
    assert otel_trace.get_current_span() is otel_trace.INVALID_SPAN


@pytest.mark.acceptance("S10")
def test_an_exception_ends_the_block_and_the_span(tracer: HoneyHiveTracer) -> None:
    error = RuntimeError("inside")

    with pytest.raises(RuntimeError) as caught, tracer.start_span("op") as span:
        raise error

    assert error is caught.value
    assert isinstance(span, Span)
    assert ("ERROR", "RuntimeError: inside") == (span.status.status_code.name, span.status.description)


def test_start_span_can_be_ended_without_entering_it(tracer: HoneyHiveTracer) -> None:
    span = tracer.start_span("op", attributes={"nested": {"a": [1]}})
    assert otel_trace.get_current_span() is not span

    span.end()

    assert isinstance(span, Span)
    assert 1 == (span.attributes or {})["nested.a.0"]


@pytest.mark.acceptance("S12")
def test_blocks_and_decorators_nest_in_any_order(
    tracer: HoneyHiveTracer, exported: Callable[[], list[ReadableSpan]]
) -> None:
    @tracer.trace(event_type="tool")
    def inner() -> None:
        with tracer.start_span("leaf"):
            pass

    with tracer.trace("outer", event_type="chain"), tracer.start_span("manual"):
        inner()

    depth = {span.context.span_id: span for span in exported() if span.context}
    leaf = next(span for span in exported() if span.name == "leaf")
    path = []
    step: ReadableSpan | None = leaf
    while step is not None:
        path.append(step.name.rpartition(".")[2])
        step = depth.get(step.parent.span_id) if step.parent else None
    assert ["leaf", "inner", "manual", "outer"] == path


def test_private_names_that_other_libraries_assign_are_kept(tracer: HoneyHiveTracer) -> None:
    span: Any = tracer.start_span("op")
    merged = span._resource.merge(tracer.provider.resource)

    span._resource = merged
    span._name = "renamed"
    span._attributes = {"own": 1}
    span.end()

    assert (merged, "renamed", {"own": 1}) == (span.resource, span.name, dict(span.attributes))


def test_a_processor_sees_the_span_at_both_ends_and_may_add_to_it_at_the_start(tracer: HoneyHiveTracer) -> None:
    class Adds(SpanProcessor):
        def __init__(self) -> None:
            self.ended: list[ReadableSpan] = []

        def on_start(self, span: SdkSpan, parent_context: object = None) -> None:
            span.set_attribute("added", True)

        def on_end(self, span: ReadableSpan) -> None:
            self.ended.append(span)

    adds = Adds()
    tracer.provider.add_span_processor(adds)

    with tracer.start_span("op"):
        pass

    assert [True] == [(span.attributes or {})["added"] for span in adds.ended]


def test_a_copy_is_a_plain_readable_span(tracer: HoneyHiveTracer) -> None:
    span: Any = tracer.start_span("op")
    span.end()

    assert ReadableSpan is type(copy.copy(span))
    assert ReadableSpan is type(copy.deepcopy(span))


def test_durations_do_not_follow_the_wall_clock() -> None:
    wall, monotonic = iter([1_000, 1]), iter([10, 25])
    provider = TracerProvider(wall_ns=lambda: next(wall), monotonic_ns=lambda: next(monotonic), shutdown_on_exit=False)

    span = provider.get_tracer("clock").start_span("op")
    span.end()

    assert (1_000, 1_015) == (span.start_time, span.end_time)


def test_an_error_that_cannot_be_printed_is_recorded_all_the_same(tracer: HoneyHiveTracer) -> None:
    class Mute(Exception):  # noqa: N818 -- a user's class
        def __str__(self) -> str:
            raise ValueError("no text")

    with pytest.raises(Mute), tracer.start_span("op") as span:
        raise Mute

    assert isinstance(span, Span)
    assert "Mute: <unprintable Mute>" == span.status.description
