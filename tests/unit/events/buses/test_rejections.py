"""What comes and no handler is called for: it becomes a dead letter and a failed span in the trace it came with."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import AsyncIterator

import anyio
import pytest
from opentelemetry import trace as otel_trace

pytest.importorskip("aiokafka", reason="aiokafka is not installed: pip install honeyhive[kafka]")

from honeyhive.events import DeadLetter, Event, encode
from honeyhive.events.adapters.kafka import KafkaBroker
from honeyhive.events.buses.broker import Deliver, Delivery, Parcel, Topology
from honeyhive.events.buses.brokered import BrokerMessageBus
from honeyhive.resilience import RetryPolicy
from honeyhive.testing import FakeKafka, RecordedSpan, SpanCapture
from honeyhive.testing.bus_contracts import some_letters

pytestmark = pytest.mark.anyio

TRACE_ID = 0x4BF92F3577B34DA6A3CE929D0E0E4736
NUMBERS = itertools.count()


class Weighed(Event, type="scales.weighed"):
    grams: int


def document(**changed: object) -> bytes:
    """Return a message as it is sent, with some attributes changed."""
    written = json.loads(encode(Weighed(id="w-1", grams=7)))
    return json.dumps({**written, "traceparent": f"00-{TRACE_ID:032x}-00f067aa0ba902b7-01", **changed}).encode()


class OftenDelivered(KafkaBroker):
    """An engine that counts deliveries and is at the hundredth."""

    async def consume(self, deliver: Deliver, stopping: anyio.Event) -> None:
        async def deliver_again(delivery: Delivery) -> None:
            delivery.count = 100
            await deliver(delivery)

        await super().consume(deliver_again, stopping)


class Rejecting:
    """A bus that somebody else sends to.

    Attributes:
        handled: What has come to the handler.
    """

    def __init__(self, engine: type[KafkaBroker] = KafkaBroker) -> None:
        topology = Topology(f"scales-{next(NUMBERS)}", "readers", "one", partitions=1, lease_s=1)
        self.handled: list[Weighed] = []
        self._broker = engine("kafka://nowhere", topology, clients=FakeKafka())
        self.bus = BrokerMessageBus(self._broker)
        self.bus.subscribe("*", self.handled.append)

    async def letter_for(self, body: bytes) -> DeadLetter:
        """Send *body* and return the letter that it becomes."""
        async with self.bus:
            await self._broker.send(Parcel("1", "1", 0, body))
            [letter] = await some_letters(self.bus)
        return letter


@pytest.fixture
async def recorded() -> AsyncIterator[SpanCapture]:
    with SpanCapture.running() as capture:
        yield capture


def the_failed(recorded: SpanCapture) -> RecordedSpan:
    """Return the one span there is, which has failed."""
    [span] = recorded.spans
    assert "error" == span.status
    return span


@pytest.mark.parametrize(
    "body, name",
    [
        (b"no json", "process unreadable"),
        (b'["no object"]', "process unreadable"),
        (b'{"type": 7, "id": []}', "process unreadable"),
        (b'{"type": "foreign.thing", "id": "1"}', "process foreign.thing"),
        (document(data={"grams": "many"}), "process scales.weighed"),
        (document(time="tomorrow"), "process scales.weighed"),
        (document(subject=["a list"]), "process scales.weighed"),
        (document(pythontype={}), "process scales.weighed"),
    ],
    ids=[
        "no json",
        "no object",
        "no texts",
        "no source",
        "wrong content",
        "wrong time",
        "wrong subject",
        "wrong class",
    ],
)
async def test_what_cannot_be_read_is_kept_as_it_came_and_shows_in_traces(
    recorded: SpanCapture, body: bytes, name: str
) -> None:
    scales = Rejecting()

    letter = await scales.letter_for(body)

    assert (body, []) == (letter.message.data, scales.handled)
    assert name == the_failed(recorded).name
    assert letter.error == the_failed(recorded).span.status.description


async def test_a_rejected_message_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    letter = await Rejecting().letter_for(document(data={"grams": "many"}))

    assert ("ERROR", f"scales.weighed (w-1) reaches no handler: {letter.error}") in [
        (record.levelname, record.getMessage()) for record in caplog.records
    ]


async def test_a_handler_that_fails_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(message: Weighed) -> None:
        raise ValueError("too heavy")

    scales = Rejecting()
    scales.bus.subscribe(Weighed, refuse, retry=RetryPolicy(max_attempts=1))
    await scales.letter_for(document())

    (record,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert "refuse failed at scales.weighed (w-1) for good, attempts: 1: ValueError: too heavy" in record.getMessage()


async def test_a_handler_that_fails_is_logged_in_the_trace_of_its_message(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(message: Weighed) -> None:
        raise ValueError("too heavy")

    def note(record: logging.LogRecord) -> bool:
        noted[record.levelname] = otel_trace.get_current_span().get_span_context().trace_id
        return True

    noted: dict[str, int] = {}
    caplog.handler.addFilter(note)
    scales = Rejecting()
    scales.bus.subscribe(Weighed, refuse, retry=RetryPolicy(max_attempts=1))
    await scales.letter_for(document())
    caplog.handler.removeFilter(note)

    assert TRACE_ID == noted["ERROR"]


async def test_the_span_of_a_rejected_message_stands_in_its_trace_and_names_it(recorded: SpanCapture) -> None:
    letter = await Rejecting().letter_for(document(data={"grams": "many"}))

    span = the_failed(recorded)
    assert TRACE_ID == span.trace_id
    assert ("w-1", "scales.weighed") == (
        span.attributes["messaging.message.id"],
        span.attributes["cloudevents.event_type"],
    )
    assert ("w-1", "scales.weighed") == (letter.message.id, letter.message.type)


async def test_a_message_that_no_process_survives_shows_in_traces(recorded: SpanCapture) -> None:
    scales = Rejecting(OftenDelivered)

    letter = await scales.letter_for(document())

    assert (100, []) == (letter.attempts, scales.handled)
    assert TRACE_ID == the_failed(recorded).trace_id
    assert letter.error == the_failed(recorded).span.status.description


async def test_a_broadcast_that_cannot_be_read_shows_in_traces_and_the_next_is_heard(
    recorded: SpanCapture, caplog: pytest.LogCaptureFixture
) -> None:
    topology = Topology("heard", "readers", "one", partitions=1, lease_s=1)
    broker = KafkaBroker("kafka://nowhere", topology, clients=FakeKafka())
    bus, heard, complete = BrokerMessageBus(broker), [], anyio.Event()

    async def listener(event: Weighed) -> None:
        heard.append(event)
        complete.set()

    bus.listen(Weighed, listener)
    async with bus:
        await broker.broadcast(document(data={"grams": "many"}))
        await broker.broadcast(document())
        await complete.wait()

    assert [7] == [event.grams for event in heard]
    assert ["error", "unset"] == [span.status for span in recorded.spans if span.name == "process scales.weighed"]
    assert any("a broadcast cannot be read: Weighed.grams" in line for line in caplog.messages)
