"""Baggage in W3C headers: OpenTelemetry's text and entries, worked out once for those that come again."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from honeyhive.tracer import HoneyHiveTracer
from honeyhive.tracer.baggage import context_of, w3c_headers
from honeyhive.tracer.context import BAGGAGE_KEY
from honeyhive.tracer.export.encode import SpanEncoder
from honeyhive.tracer.propagation import joined_context

THEIRS = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


class Counter:
    """Reads differently each time."""

    def __init__(self) -> None:
        self._read = 0

    def __str__(self) -> str:
        self._read += 1
        return str(self._read)


class Broken:
    """Cannot be read."""

    def __str__(self) -> str:
        raise ValueError("theirs")


def with_entries(**entries: object) -> Context:
    context = Context()
    for name, value in entries.items():
        context = baggage.set_baggage(name, value, context)
    return context


def written(context: Context, propagator: Any) -> dict[str, str]:
    carrier: dict[str, str] = {}
    propagator.inject(carrier, context)
    return carrier


@pytest.mark.parametrize(
    "entries",
    [{}, {"a": "1"}, {"a": "1", "b": "x y,;=ü"}, {"a": 1}, {"a": True, "b": None}, {"a": "v" * 9_000}, {"a": ""}],
    ids=lambda entries: str(entries)[:20],
)
def test_what_is_written_is_what_opentelemetry_writes(entries: dict[str, object]) -> None:
    for _ in range(2):
        assert written(with_entries(**entries), THEIRS) == written(with_entries(**entries), w3c_headers())


@pytest.mark.parametrize("trace", [{}, TRACE, {**TRACE, "tracestate": "vendor=1"}], ids=["none", "usual", "state"])
@pytest.mark.parametrize("header", [None, "", "a=1", "a=1,b=x%20y", "a=1;p=2 , b = 2", "rubbish", "a=1,rubbish", "ü=1"])
def test_what_is_read_is_what_opentelemetry_reads(trace: dict[str, str], header: str | None) -> None:
    headers = trace if header is None else {**trace, "baggage": header}

    theirs = THEIRS.extract(headers, Context())
    for ours in (w3c_headers().extract(headers, Context()), context_of(headers)):
        assert baggage.get_all(theirs) == baggage.get_all(ours)
        expected, found = (otel_trace.get_current_span(each).get_span_context() for each in (theirs, ours))
        assert (expected, expected.is_remote) == (found, found.is_remote)


def test_the_same_header_becomes_the_same_baggage_until_somebody_adds_to_it() -> None:
    first, second = (context_of({**TRACE, "baggage": "a=1"}) for _ in range(2))

    more = baggage.set_baggage("b", "2", second)

    assert first[BAGGAGE_KEY] is second[BAGGAGE_KEY]
    assert ({"a": "1"}, {"a": "1", "b": "2"}) == (dict(baggage.get_all(first)), dict(baggage.get_all(more)))
    assert {"baggage": "a=1,b=2"} == {"baggage": written(more, w3c_headers())["baggage"]}


def test_a_value_that_changes_is_written_anew() -> None:
    context = with_entries(count=Counter())

    assert ["count=1", "count=2"] == [written(context, w3c_headers())["baggage"] for _ in range(2)]


def test_baggage_that_cannot_be_written_stays_behind_and_harms_nobody(tracer: HoneyHiveTracer) -> None:
    baggage_of_theirs = with_entries(bad=Broken())

    token = otel_context.attach(baggage_of_theirs)
    with tracer.start_span("work"):
        headers = tracer.inject_context({})
    otel_context.detach(token)

    assert ["traceparent"] == list(headers)


def test_a_tracer_whose_session_changes_sends_the_new_one_along(tracer: HoneyHiveTracer) -> None:
    sent = []
    for session_id in ("one", "two", "one"):
        tracer.session_id = session_id
        sent.append(tracer.inject_context({})["baggage"])

    assert [f"session_id={each},project=tests" for each in ("one", "two", "one")] == sent


def test_what_strangers_send_in_long_headers_is_not_kept(
    tracer: HoneyHiveTracer, exporter: InMemorySpanExporter
) -> None:
    def receive(number: int) -> None:
        long = f"{number}".ljust(100_000, "x")
        context_of({**TRACE, "baggage": f"a={long}"})
        token = otel_context.attach(joined_context({"session_id": long}, tracer))
        with tracer.start_span("work"):
            tracer.inject_context({})
        otel_context.detach(token)
        encoder.request(exporter.get_finished_spans())
        exporter.clear()

    encoder = SpanEncoder()
    tracemalloc.start()
    try:
        receive(0)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1, 20):
            receive(number)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000
