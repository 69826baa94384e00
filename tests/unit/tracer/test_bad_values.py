"""Values and attributes that do not behave, seen from the call to the exported span."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.sdk.trace import ReadableSpan

from honeyhive import trace
from honeyhive.tracer import HoneyHiveTracer
from honeyhive.tracer.export.encode import encode_span
from honeyhive.utils.redact import Redactor

Exported = Callable[[], list[ReadableSpan]]


def on_the_wire(span: ReadableSpan) -> WireSpan:
    return WireSpan.FromString(encode_span(span, redactor=Redactor()))


def test_ten_thousand_attributes_are_capped_and_counted_and_the_span_still_says_whose_it_is(
    tracer: HoneyHiveTracer, exported: Exported
) -> None:
    @trace(event_type="model")
    def many() -> None:
        tracer.enrich_span({f"key {number}": number for number in range(10_000)})

    many()

    wire = on_the_wire(exported()[0])
    attributes = {each.key: each.value.string_value for each in wire.attributes}
    assert 1024 == len(attributes)
    assert wire.dropped_attributes_count >= 10_000 - 1024
    assert ("tests", "model") == (attributes["honeyhive.project"], attributes["honeyhive_event_type"])
    assert tracer.session_id == attributes["honeyhive.session_id"]


@pytest.mark.parametrize("key", ["k" * 10_000, "with\nnewline", "with\0nul", "\ud800"])
def test_a_strange_key_does_not_keep_its_span_from_arriving(
    tracer: HoneyHiveTracer, exported: Exported, key: str
) -> None:
    with tracer.start_span("strange") as span:
        span.set_attribute(key, 1)
        span.set_attribute("", 2)
        span.set_attribute("plain", 3)

    wire = on_the_wire(exported()[0])

    values = [each.value.int_value for each in wire.attributes]
    assert {1, 3} <= set(values)
    assert "" not in [each.key for each in wire.attributes]


class Talkative:
    """Logs and changes itself whenever it is shown."""

    shown = 0

    def __repr__(self) -> str:
        Talkative.shown += 1
        logging.getLogger("honeyhive.tests").warning("shown")
        return "Talkative()"

    __str__ = __repr__


def test_a_value_that_logs_when_shown_makes_no_spans_through_a_logging_handler(
    tracer: HoneyHiveTracer, exported: Exported
) -> None:
    class Tracing(logging.Handler):
        @trace(event_name="handler")
        def emit(self, record: logging.LogRecord) -> None:
            """Trace every record."""

    handler = Tracing()
    logging.getLogger().addHandler(handler)
    try:
        trace(event_name="call")(lambda value: value)(Talkative())
        on_the_wire(exported()[0])
    finally:
        logging.getLogger().removeHandler(handler)

    assert ["call"] == [span.name for span in exported()]
    assert 0 == Talkative.shown


def test_a_key_may_change_its_type_from_call_to_call(tracer: HoneyHiveTracer, exported: Exported) -> None:
    values: list[Any] = [1, "text", 1.5, True, [1, 2], ["a"], [1, "a", None, 2.5], {"a": [1]}, None]
    take = trace(event_name="take")(lambda value: value)

    for value in values:
        take(value)
        with tracer.start_span("block") as span:
            span.set_attribute("value", value)

    assert len(values) == len([span for span in exported() if span.name == "take"])
    assert all(on_the_wire(span).name for span in exported())


def test_lazy_and_huge_tables_are_named_and_not_computed(tracer: HoneyHiveTracer, exported: Exported) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"number": range(1_000_000)})
    computed: list[str] = []

    class LazyFrame:
        """As those of polars and dask are: asking for anything computes it."""

        def __getattribute__(self, name: str) -> object:
            computed.append(name)
            return object.__getattribute__(self, name)

        def __len__(self) -> int:
            raise RuntimeError("computed")

    lazy = LazyFrame()
    trace(lambda a, b: None)(table, lazy)

    attributes = dict(exported()[0].attributes or {})
    assert len(str(attributes["honeyhive_inputs.a"])) < 1000
    assert [] == computed
