"""Every span becomes the message that the official encoder builds, or a better one; none is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._internal import _encode_value as official_value
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from honeyhive.tracer.export.encode import EncodeLimits, SpanEncoder, encode_span, encode_spans
from honeyhive.utils.redact import REDACTED, Redactor

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def official_encoder_knows(value: object) -> bool:
    """Whether the installed release of the official encoder can spell *value*; older ones know less."""
    try:
        official_value(value)
    except Exception:  # noqa: BLE001 -- it raises a bare Exception for what it does not know
        return False
    return True


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | text
values = st.recursive(
    scalars | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
values = values.filter(official_encoder_knows)
attributes = st.dictionaries(text, values, max_size=6)
times = st.none() | st.integers(0, 2**64 - 1)
states = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), max_size=3
).map(lambda pairs: TraceState(list(pairs.items())))
contexts = st.builds(
    SpanContext,
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    is_remote=st.booleans(),
    trace_flags=st.integers(0, 3).map(TraceFlags),
    trace_state=states,
)
events = st.builds(Event, name=text, attributes=attributes, timestamp=st.integers(0, 2**64 - 1))
links = st.builds(Link, context=contexts, attributes=attributes)
statuses = st.builds(Status, st.sampled_from([StatusCode.UNSET, StatusCode.OK])) | st.builds(
    Status, st.just(StatusCode.ERROR), st.none() | text
)
resources = st.sampled_from(
    [
        Resource({}),
        Resource({"service.name": "shop"}),
        Resource({"service.name": "shop", "n": 3}, "https://example.com/schema"),
    ]
)
scopes = st.sampled_from(
    [
        None,
        InstrumentationScope("lib"),
        InstrumentationScope("lib", "1.2", "https://example.com/scope", {"a": True}),
    ]
)
spans = st.builds(
    ReadableSpan,
    name=text,
    context=contexts,
    parent=st.none() | contexts,
    resource=resources,
    attributes=attributes,
    events=st.lists(events, max_size=3),
    links=st.lists(links, max_size=3),
    kind=st.sampled_from(SpanKind),
    status=statuses,
    start_time=times,
    end_time=times,
    instrumentation_scope=scopes,
)


def span_with(attributes: Mapping[str, object], **fields: object) -> ReadableSpan:
    context = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))
    return ReadableSpan(**{"name": "work", "context": context, "attributes": attributes, **fields})  # type: ignore[arg-type]


def parsed(encoded: bytes) -> SpanMessage:
    return SpanMessage.FromString(encoded)


def shown(span: SpanMessage) -> dict[str, object]:
    return {pair.key: plain(pair.value) for pair in span.attributes}


def plain(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


@given(st.lists(spans, max_size=4))
@settings(deadline=None, max_examples=50)
def test_a_request_is_the_message_of_the_official_encoder(given_spans: list[ReadableSpan]) -> None:
    expected = official_spans(given_spans)

    encoded = SpanEncoder().request(given_spans)

    assert expected == ExportTraceServiceRequest.FromString(encoded)


@given(spans)
@settings(deadline=None, max_examples=50)
def test_our_own_encoder_needs_no_fallback(span: ReadableSpan) -> None:
    encoder = SpanEncoder()

    encoder.span(span)

    assert (0, 0) == (encoder.counts.official, encoder.counts.marked)


@given(st.lists(spans, max_size=3), st.lists(spans, max_size=3))
@settings(deadline=None, max_examples=50)
def test_requests_one_after_the_other_are_a_request(first: list[ReadableSpan], second: list[ReadableSpan]) -> None:
    encoder = SpanEncoder()

    joined = encoder.request(first) + encoder.request(second)

    whole = ExportTraceServiceRequest.FromString(joined)
    count = sum(len(scope.spans) for resource in whole.resource_spans for scope in resource.scope_spans)
    assert len(first) + len(second) == count


def test_dropped_counts_are_told() -> None:
    kept: BoundedList = BoundedList(1)
    kept.extend([Event("one"), Event("two")])

    message = parsed(encode_span(span_with({}, events=kept)))

    assert 1 == message.dropped_events_count


@pytest.mark.parametrize(
    "value, expected",
    [
        ("a\ud800b", "a\ufffdb"),
        (2**63, "9223372036854775808"),
        (-(2**63) - 1, "-9223372036854775809"),
    ],
)
def test_what_the_official_encoder_drops_is_kept_as_text(value: object, expected: str) -> None:
    encoded = encode_span(span_with({"key": value}))

    assert {"key": expected} == shown(parsed(encoded))


def test_surrogates_in_names_and_keys_are_replaced() -> None:
    message = parsed(encode_span(span_with({"k\udfff": 1}, name="n\ud800")))

    assert ("n\ufffd", {"k\ufffd": 1}) == (message.name, shown(message))


def test_an_integer_too_long_for_decimal_digits_is_written_in_hexadecimal() -> None:
    message = parsed(encode_span(span_with({"key": 1 << 20_000})))

    assert hex(1 << 20_000) == shown(message)["key"]


def test_objects_of_unknown_types_become_text() -> None:
    message = parsed(encode_span(span_with({"key": SimpleNamespace(a=1)})))

    assert {"key": '{"a":1}'} == shown(message)


def test_nesting_beyond_what_readers_accept_becomes_text() -> None:
    deep: object = "end"
    for _ in range(200):
        deep = [deep]

    encoded = encode_spans([span_with({"list": deep, "after": 1})])

    span = ExportTraceServiceRequest.FromString(encoded).resource_spans[0].scope_spans[0].spans[0]
    assert 1 == shown(span)["after"]


def test_a_value_that_contains_itself_does_not_lose_the_span() -> None:
    cyclic: list[object] = []
    cyclic.append(cyclic)

    encoded = encode_spans([span_with({"list": cyclic, "after": 1})])

    assert ExportTraceServiceRequest.FromString(encoded).resource_spans[0].scope_spans[0].spans[0].name == "work"


class Hostile(Mapping[str, object]):
    """An attribute mapping that nobody can read."""

    def __getitem__(self, key: str) -> object:
        raise RuntimeError(key)

    def __iter__(self) -> object:  # type: ignore[override]
        raise RuntimeError("no keys")

    def __len__(self) -> int:
        return 1


def test_a_span_that_no_encoder_can_read_goes_without_its_attributes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    encoder = SpanEncoder()

    request = encoder.request([span_with({"fine": 1}), span_with(Hostile(), start_time=5), span_with({"fine": 2})])

    scope = ExportTraceServiceRequest.FromString(request).resource_spans[0].scope_spans[0]
    assert [{"fine": 1}, {"honeyhive.encode_error": "the span could not be encoded"}, {"fine": 2}] == [
        shown(span) for span in scope.spans
    ]
    assert (5, "work", 1) == (scope.spans[1].start_time_unix_nano, scope.spans[1].name, encoder.counts.marked)


def test_ids_that_do_not_fit_keep_their_low_bits(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    context = SpanContext((1 << 128) + 7, 9, is_remote=False)

    message = parsed(SpanEncoder().span(span_with({}, context=context)))

    assert (9, 16) == (int.from_bytes(message.span_id), len(message.trace_id))


def test_a_long_value_is_cut_and_tells_its_length() -> None:
    encoder = SpanEncoder(limits=EncodeLimits(longest_value=1000))

    message = parsed(encoder.span(span_with({"key": "é" * 2000})))

    value = str(shown(message)["key"])
    assert value.startswith("é" * 100)
    assert "2000 characters" in value
    assert (True, 1) == (len(value.encode()) <= 1000, encoder.counts.truncated)


def test_a_long_list_is_cut_as_text() -> None:
    encoder = SpanEncoder(limits=EncodeLimits(longest_value=1000))

    message = parsed(encoder.span(span_with({"key": ["abcdefgh"] * 1000})))

    assert str(shown(message)["key"]).startswith('["abcdefgh","abcdefgh"')
    assert 1 == encoder.counts.truncated


def test_a_span_beyond_its_limit_is_sent_with_shorter_values() -> None:
    encoder = SpanEncoder(limits=EncodeLimits(longest_span=100_000))

    encoded = encoder.span(span_with({f"key{number}": "x" * 50_000 for number in range(10)}))

    assert len(encoded) <= 100_000
    assert 10 == len(parsed(encoded).attributes)
    assert 1 == encoder.counts.shrunk


def test_a_span_too_large_even_so_goes_without_its_attributes() -> None:
    encoder = SpanEncoder(limits=EncodeLimits(longest_span=2_000))

    encoded = encoder.span(span_with({f"key{number}": "x" * 500 for number in range(1_000)}))

    assert {"honeyhive.encode_error": "the span is too large"} == shown(parsed(encoded))


SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": f"call {SECRET}"},
        {"attributes": {"text": f"use {SECRET} please"}},
        {"attributes": {f"key {SECRET}": 1}},
        {"attributes": {"list": ["fine", SECRET]}},
        {"attributes": {"password": "short"}},
        {"status": Status(StatusCode.ERROR, f"denied: {SECRET}")},
        {"events": [Event("exception", {"exception.message": f"denied: {SECRET}"})]},
        {"events": [Event(f"sent {SECRET}")]},
        {"links": [Link(SpanContext(1, 2, is_remote=False), {"why": SECRET})]},
        {"resource": Resource({"process.command_line": f"run --key {SECRET}"})},
        {"instrumentation_scope": InstrumentationScope("lib", attributes={"token": SECRET})},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_secret_is_nowhere_in_the_bytes(fields: dict[str, object]) -> None:
    span = span_with(**{"attributes": {}, **fields})  # type: ignore[arg-type]

    encoded = encode_spans([span], redactor=Redactor())

    assert SECRET.encode() not in encoded
    assert b"short" not in encoded


@pytest.mark.parametrize("key, value", [("api_key", 12345678), ("pin", 12345678), ("password", "x" * 99)])
def test_a_secret_key_hides_numbers_and_harmless_texts_each_time(key: str, value: object) -> None:
    encoder = SpanEncoder(Redactor(keys=["pin"]))

    first, second = (shown(parsed(encoder.span(span_with({key: value, "n": 1, "long": "y" * 99})))) for _ in range(2))

    assert {key: REDACTED, "n": 1, "long": "y" * 99} == first == second


secretive = st.lists(
    st.sampled_from(
        [SECRET, "fine", "password=", "hunter2", "x" * 50, '{"input_tokens": 3}', ' "token": ', "é", "\ud800"]
    ),
    max_size=4,
).map(" ".join)
secretive_spans = st.builds(
    span_with,
    st.dictionaries(
        st.sampled_from(["a", "b", "c", "api_key"]),
        secretive | st.integers(0, 9) | st.lists(secretive, max_size=2).map(tuple) | st.lists(st.booleans()).map(tuple),
    ),
    name=secretive,
    status=st.builds(Status, st.just(StatusCode.ERROR), secretive),
    events=st.lists(st.builds(Event, secretive, st.dictionaries(st.just("why"), secretive), st.just(1)), max_size=1),
)


@given(st.lists(secretive_spans, max_size=5))
@settings(deadline=None)
def test_spans_looked_at_together_are_redacted_as_each_for_itself(given_spans: list[ReadableSpan]) -> None:
    together, apart = SpanEncoder(Redactor()), SpanEncoder(Redactor())

    for _ in range(2):
        request = ExportTraceServiceRequest.FromString(together.request(given_spans))
        shown_together = [
            span for owner in request.resource_spans for scope in owner.scope_spans for span in scope.spans
        ]

        assert shown_together == [parsed(apart.span(span)) for span in given_spans]


def test_what_is_cut_or_redacted_in_a_suspect_span_is_counted_once() -> None:
    encoder = SpanEncoder(Redactor(), EncodeLimits(longest_value=1000))
    suspect = span_with({"a": f"use {SECRET} please " + "x" * 40, "password": "hunter2", "long": "x" * 2000})

    encoder.request([span_with({"a": "fine " * 20}), suspect])

    assert (2, 1) == (encoder.counts.redacted, encoder.counts.truncated)


def test_a_secret_under_several_keys_is_redacted_under_each() -> None:
    encoder = SpanEncoder(Redactor())
    text = f"use {SECRET} please " + "x" * 40

    encoded = encoder.request([span_with({"a": text, "b": text, "c": "fine " * 20, "d": text})])

    assert SECRET.encode() not in encoded
    assert 3 == encoder.counts.redacted


def test_a_mask_sees_every_value_also_harmless_ones() -> None:
    seen: list[object] = []
    encoder = SpanEncoder(Redactor(mask=lambda key, value: seen.append(value) or "masked"))

    attributes = shown(parsed(encoder.span(span_with({"n": 1, "flag": True, "long": "y" * 99}))))

    assert [1, True, "y" * 99] == seen
    assert {"masked"} == set(attributes.values())


def test_a_secret_is_cut_first_and_redacted_second() -> None:
    limits = EncodeLimits(longest_value=260)

    encoded = SpanEncoder(Redactor(), limits).span(span_with({"text": "x" * 80 + " " + SECRET + "y" * 500}))

    assert SECRET[:16].encode() not in encoded


def test_the_official_encoder_sees_only_redacted_values(broken_once: Callable[[SpanEncoder], None]) -> None:
    encoder = SpanEncoder(Redactor())
    broken_once(encoder)

    encoded = encoder.span(span_with({"text": SECRET, "fine": "value"}))

    assert SECRET.encode() not in encoded
    assert "value" == shown(parsed(encoded))["fine"]
    assert 1 == encoder.counts.official


@pytest.fixture
def broken_once(caplog: pytest.LogCaptureFixture) -> Callable[[SpanEncoder], None]:
    """Make our own encoder fail for every span, as a fault of ours would."""
    caplog.set_level(logging.CRITICAL)

    def fail(_: ReadableSpan) -> bytes:
        raise AssertionError("a fault of ours")

    def break_it(encoder: SpanEncoder) -> None:
        encoder._encode = fail  # type: ignore[method-assign]

    return break_it


def test_resources_and_scopes_are_encoded_once() -> None:
    encoder = SpanEncoder()
    resource, scope = Resource({"a": 1}), InstrumentationScope("lib")
    given_spans = [span_with({}, resource=resource, instrumentation_scope=scope) for _ in range(3)]

    request = ExportTraceServiceRequest.FromString(encoder.request(given_spans))

    assert [3] == [len(scope.spans) for owner in request.resource_spans for scope in owner.scope_spans]


def test_more_keys_and_values_than_are_remembered_change_nothing() -> None:
    encoder = SpanEncoder(Redactor())
    many_keys = [{f"key{number}": f"value {number}"} for number in range(5_000)]
    many_values = [{"id": f"value {number}", "n": number << 20} for number in range(500)]

    request = ExportTraceServiceRequest.FromString(
        encoder.request([span_with(each) for each in many_keys + many_values])
    )

    assert [shown(span) for span in request.resource_spans[0].scope_spans[0].spans] == many_keys + many_values


def test_long_names_and_texts_are_searched_too() -> None:
    encoder = SpanEncoder(Redactor())
    spans = [span_with({"text": "x" * 5_000}, name="y" * 500), span_with({}, name="z" * 500 + " " + SECRET)]

    request = ExportTraceServiceRequest.FromString(encoder.request(spans))

    first, second = request.resource_spans[0].scope_spans[0].spans
    assert ({"text": "x" * 5_000}, "y" * 500) == (shown(first), first.name)
    assert SECRET not in second.name
