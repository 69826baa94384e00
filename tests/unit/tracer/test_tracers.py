"""Several tracers in one process: which one is meant, and that they stay apart."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from honeyhive import (
    ConfigurationError,
    HoneyHiveTracer,
    enrich_session,
    flush,
    get_default_tracer,
    set_default_tracer,
    trace,
)
from honeyhive.tracer import Components, with_distributed_trace_context
from honeyhive.tracer.registry import get_all_tracers, get_registry_stats

Exported = Callable[[], list[ReadableSpan]]


@pytest.fixture
def pair() -> tuple[tuple[HoneyHiveTracer, InMemorySpanExporter], tuple[HoneyHiveTracer, InMemorySpanExporter]]:
    def one(project: str) -> tuple[HoneyHiveTracer, InMemorySpanExporter]:
        kept = InMemorySpanExporter()
        parts = Components(span_processor=SimpleSpanProcessor(kept))
        return HoneyHiveTracer.init(project=project, test_mode=True, components=parts), kept

    return one("first"), one("second")


def names(kept: InMemorySpanExporter) -> list[str]:
    return [span.name for span in kept.get_finished_spans()]


@pytest.mark.acceptance("S1")
def test_tracers_are_independent(pair: Any) -> None:
    (first, kept_first), (second, kept_second) = pair

    with first.start_span("a"):
        pass
    with second.start_span("b"):
        pass

    assert (["a"], ["b"]) == (names(kept_first), names(kept_second))
    assert first.session_id != second.session_id
    assert first.provider is not second.provider


@pytest.mark.acceptance("S1")
def test_nested_spans_of_two_tracers_never_adopt_each_other(pair: Any) -> None:
    (first, kept_first), (second, kept_second) = pair

    with first.start_span("a1"), second.start_span("b1"), first.start_span("a2"), second.start_span("b2"):
        pass

    a2, a1 = kept_first.get_finished_spans()
    b2, b1 = kept_second.get_finished_spans()
    assert (a1.parent, b1.parent) == (None, None)
    assert (a1.context.span_id, b1.context.span_id) == (a2.parent.span_id, b2.parent.span_id)
    assert a1.context.trace_id != b1.context.trace_id


def test_bare_trace_means_the_tracer_whose_span_is_current_else_the_default(pair: Any) -> None:
    (_, kept_first), (second, kept_second) = pair

    @trace(event_name="work")
    def work() -> None: ...

    work()
    with second.start_span("outer"):
        work()

    assert ["work"] == names(kept_first)
    assert ["work", "outer"] == names(kept_second)


def test_an_explicit_tracer_comes_before_the_context(pair: Any) -> None:
    (first, kept_first), (second, kept_second) = pair

    @trace(event_name="work", tracer=first)
    def work() -> None: ...

    with second.start_span("outer"):
        work()

    assert (["work"], ["outer"]) == (names(kept_first), names(kept_second))


@pytest.mark.acceptance("S2")
def test_tracers_can_be_made_and_used_from_many_threads_at_once() -> None:
    kept = InMemorySpanExporter()
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        parts = Components(span_processor=SimpleSpanProcessor(kept))
        tracer = HoneyHiveTracer.init(project="threads", test_mode=True, components=parts)
        for _ in range(50):
            with tracer.start_span("outer"), tracer.start_span("inner"):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    spans = kept.get_finished_spans()
    assert 800 == len({span.context.span_id for span in spans if span.context})
    outer = {span.context.span_id for span in spans if span.name == "outer" and span.context}
    assert all(span.parent.span_id in outer for span in spans if span.name == "inner" and span.parent)


def test_the_first_tracer_is_the_default_until_it_is_shut_down(pair: Any) -> None:
    (first, _), (second, _) = pair
    assert get_default_tracer() is first

    first.shutdown()

    assert get_default_tracer() is second
    set_default_tracer(None)
    assert {"active_tracers": 1, "has_default_tracer": False} == get_registry_stats()


def test_a_tracer_nobody_keeps_stays_the_default_until_another_is_made(exporter: InMemorySpanExporter) -> None:
    HoneyHiveTracer.init(
        project="kept", test_mode=True, components=Components(span_processor=SimpleSpanProcessor(exporter))
    )
    gc.collect()

    @trace(event_name="work")
    def work() -> None: ...

    work()

    assert ["work"] == names(exporter)
    again = HoneyHiveTracer.init(project="again", test_mode=True)
    assert get_default_tracer() is again


def test_a_tracer_that_is_let_go_leaves_the_registry(pair: Any) -> None:
    (_, _), (second, _) = pair
    before = len(get_all_tracers())
    third = HoneyHiveTracer.init(project="third", test_mode=True)
    assert before + 1 == len(get_all_tracers())

    del third
    gc.collect()

    assert before == len(get_all_tracers())
    assert second in get_all_tracers()


@pytest.mark.acceptance("S2")
def test_after_shutdown_functions_run_untraced(tracer: HoneyHiveTracer, exported: Exported) -> None:
    @trace(tracer=tracer)
    def work() -> int:
        return 1

    assert tracer.shutdown()
    assert tracer.shutdown()

    assert 1 == work()
    with tracer.start_span("late") as span:
        assert not span.is_recording()
    assert [] == exported()


def test_making_a_tracer_leaves_the_global_provider_alone(tracer: HoneyHiveTracer) -> None:
    assert otel_trace.get_tracer_provider() is not tracer.provider
    assert tracer.is_main_provider is False


@pytest.mark.acceptance("S4")
@pytest.mark.acceptance("S5")
def test_both_documented_forms_of_construction_work() -> None:
    direct = HoneyHiveTracer(api_key="key", project="project", server_url="https://custom.example", test_mode=True)
    factory = HoneyHiveTracer.init(api_key="key", server_url="https://custom.example", test_mode=True)
    old = HoneyHiveTracer.init("key", "project", "session", "prod", "https://custom.example", test_mode=True)

    assert ("project", "key") == (direct.project, direct.api_key)
    assert "https://custom.example" == factory.config.server_url
    assert ("project", "session", "prod") == (old.project, old.session_name, old.source)


@pytest.mark.parametrize("settings", [{"bogus": 1}, {"max_events": "many"}, {"project": 3}])
def test_an_unknown_or_mistyped_setting_raises(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        HoneyHiveTracer.init(**settings)


def test_a_bad_address_is_reported_and_raises_only_when_strict(caplog: pytest.LogCaptureFixture) -> None:
    HoneyHiveTracer.init(server_url="not a url", test_mode=True)

    assert any("server_url" in record.getMessage() for record in caplog.records)
    with pytest.raises(ConfigurationError, match="server_url"):
        HoneyHiveTracer.init(server_url="not a url", test_mode=True, strict=True)


def test_the_session_is_announced_once_with_what_is_known(tracer: HoneyHiveTracer, outbox: Any) -> None:
    ((method, path, body),) = outbox.told

    assert ("POST", "/session/start") == (method, path)
    assert tracer.session_id == body["session"]["session_id"]
    assert "tests" == body["session"]["project"]


def test_a_given_session_is_joined_and_not_announced(make_tracer: Any, outbox: Any) -> None:
    tracer = make_tracer(session_id="0B5F0E9C-9A0B-4B7E-8C4F-3A4F7D1A2B3C")

    assert "0b5f0e9c-9a0b-4b7e-8c4f-3a4f7d1a2b3c" == tracer.session_id
    assert [] == outbox.told


def test_with_session_holds_for_the_block_and_no_longer(tracer: HoneyHiveTracer, exported: Exported) -> None:
    with tracer.with_session("chat", metadata={"a": 1}) as session_id:
        with tracer.start_span("inside"):
            pass
        assert {"session_id": session_id, "project": "tests"} == dict(baggage.get_all())
    with tracer.start_span("outside"):
        pass

    inside, outside = ((span.attributes or {})["honeyhive.session_id"] for span in exported())
    assert (session_id, tracer.session_id) == (inside, outside)
    assert {} == dict(baggage.get_all())


def test_a_session_of_one_tracer_is_not_that_of_another(pair: Any) -> None:
    (first, _), (second, kept_second) = pair

    with first.with_session(), second.start_span("work"):
        pass

    assert second.session_id == kept_second.get_finished_spans()[0].attributes["honeyhive.session_id"]


def test_enrich_session_takes_all_documented_shapes(tracer: HoneyHiveTracer, outbox: Any) -> None:
    outbox.told.clear()

    tracer.enrich_session({"a": 1}, feedback={"ok": True})
    tracer.enrich_session("11111111-1111-4111-8111-111111111111", metadata={"b": 2})
    enrich_session(user_properties={"id": "u"})
    enrich_session("11111111-1111-4111-8111-111111111111", {"c": 3})
    enrich_session({"d": 4}, anything=5)

    bodies = [{k: v for k, v in body.items() if k != "end_time"} for _, _, body in outbox.told]
    own = {"event_id": tracer.session_id}
    other = {"event_id": "11111111-1111-4111-8111-111111111111"}
    assert [
        {**own, "feedback": {"ok": True}, "metadata": {"a": 1}},
        {**other, "metadata": {"b": 2}},
        {**own, "user_properties": {"id": "u"}},
        {**other, "metadata": {"c": 3}},
        {**own, "metadata": {"d": 4, "anything": 5}},
    ] == bodies
    assert {("PUT", "/events")} == {(method, path) for method, path, _ in outbox.told}


def test_create_event_returns_the_id_it_was_given(tracer: HoneyHiveTracer, outbox: Any) -> None:
    with tracer.start_span("parent"):
        event_id = tracer.create_event("lookup", event_type="model", inputs={"q": 1}, duration=12.5, colour="red")

    event = outbox.told[-1][2]["event"]
    assert event_id == event["event_id"]
    assert ("lookup", "model", {"q": 1}, {"colour": "red"}) == (
        event["event_name"],
        event["event_type"],
        event["inputs"],
        event["metadata"],
    )
    assert 12.5 == event["end_time"] - event["start_time"]
    assert "parent_id" in event


@pytest.mark.acceptance("S6")
def test_without_a_service_sessions_and_events_degrade_to_none_or_a_local_id() -> None:
    tracer = HoneyHiveTracer.init(project="x", test_mode=True)

    assert tracer.create_event("lost") is None
    assert tracer.create_session(session_id="no uuid") is None
    assert isinstance(tracer.create_session("local"), str)


def test_a_trace_travels_with_its_session(pair: Any) -> None:
    (first, kept_first), (second, kept_second) = pair
    carrier: dict[str, str] = {}
    with first.start_span("client"):
        first.inject_context(carrier)

    with with_distributed_trace_context(carrier, second), second.start_span("server"):
        pass

    (client,), (server,) = kept_first.get_finished_spans(), kept_second.get_finished_spans()
    assert client.context.span_id == server.parent.span_id
    assert first.session_id == server.attributes["honeyhive.session_id"]


def test_link_and_unlink_continue_a_trace_and_end_that(pair: Any) -> None:
    (first, _), (second, kept_second) = pair
    with first.start_span("client") as client:
        carrier = first.inject()

    token = second.link(carrier)
    with second.start_span("linked"):
        pass
    second.unlink(token)
    with second.start_span("free"):
        pass

    linked, free = kept_second.get_finished_spans()
    assert client.get_span_context().trace_id == linked.context.trace_id
    assert free.parent is None


def test_names_that_are_filtered_out_leave_their_children_with_the_parent(make_tracer: Any, exported: Exported) -> None:
    tracer = make_tracer(span_name_filters={"exclude": [{"type": "prefix", "value": "db."}]})

    with tracer.start_span("request"), tracer.start_span("db.query"), tracer.start_span("render"):
        pass

    request, render = exported()
    assert ("request", "render") == (request.name, render.name)
    assert render.parent.span_id == request.context.span_id  # type: ignore[union-attr]


def test_a_sample_rate_of_nothing_records_nothing(make_tracer: Any, exported: Exported) -> None:
    tracer = make_tracer(sample_rate=0.0)

    with tracer.start_span("outer"), tracer.start_span("inner"):
        pass

    assert [] == exported()


def test_flush_without_arguments_flushes_every_tracer(pair: Any) -> None:
    assert flush()
    assert pair[0][0].flush(10)


def test_baggage_is_found_under_any_spelling(tracer: HoneyHiveTracer) -> None:
    tracer.set_baggage("User-Id", "u1")

    assert ("u1", "u1") == (tracer.get_baggage("user_id"), tracer.get_baggage("USER-ID"))
    assert tracer.get_baggage("other") is None


def test_a_disabled_tracer_records_nothing_of_anybody(make_tracer: Any, exported: Exported) -> None:
    tracer = make_tracer(disable_tracing=True)

    with tracer.start_span("ours"), tracer.provider.get_tracer("an instrumentor").start_as_current_span("theirs"):
        assert 1 == trace(lambda: 1)()

    assert [] == exported()
    assert tracer.flush()
    assert tracer.shutdown()


def test_a_setting_of_ours_wins_over_the_variable_of_opentelemetry(
    make_tracer: Any, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    make_tracer(disable_tracing=False)

    trace(event_name="recorded")(lambda: 1)()

    assert ["recorded"] == [span.name for span in exported()]
