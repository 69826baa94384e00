"""The spans of messages: what they say, and which trace they and the messages stand in."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult

from honeyhive.events import Event, UnknownMessage
from honeyhive.events.tracing import MessageTracing, continued
from honeyhive.testing import SpanCapture

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Shipped(Event, type="order.shipped", source="/shop"):
    order: str


def shipped(**envelope: Any) -> Shipped:
    return Shipped(order="tea", id="m-1", **envelope)


def described(attributes: Mapping[str, object]) -> dict[str, object]:
    """Return what a span says of a message."""
    return {name: value for name, value in attributes.items() if name.startswith(("messaging.", "cloudevents."))}


COMMON = {
    "messaging.system": "nats",
    "messaging.destination.name": "orders",
    "messaging.consumer.group.name": "billing",
    "messaging.message.id": "m-1",
    "messaging.message.conversation_id": "m-1",
    "cloudevents.event_id": "m-1",
    "cloudevents.event_source": "/shop",
    "cloudevents.event_type": "order.shipped",
}
PUBLISHED = {**COMMON, "messaging.operation.name": "publish", "messaging.operation.type": "send"}
PROCESSED = {**COMMON, "messaging.operation.name": "process", "messaging.operation.type": "process"}


BOTH = {"publish order.shipped", "process order.shipped"}


@pytest.fixture
def tracing() -> MessageTracing:
    return MessageTracing("nats", "orders", "billing")


def test_spans_say_what_was_sent_where_and_who_handled_it(tracing: MessageTracing, capture_spans: SpanCapture) -> None:
    with tracing.publishing(shipped()):
        pass
    with tracing.processing(shipped(subject="tea"), "bill"):
        pass

    published, processed = (capture_spans.named(f"{verb} order.shipped") for verb in ("publish", "process"))
    assert PUBLISHED == described(published.attributes)
    assert {**PROCESSED, "cloudevents.event_subject": "tea"} == described(processed.attributes)
    assert "bill" == processed.attributes["honeyhive.handler"]


FOREIGN = """
import json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from honeyhive.events import Event
from honeyhive.events.tracing import MessageTracing

class Shipped(Event, type="order.shipped", source="/shop"):
    order: str

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
tracing, message = MessageTracing("nats", "orders", "billing"), Shipped(order="tea", id="m-1")
with tracing.publishing(message) as headers:
    pass
with tracing.processing(message, "bill"):
    pass
sent, handled = exporter.get_finished_spans()
print(json.dumps([headers, format(sent.context.span_id, "016x"), dict(sent.attributes), dict(handled.attributes)]))
"""


def test_the_spans_of_another_provider_say_the_same() -> None:
    done = subprocess.run([sys.executable, "-c", FOREIGN], capture_output=True, text=True, timeout=30, check=True)

    headers, sender, published, processed = json.loads(done.stdout)
    assert [PUBLISHED, {**PROCESSED, "honeyhive.handler": "bill"}] == [published, processed]
    assert sender in headers["traceparent"]


class Watching(Sampler):
    """Remembers what it is told of a span."""

    def __init__(self) -> None:
        self.seen: dict[str, object] = {}

    def should_sample(self, *arguments: Any, attributes: Any = None, **_: Any) -> SamplingResult:
        self.seen = dict(attributes or arguments[4])
        return SamplingResult(Decision.RECORD_AND_SAMPLE, self.seen)

    def get_description(self) -> str:
        return "Watching"


def test_a_sampler_sees_all_that_a_span_says(tracing: MessageTracing) -> None:
    sampler = Watching()
    with SpanCapture.running(sampler=sampler) as recorded, tracing.publishing(shipped()):
        pass

    assert PUBLISHED == described(sampler.seen) == described(recorded.spans[0].attributes)


def headers_of(tracing: MessageTracing, **envelope: Any) -> Mapping[str, str]:
    with tracing.publishing(shipped(**envelope)) as headers:
        return headers


def test_a_message_travels_in_the_trace_and_the_session_of_its_publisher(
    tracing: MessageTracing, capture_spans: SpanCapture
) -> None:
    headers = headers_of(tracing)

    [span] = capture_spans.spans
    assert f"00-{span.trace_id:032x}-{span.span_id:016x}" == headers["traceparent"][:52]
    assert f"session_id={capture_spans.tracer.session_id}" in headers["baggage"]


def test_a_session_that_is_open_and_other_baggage_travel_too(
    tracing: MessageTracing, capture_spans: SpanCapture
) -> None:
    with capture_spans.tracer.with_session() as session:
        capture_spans.tracer.set_baggage("tenant", "t 1")
        headers = headers_of(tracing)

    assert {f"session_id={session}", "project=test-project", "tenant=t+1"} == set(headers["baggage"].split(","))


def test_where_there_is_no_tracer_only_what_means_the_same_everywhere_travels(tracing: MessageTracing) -> None:
    came = {"traceparent": f"00-{TRACE}-{SPAN}-01", "baggage": "session_id=s-1,tenant=t-1"}
    with continued(came):
        headers = headers_of(tracing)

    assert {"traceparent": came["traceparent"], "baggage": "session_id=s-1"} == dict(headers)


def test_a_message_that_is_published_outside_of_traces_belongs_to_the_one_it_was_made_in(
    tracing: MessageTracing, capture_spans: SpanCapture
) -> None:
    with capture_spans.tracer.start_span("request") as request:
        message = shipped()
    with tracing.publishing(message):
        pass
    with capture_spans.tracer.start_span("later") as later, tracing.publishing(message):
        pass

    published = [span.parent_id for span in capture_spans.spans if span.name.startswith("publish")]
    assert [request.get_span_context().span_id, later.get_span_context().span_id] == published


@pytest.mark.parametrize(
    "sampler, flags, recorded_names",
    [
        (ParentBased(ALWAYS_ON), "01", BOTH),
        (ParentBased(ALWAYS_ON), "00", set()),
        (ParentBased(ALWAYS_OFF), "01", BOTH),
        (ALWAYS_OFF, "01", set()),
        (ALWAYS_ON, "00", BOTH),
        (ParentBased(ALWAYS_ON), "ff", BOTH),
    ],
    ids=["followed", "followed out", "joined", "never", "always", "odd flags"],
)
@pytest.mark.parametrize("state", [{}, {"tracestate": "vendor=1"}], ids=["no state", "state"])
def test_what_came_is_handled_in_its_trace_and_what_follows_from_it_too(
    sampler: Sampler, flags: str, recorded_names: set[str], state: dict[str, str]
) -> None:
    tracing = MessageTracing("nats", "orders", continuing=True)
    came = shipped(trace_context={"traceparent": f"00-{TRACE}-{SPAN}-{flags}", "baggage": "session_id=s-1", **state})

    with SpanCapture.running(sampler=sampler) as recorded, tracing.processing(came, "bill"):
        headers = headers_of(tracing)

    assert recorded_names == {span.name for span in recorded.spans}
    assert (TRACE, state.get("tracestate")) == (headers["traceparent"][3:35], headers.get("tracestate"))
    assert "session_id=s-1" == headers["baggage"]
    assert {"s-1"} >= {span.attributes["honeyhive.session_id"] for span in recorded.spans}
    below = [span.span.parent for span in recorded.spans if span.name.startswith("process")]
    assert [(f"{parent.span_id:016x}", f"{parent.trace_flags:02x}", parent.is_remote) for parent in below] == (
        [(SPAN, flags, True)] if recorded_names else []
    )


class Beat(Event, traced=False):
    pass


def test_a_message_that_leaves_no_spans_takes_the_trace_along(capture_spans: SpanCapture) -> None:
    came = {"traceparent": f"00-{TRACE}-{SPAN}-01", "baggage": "session_id=s-1"}
    tracing = MessageTracing("nats", "orders", continuing=True)

    with tracing.processing(Beat(trace_context=came), "count") as span:
        assert not span.is_recording()
        with tracing.publishing(Beat()) as headers:
            pass

    assert ([], came) == (capture_spans.spans, headers)


def test_a_message_that_brings_no_trace_is_handled_in_the_current_one(capture_spans: SpanCapture) -> None:
    message, tracing = shipped(), MessageTracing("nats", "orders", continuing=True)

    with capture_spans.tracer.start_span("poll") as poll, tracing.processing(message, "bill"):
        pass

    assert poll.get_span_context().span_id == capture_spans.named("process order.shipped").parent_id


UNTRACED = """
import sys
from honeyhive.events import Event, InMemoryMessageBus

class Shipped(Event):
    order: str

InMemoryMessageBus().publish(Shipped(order="tea"))
print("opentelemetry.sdk" in sys.modules)
"""


def test_where_nobody_traces_no_sdk_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", UNTRACED], capture_output=True, text=True, timeout=30, check=True)

    assert "False\n" == done.stdout


def test_the_types_of_what_nobody_can_read_are_not_kept(tracing: MessageTracing, capture_spans: SpanCapture) -> None:
    def reject(number: int) -> None:
        tracing.rejected(UnknownMessage(type=f"{number}".ljust(100_000, "x"), data=b""), "no JSON")
        capture_spans.clear()

    tracemalloc.start()
    try:
        reject(0)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1, 20):
            reject(number)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000
