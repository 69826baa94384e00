"""Our own spans are encoded from their slots, and mean what a reader of the span would see."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from honeyhive import trace
from honeyhive.testing import MemoryExporter, TestableTracer
from honeyhive.tracer.export.encode import EncodeLimits, SpanEncoder
from honeyhive.tracer.identity import CallSite
from honeyhive.tracer.processing.event_types import EventTypes
from honeyhive.tracer.provider import TracerProvider
from honeyhive.tracer.span import Span
from honeyhive.utils.redact import Redactor

scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
)
attributes = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), scalars)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), attributes),
        st.tuples(st.just("event"), attributes),
        st.tuples(st.just("link"), attributes),
        st.tuples(st.just("read"), st.just({})),
        st.tuples(st.just("fail"), st.just({})),
        st.tuples(st.just("name"), st.just({})),
    ),
    max_size=5,
)


def take(step: str, details: dict[str, object], span: Span) -> None:
    if step == "set":
        span.set_attributes(details)  # type: ignore[arg-type]
    elif step == "event":
        span.add_event("event", details, 5)  # type: ignore[arg-type]
    elif step == "link":
        span.add_link(SpanContext(1, 2, is_remote=True), details)  # type: ignore[arg-type]
    elif step == "read":
        assert span.attributes is not None
    elif step == "fail":
        span.fail(ValueError("theirs"))
    else:
        span.update_name("other")


def same(span: ReadableSpan) -> None:
    """Encode from the slots first: reading the mapping would take the span off the quick way."""
    encoded = ExportTraceServiceRequest.FromString(SpanEncoder().request([span]))
    expected = official_spans([span])

    assert in_any_order(expected) == in_any_order(encoded)


def in_any_order(request: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    for owner in request.resource_spans:
        for scope in owner.scope_spans:
            for span in scope.spans:
                pairs = sorted(span.attributes, key=lambda pair: pair.key)
                del span.attributes[:]
                span.attributes.extend(pairs)
    return request


@given(steps, st.sampled_from(SpanKind))
@settings(deadline=None)
def test_whatever_was_done_to_a_span_is_what_is_encoded(
    done: list[tuple[str, dict[str, object]]], kind: SpanKind
) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("lib", "1", "https://example.com/schema")
    span = tracer.start_span("work", kind=kind)

    for step, details in done:
        take(step, details, span)
    span.end()

    assert type(span) is Span
    same(span)


@pytest.fixture
def traced() -> tuple[TestableTracer, MemoryExporter]:
    exporter = MemoryExporter()
    return TestableTracer(span_processor=exporter.processor(), project="shop", test_mode=True), exporter


def call(tracer: TestableTracer, exporter: MemoryExporter, function: Callable[..., object], *args: object) -> Span:
    trace(tracer=tracer)(function)(*args)
    span = exporter.spans[0].span
    assert type(span) is Span
    return span


@pytest.mark.parametrize("value", ["text", 7, 2.5, True, None, {"a": [1, {"b": "c"}]}, ["x"], b"bytes", "\ud800x"])
def test_captured_values_are_rendered_as_a_reader_sees_them(
    traced: tuple[TestableTracer, MemoryExporter], value: object
) -> None:
    tracer, exporter = traced

    span = call(tracer, exporter, lambda given: given, value)

    assert span._details.attributes is None
    if value != "\ud800x":
        same(span)
    assert SpanEncoder().span(span)


def test_what_user_code_sets_over_captured_values_wins(traced: tuple[TestableTracer, MemoryExporter]) -> None:
    tracer, exporter = traced

    def work(question: str) -> str:
        otel_trace.get_current_span().set_attribute("honeyhive_inputs.question", "replaced")
        otel_trace.get_current_span().set_attribute("honeyhive_event_type", "chain")
        return question

    same(call(tracer, exporter, work, "first"))


def test_baggage_and_sessions_are_encoded(traced: tuple[TestableTracer, MemoryExporter]) -> None:
    tracer, exporter = traced

    with tracer.with_session("named"):
        span = call(tracer, exporter, str.upper, "x")

    same(span)


@pytest.mark.parametrize(
    "second", [{"tenant": "b"}, {"tenant": "a", "user": "u"}, {"tenant": 1}, {"tenant": True}, {"tenant": ["a"]}, {}]
)
def test_spans_with_much_alike_keep_the_baggage_that_is_their_own(
    traced: tuple[TestableTracer, MemoryExporter], second: dict[str, object]
) -> None:
    tracer, exporter = traced
    work = trace(tracer=tracer)(str.upper)

    for entries in ({"tenant": "a"}, second, {"tenant": 1.0}, second):
        context = Context()
        for name, value in entries.items():
            context = baggage.set_baggage(name, value, context)
        token = otel_context.attach(context)
        work("x")
        otel_context.detach(token)

    spans = [exported.span for exported in exporter.spans]
    encoded = messages_of(SpanEncoder().request(spans))
    assert [texts_of(span) for span in official_spans(spans).resource_spans[0].scope_spans[0].spans] == [
        texts_of(message) for message in encoded
    ]


def test_the_event_type_is_that_of_each_span_however_much_spans_have_alike() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("lib")
    site = CallSite("work", {"messaging.operation.type": "send"})
    spans: list[ReadableSpan] = []

    for attributes, name in (
        ({}, "work"),
        ({"honeyhive.event_type": "model"}, "work"),
        ({"honeyhive_event_type": "tool"}, "work"),
        ({"messaging.operation.type": "unheard of"}, "work"),
        ({"k": "v"}, "openai.chat"),
        ({}, "work"),
    ):
        span = tracer.start_at(site)
        span.set_attributes(attributes)
        span.update_name(name)
        span.end()
        spans.append(span)  # type: ignore[arg-type]

    encoded = messages_of(SpanEncoder(event_types=EventTypes(discover_more=False)).request(spans))
    assert ["chain", "model", "tool", "tool", "chain", "chain"] == [
        texts_of(message)["honeyhive_event_type"] for message in encoded
    ]


def messages_of(request: bytes) -> list[SpanMessage]:
    return list(ExportTraceServiceRequest.FromString(request).resource_spans[0].scope_spans[0].spans)


def texts_of(span: SpanMessage) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in span.attributes}


def test_attribute_limits_hold() -> None:
    limits = SpanLimits(max_span_attributes=3, max_span_attribute_length=5)
    tracer = TracerProvider(span_limits=limits, shutdown_on_exit=False).get_tracer("lib")

    span = tracer.start_span("work", attributes={f"key{number}": "long text" for number in range(6)})
    span.end()

    same(span)


def test_remote_parents_trace_states_and_status_are_encoded() -> None:
    state = TraceState([("vendor", "value")])
    remote = SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    context = otel_trace.set_span_in_context(otel_trace.NonRecordingSpan(remote))
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("lib")

    span = tracer.start_span("work", context, links=[Link(remote, {"a": 1})])
    span.set_status(Status(StatusCode.ERROR, "broken"))
    span.end()

    same(span)


def test_a_resource_that_a_processor_assigned_is_the_one_that_is_encoded() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("lib")
    span = tracer.start_span("work")
    span._resource = span.resource.merge(type(span.resource)({"tenant": "t1"}))

    span.end()

    same(span)


SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"


@pytest.mark.parametrize(
    "value",
    [SECRET, {"api_key": "hunter2hunter2"}, [f"use {SECRET}"], {"note": f"password={SECRET}"}, f"{'x' * 99} {SECRET}"],
    ids=str,
)
def test_captured_secrets_are_redacted_in_whichever_way(
    traced: tuple[TestableTracer, MemoryExporter], value: object
) -> None:
    tracer, exporter = traced
    span = call(tracer, exporter, lambda question, given: given, {"content": "fine " * 20}, value)
    together, apart = SpanEncoder(Redactor()), SpanEncoder(Redactor())

    request = ExportTraceServiceRequest.FromString(together.request([span]))

    assert request.resource_spans[0].scope_spans[0].spans[0] == SpanMessage.FromString(apart.span(span))
    assert b"fine fine" in together.request([span])
    assert SECRET.encode() not in together.request([span])
    assert b"hunter2" not in together.request([span])


def test_a_captured_value_beyond_the_limit_is_cut(traced: tuple[TestableTracer, MemoryExporter]) -> None:
    tracer, exporter = traced
    encoder = SpanEncoder(Redactor(), EncodeLimits(longest_value=1000))
    span = call(tracer, exporter, lambda given: None, ["x" * 300] * 9)

    encoded = encoder.request([span])

    assert b"<capture budget exceeded" in encoded
    assert len(encoded) < 2500
    assert encoder.counts.truncated == 1
