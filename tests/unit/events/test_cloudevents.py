"""Messages as events of the `cloudevents` package, and what its bindings make of them on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider

from honeyhive.events import Event, Message, UnknownMessage, from_cloudevent, to_cloudevent
from honeyhive.events.lineage import handling
from honeyhive.exceptions import MessageFormatError

core = pytest.importorskip("cloudevents.core", reason="the extra `events` is not installed")
http = pytest.importorskip("cloudevents.core.bindings.http")
CloudEvent = pytest.importorskip("cloudevents.core.v1.event").CloudEvent
CloudEvent03 = pytest.importorskip("cloudevents.core.v03.event").CloudEvent


class Shipped(Event, type="shop.shipped", key="order"):
    order: str
    boxes: int = 1
    at: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    labels: Mapping[str, str] = field(default_factory=dict)


def through_nothing(event: object) -> object:
    return event


def through_binary_http(event: object) -> object:
    return http.from_binary_event(http.to_binary_event(event))


def through_structured_http(event: object) -> object:
    return http.from_structured_event(http.to_structured_event(event))


ways = pytest.mark.parametrize("way", [through_nothing, through_binary_http, through_structured_http])


@pytest.mark.acceptance("O4")
@ways
def test_a_message_comes_back_as_it_went(way):
    message = Shipped(order="o-1", boxes=2, subject="o-1", labels={"size": "größer"}, extensions={"region": "eu"})

    back = from_cloudevent(way(to_cloudevent(message)))

    assert message == back
    assert type(back) is Shipped
    assert message.time == back.time
    assert message.extensions == back.extensions
    assert "o-1" == back.key


@pytest.mark.acceptance("O4")
def test_the_event_has_the_attributes_that_cloudevents_names():
    message = Shipped(order="o-1", subject="o-1")

    event = to_cloudevent(message)

    assert "1.0" == event.get_specversion()
    assert message.id == event.get_id()
    assert message.source == event.get_source()
    assert "shop.shipped" == event.get_type()
    assert "o-1" == event.get_subject()
    assert message.time == event.get_time()
    assert "application/json" == event.get_datacontenttype()
    assert {"order": "o-1", "boxes": 1, "at": "2026-03-01T00:00:00Z", "labels": {}} == event.get_data()


@ways
def test_what_a_message_follows_from_travels_along(way):
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with tracer.start_as_current_span("order") as span:
        cause = Shipped(order="o-1")
        with handling(cause):
            effect = Shipped(order="o-2")

    back = from_cloudevent(way(to_cloudevent(effect)))

    assert cause.id == back.causation_id == back.correlation_id
    assert f"{span.get_span_context().trace_id:032x}" in back.trace_context["traceparent"]


@ways
@pytest.mark.parametrize(
    "data, content_type",
    [
        ({"a": [1, {"b": None}]}, "application/json"),
        ({"a": 1}, None),
        ("plain words", "text/plain"),
        (b"\x00\xff", "application/octet-stream"),
        (None, None),
    ],
)
def test_a_foreign_event_is_kept_and_goes_on_as_it_came(way, data, content_type):
    attributes = {"id": "7", "source": "https://elsewhere", "type": "of.others", "custom": "yes"}
    foreign = CloudEvent(attributes | ({"datacontenttype": content_type} if content_type else {}), data)

    message = from_cloudevent(way(foreign))
    onward = to_cloudevent(message)

    assert isinstance(message, UnknownMessage)
    assert data == onward.get_data()
    assert foreign.get_attributes().items() <= onward.get_attributes().items()


def test_bytes_that_are_no_json_stay_bytes_though_they_look_like_it():
    foreign = CloudEvent(
        {"id": "7", "source": "/x", "type": "of.others", "datacontenttype": "application/octet-stream"}, b"123"
    )

    assert from_cloudevent(foreign).data == b"123"


def test_json_in_bytes_becomes_the_message_it_is():
    event = CloudEvent({"id": "7", "source": "/x", "type": "shop.shipped"}, b'{"order": "o-9"}')

    assert from_cloudevent(event) == Shipped(id="7", order="o-9")


@pytest.mark.parametrize(
    "event, reason",
    [
        (CloudEvent({"id": "7", "source": "/x", "type": "shop.shipped"}, {"order": 5}), r"Shipped\.order"),
        (CloudEvent({"id": "7", "source": "/x", "type": "shop.shipped"}, b"{"), "says that it is JSON"),
        (CloudEvent03({"id": "7", "source": "/x", "type": "t", "specversion": "0.3"}), r"convert it to 1\.0"),
    ],
)
def test_what_fits_no_message_is_refused_with_the_reason(event, reason):
    with pytest.raises(MessageFormatError, match=reason):
        from_cloudevent(event)


def test_an_extension_that_cloudevents_does_not_allow_is_named():
    message = Shipped(order="o-1", extensions={"not-allowed": "x"})

    with pytest.raises(MessageFormatError, match="not-allowed"):
        to_cloudevent(message)


@given(order=st.text(), boxes=st.integers(-(2**60), 2**60), labels=st.dictionaries(st.text(), st.text()))
def test_no_content_is_lost_over_http(order, boxes, labels):
    message: Message = Shipped(order=order, boxes=boxes, labels=labels)

    assert message == from_cloudevent(through_binary_http(to_cloudevent(message)))
