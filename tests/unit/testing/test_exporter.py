"""The memory exporter shows what was recorded, in a form that stands as a literal in a test."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider

from honeyhive.testing import CountingIds, MemoryExporter
from honeyhive.testing.exporter import RecordedSpan


@pytest.fixture
def exporter() -> MemoryExporter:
    return MemoryExporter()


@pytest.fixture
def provider(exporter: MemoryExporter) -> TracerProvider:
    provider = TracerProvider(id_generator=CountingIds(), shutdown_on_exit=False)
    provider.add_span_processor(exporter.processor())
    return provider


def test_counting_ids_begin_at_one(provider: TracerProvider, exporter: MemoryExporter) -> None:
    tracer = provider.get_tracer("test")

    with tracer.start_as_current_span("a"), tracer.start_as_current_span("b"):
        pass

    assert [("b", 1, 2, 1), ("a", 1, 1, None)] == [(s.name, s.trace_id, s.span_id, s.parent_id) for s in exporter]


def test_a_tree_shows_children_below_their_parents_in_the_order_of_their_start(
    provider: TracerProvider, exporter: MemoryExporter
) -> None:
    tracer = provider.get_tracer("test")

    with tracer.start_as_current_span("agent", attributes={"honeyhive_event_type": "chain"}):
        with tracer.start_as_current_span("first"), tracer.start_as_current_span("deep"):
            pass
        with tracer.start_as_current_span("second", attributes={"gen_ai.request.model": "m"}):
            pass

    assert "agent [chain]\n  first [tool]\n    deep [tool]\n  second [model]" == exporter.tree()


def test_a_tree_with_details_shows_what_went_in_and_out(provider: TracerProvider, exporter: MemoryExporter) -> None:
    attributes = {"honeyhive_inputs.q": "why", "honeyhive_outputs.result.0": 1}

    provider.get_tracer("test").start_span("ask", attributes=attributes).end()

    assert 'ask [tool] {"q": "why"} -> {"result": [1]}' == exporter.tree(details=True)


def test_a_span_whose_parent_was_not_recorded_is_a_root(provider: TracerProvider, exporter: MemoryExporter) -> None:
    tracer = provider.get_tracer("test")

    with tracer.start_as_current_span("outer"):
        tracer.start_span("inner").end()
        tree = exporter.tree()

    assert "inner [tool]" == tree
    assert exporter.named("inner").parent == "outer"


def test_named_says_what_there_is_when_it_finds_nothing(provider: TracerProvider, exporter: MemoryExporter) -> None:
    provider.get_tracer("test").start_span("there").end()

    with pytest.raises(LookupError, match="there"):
        exporter.named("missing")


def test_clear_forgets(provider: TracerProvider, exporter: MemoryExporter) -> None:
    provider.get_tracer("test").start_span("x").end()

    exporter.clear()

    assert [] == exporter.spans


def test_a_recorded_span_reads_well_in_a_failure_message(provider: TracerProvider, exporter: MemoryExporter) -> None:
    provider.get_tracer("test").start_span("x").end()

    assert isinstance(exporter.spans[0], RecordedSpan)
    assert "<RecordedSpan x [tool]>" == repr(exporter.spans[0])
