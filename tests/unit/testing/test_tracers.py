"""Tracers for tests, in the forms the architecture document shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import copy_context

import pytest

from honeyhive import trace
from honeyhive.testing import MemoryExporter, SpanCapture, TestableTracer, TracerFactory
from honeyhive.tracer import HoneyHiveTracer, clear_registry, get_default_tracer


@pytest.fixture(autouse=True)
def _empty_registry() -> Iterator[None]:
    clear_registry()
    yield
    clear_registry()


class FakeClient:
    """Stands for the REST client."""


@pytest.mark.acceptance("S25")
def test_a_testable_tracer_uses_the_client_it_was_given() -> None:
    client = FakeClient()

    tracer = TestableTracer(api_client=client, test_mode=True)

    assert client is tracer.client


@pytest.mark.acceptance("S25")
def test_a_testable_tracer_sends_spans_to_the_processor_it_was_given() -> None:
    exporter = MemoryExporter()
    tracer = TestableTracer(span_processor=exporter.processor(), test_mode=True)

    with tracer.start_span("work"):
        pass

    assert ["work"] == [span.name for span in exporter]


@pytest.mark.acceptance("S25")
def test_without_parts_a_testable_tracer_is_an_ordinary_one() -> None:
    tracer = TestableTracer(project="shop", test_mode=True)

    assert isinstance(tracer, HoneyHiveTracer)
    assert "shop" == tracer.settings.project


@pytest.mark.acceptance("S26")
def test_the_factory_makes_a_basic_tracer() -> None:
    tracer = TracerFactory.create_basic_tracer()

    assert ("test-key", "test-project", True) == (
        tracer.settings.api_key,
        tracer.settings.project,
        tracer.settings.test_mode,
    )


@pytest.mark.acceptance("S26")
def test_the_factory_takes_overrides() -> None:
    tracer = TracerFactory.create_basic_tracer(project="mine", source="ci")

    assert ("mine", "ci") == (tracer.settings.project, tracer.settings.source)


@pytest.mark.acceptance("S26")
def test_the_integration_tracer_takes_its_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HH_API_KEY", "key-of-the-environment")

    tracer = TracerFactory.create_integration_tracer(disable_tracing=True)

    assert ("key-of-the-environment", "integration-test", False) == (
        tracer.settings.api_key,
        tracer.settings.project,
        tracer.settings.test_mode,
    )
    tracer.shutdown(1000)


def test_a_capture_makes_its_tracer_the_default_and_restores_the_former_one() -> None:
    before = TracerFactory.create_basic_tracer()

    with SpanCapture.running() as capture:
        during = get_default_tracer()

    assert (capture.tracer, before) == (during, get_default_tracer())


def test_bare_trace_records_into_the_capture() -> None:
    @trace(event_type="chain", event_name="answer")
    def answer(question: str) -> dict[str, object]:
        return {"text": ask(question), "sources": ["a", "b"]}

    @trace(event_name="ask")
    def ask(question: str) -> str:
        return question.upper()

    with SpanCapture.running() as capture:
        answer("why?")

    assert "answer [chain]\n  ask [tool]" == capture.tree()
    assert {"question": "why?"} == capture.named("answer").inputs
    assert {"text": "WHY?", "sources": ["a", "b"]} == capture.named("answer").outputs["result"]
    assert "answer" == capture.named("ask").parent


def test_the_user_s_error_is_seen_by_message() -> None:
    @trace(event_name="fail")
    def fail() -> None:
        raise ValueError("theirs")

    with SpanCapture.running() as capture, pytest.raises(ValueError, match="theirs"):
        fail()

    recorded = capture.named("fail")
    assert [("ValueError", "theirs")] == [(error.type, error.message) for error in recorded.exceptions]
    assert ("error", "theirs") == (recorded.status, recorded.error)
    assert "fail [tool] !! theirs" == capture.tree()


def test_a_session_that_earlier_code_left_open_captures_nothing_away() -> None:
    @trace(event_name="work")
    def work() -> None:
        pass

    def scenario() -> list[str]:
        TracerFactory.create_basic_tracer().create_session("left open")
        with SpanCapture.running() as capture:
            work()
        return [span.name for span in capture.spans]

    names = copy_context().run(scenario)

    assert names == ["work"]
