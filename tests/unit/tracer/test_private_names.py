"""Releases of OpenTelemetry to come may rename what is private to them: tracing works all the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

RENAMING = """
import importlib.abc, importlib.machinery, re, sys

class Renamed(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):
        path = self.get_filename(fullname)
        text = self.get_data(path)
        if NAME not in text:
            return super().get_code(fullname)
        # One name is that of a module too, which stays where it is.
        text = re.sub(rb"(?<!trace\\.)\\b" + NAME + rb"\\b", NAME + b"_of_tomorrow", text)
        return compile(text, path, "exec", dont_inherit=True)

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if not fullname.startswith("opentelemetry."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = Renamed(spec.loader.name, spec.loader.path)
        return spec

sys.meta_path.insert(0, Finder())
"""

PROGRAM = """
import logging
logging.basicConfig(level=logging.WARNING)
from opentelemetry import trace as otel_trace
from opentelemetry.trace import Link, StatusCode
from honeyhive import HoneyHiveTracer, trace
from honeyhive.testing import MemoryExporter
from honeyhive.tracer import Components
from honeyhive.tracer.export.encode import encode_span
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span

exporter = InMemorySpanExporter()
tracer = HoneyHiveTracer(project="p", test_mode=True, components=Components(span_processor=SimpleSpanProcessor(exporter)))

@trace(event_name="call", event_type="model")
def call(question):
    tracer.enrich_span(metadata={"k": 1})
    current = otel_trace.get_current_span()
    current.add_event("happened", {"a": 1})
    return "answer"

with tracer.start_span("block") as block:
    call("question")
    link = Link(block.get_span_context(), {"why": "test"})
    with tracer.provider.get_tracer("theirs").start_as_current_span("foreign", links=[link]) as foreign:
        foreign.set_attribute("list", [1, 2])
try:
    with tracer.start_span("failing"):
        raise ValueError("theirs")
except ValueError:
    pass

spans = {span.name: span for span in exporter.get_finished_spans()}
assert {"block", "call", "foreign", "failing"} == set(spans), set(spans)
assert spans["call"].parent.span_id == spans["foreign"].parent.span_id == block.get_span_context().span_id
attributes = spans["call"].attributes
assert attributes["honeyhive_inputs.question"] == "question" and attributes["honeyhive_outputs.result"] == "answer"
assert attributes["honeyhive_metadata.k"] == 1 and attributes["honeyhive_event_type"] == "model"
assert [event.name for event in spans["call"].events] == ["happened"]
assert spans["foreign"].links[0].attributes["why"] == "test"
assert spans["foreign"].attributes["list"] == (1, 2)
assert spans["failing"].status.status_code is StatusCode.ERROR
assert all(span.end_time >= span.start_time and span.resource is not None for span in spans.values())
encoded = Span.FromString(encode_span(spans["call"]))
assert (encoded.name, len(encoded.events)) == ("call", 1)
assert tracer.flush() and tracer.shutdown()
"""

NAMES = [
    "_BAGGAGE_KEY",
    "_RUNTIME_CONTEXT",
    "_SPAN_KEY",
    "_SUPPRESS_INSTRUMENTATION_KEY",
    "_Span",
    "_TRACER_PROVIDER",
    "_TRACER_PROVIDER_SET_ONCE",
    "_active_span_processor",
    "_add_event",
    "_add_link",
    "_attributes",
    "_context",
    "_current_context",
    "_disabled",
    "_encode_span",
    "_end_time",
    "_events",
    "_immutable",
    "_instrumentation_info",
    "_instrumentation_scope",
    "_is_enabled",
    "_kind",
    "_limits",
    "_links",
    "_local_parent_sampled",
    "_lock",
    "_name",
    "_new_links",
    "_on_ending",
    "_parent",
    "_readable_span",
    "_record_exception",
    "_resource",
    "_root",
    "_sampler",
    "_set_status_on_exception",
    "_span_limits",
    "_span_processor",
    "_span_processors",
    "_start_time",
    "_status",
    "_tracer_config",
    "_tracer_metrics",
    "_tracers_lock",
]


@pytest.mark.fault
@pytest.mark.parametrize("name", NAMES)
def test_tracing_works_without_a_private_name(name: str) -> None:
    code = f"NAME = {name!r}.encode()\n{RENAMING}\n{PROGRAM}"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
