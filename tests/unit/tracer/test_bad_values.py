"""Values and attributes that do not behave, seen from the call to the exported span."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
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


def test_a_table_of_ten_million_rows_is_named_and_not_copied(tracer: HoneyHiveTracer, exported: Exported) -> None:
    table = pd.DataFrame({"number": np.zeros(10_000_000)})

    trace(lambda table, column: None)(table, table["number"])

    attributes = dict(exported()[0].attributes or {})
    assert "<DataFrame shape=(10000000, 1)>" == attributes["honeyhive_inputs.table"]
    assert "<Series shape=(10000000,)>" == attributes["honeyhive_inputs.column"]


touched: list[str] = []


class Untouchable(type):
    """A class whose objects cannot be asked for anything unnoticed."""

    def __getattribute__(cls, name: str) -> object:
        touched.append(f"class.{name}")
        return type.__getattribute__(cls, name)

    def __instancecheck__(cls, value: object) -> bool:
        touched.append("__instancecheck__")
        return False


def untouchable(module: str, name: str) -> object:
    """Make an object of a library that would wait for a device, or compute for hours, at the first question."""

    def answer(method: str) -> Callable[..., object]:
        def touch(self: object, *_arguments: object) -> object:
            touched.append(method)
            raise RuntimeError(f"{method} computes everything")

        return touch

    methods = (
        "__len__ __iter__ __getitem__ __bool__ __repr__ __str__ __eq__ __hash__ __array__ __float__ __int__ __dir__"
    )
    namespace = {method: answer(method) for method in [*methods.split(), "__getattr__", "__reduce_ex__", "__format__"]}
    namespace["__getattribute__"] = answer("__getattribute__")
    namespace["__class__"] = property(answer("__class__"))
    namespace["shape"] = property(answer("shape"))
    made = Untouchable(name, (), {"__module__": module, **namespace})
    return object.__new__(made)


@pytest.mark.parametrize(
    "module, name",
    [
        ("torch", "Tensor"),
        ("cupy", "ndarray"),
        ("jaxlib.xla_extension", "ArrayImpl"),
        ("tensorflow.python.framework.ops", "EagerTensor"),
        ("polars.lazyframe.frame", "LazyFrame"),
        ("dask.dataframe", "DataFrame"),
        ("xarray.core.dataset", "Dataset"),
        ("theirs", "Remote"),
    ],
)
def test_what_lives_on_a_device_or_is_not_computed_yet_is_named_and_never_asked(
    tracer: HoneyHiveTracer, exported: Exported, module: str, name: str
) -> None:
    value = untouchable(module, name)
    touched.clear()

    trace(lambda value, values: None)(value, [value])

    attributes = dict(exported()[0].attributes or {})
    assert name in str(attributes["honeyhive_inputs.value"])
    assert name in str(attributes["honeyhive_inputs.values"])
    assert [] == touched
