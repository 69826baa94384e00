"""Import paths and forms that the public SDK documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from honeyhive import ConfigurationError, HoneyHiveTracer
from honeyhive.config.models import EvaluationConfig, OTLPConfig, SessionConfig, SpanNameFilters, TracerConfig
from honeyhive.tracer import HoneyHiveSpanProcessor, get_global_provider
from honeyhive.tracer.processing.context import (
    SAFE_PROPAGATION_KEYS,
    enrich_span_context,
    extract_context_from_carrier,
    get_current_baggage,
    inject_context_into_carrier,
    setup_baggage_context,
    with_distributed_trace_context,
)

Exported = Callable[[], list[ReadableSpan]]


def test_context_functions_stand_at_their_documented_path(tracer: HoneyHiveTracer, exported: Exported) -> None:
    carrier: dict[str, str] = {}
    with enrich_span_context("client", inputs={"q": 1}, tracer_instance=tracer):
        inject_context_into_carrier(carrier, tracer)

    with with_distributed_trace_context(carrier, tracer), tracer.start_span("server"):
        assert "session_id" in get_current_baggage()
    context = extract_context_from_carrier(carrier, tracer)

    client, server = exported()
    assert 1 == (client.attributes or {})["honeyhive_inputs.q"]
    assert server.parent is not None
    assert client.context is not None
    assert client.context.span_id == server.parent.span_id
    assert otel_trace.get_current_span(context).get_span_context().trace_id == client.context.trace_id
    assert "session_id" in SAFE_PROPAGATION_KEYS


def test_baggage_set_up_for_a_request_becomes_attributes(tracer: HoneyHiveTracer, exported: Exported) -> None:
    setup_baggage_context({"run_id": "r1", "tenant": "t1"}, tracer)

    with tracer.start_span("work"):
        pass

    found = exported()[0].attributes or {}
    assert ("r1", "t1") == (found["honeyhive_metadata.run_id"], found["baggage.tenant"])


def test_config_objects_count_in_their_order(make_tracer: Any) -> None:
    tracer = make_tracer(
        project=None,
        config=TracerConfig(project="from config", source="prod", session_name="config"),
        session_config=SessionConfig(session_name="session"),
        evaluation_config=EvaluationConfig(run_id="r", dataset_id="d", datapoint_id="p"),
    )

    assert ("session", "prod", "r", True) == (
        tracer.session_name,
        tracer.source,
        tracer.run_id,
        tracer.is_evaluation,
    )


def test_a_config_object_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ConfigurationError, match="unknown setting 'bogus'"):
        TracerConfig(bogus=1)
    with pytest.raises(ConfigurationError, match="requests_session"):
        TracerConfig(requests_session=object())
    assert 5 == OTLPConfig(batch_size=5).given()["max_export_batch_size"]


def test_span_name_filters_have_one_shape_and_say_so() -> None:
    filters = SpanNameFilters.of({"include": ["app."], "exclude": [{"type": "exact", "value": "app.noise"}]})

    assert filters is not None
    assert (True, False, False) == tuple(map(filters.allows, ["app.x", "app.noise", "db.query"]))
    with pytest.raises(ConfigurationError, match="include"):
        SpanNameFilters.of({"only": []})


def test_spans_of_a_foreign_provider_can_join_a_tracer(tracer: HoneyHiveTracer, exported: Exported) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(HoneyHiveSpanProcessor(tracer_instance=tracer))

    with provider.get_tracer("theirs").start_as_current_span("foreign"):
        pass

    found = exported()[0].attributes or {}
    assert (tracer.session_id, "tests") == (found["honeyhive.session_id"], found["honeyhive.project"])
    with pytest.raises(ConfigurationError, match="client"):
        HoneyHiveSpanProcessor(client=object())


def test_an_instrumentor_is_given_the_tracers_own_provider(make_tracer: Any) -> None:
    class Instrumentor:
        given: Any = None

        def instrument(self, *, tracer_provider: Any) -> None:
            type(self).given = tracer_provider

    tracer = make_tracer(instrumentors=[Instrumentor])

    assert Instrumentor.given is tracer.provider
    assert get_global_provider(tracer) is tracer.provider
