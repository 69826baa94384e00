"""Scopes and the tracer: which scopes have spans, whose they are, and what is put on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from opentelemetry.trace import get_current_span

from honeyhive import State, ctx, trace
from honeyhive.testing import SpanCapture, TracerFactory

pytestmark = pytest.mark.anyio


class Usage(State):
    model: str
    tokens: int
    parts: tuple[int, ...] = ()
    call: Callable[..., Any] = print


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class TestWhoHasASpan:
    @pytest.mark.acceptance("H9")
    async def test_where_there_is_a_tracer_every_scope_is_a_span_of_its_own(self, capture_spans: SpanCapture) -> None:
        async with ctx.scope("app"):
            async with ctx.scope("orders"):
                pass
            with ctx.scope("mail"):
                pass

        assert "app [chain]\n  orders [chain]\n  mail [chain]" == capture_spans.tree()

    @pytest.mark.acceptance("H36")
    async def test_a_traced_scope_traces_everything_inside(self, capture_spans: SpanCapture) -> None:
        @trace(event_type="tool", event_name="weather")
        async def weather() -> str:
            return "rain"

        async def work() -> None:
            async with ctx.scope("inner"):
                await weather()

        async with ctx.scope("traced-operation", trace=True):
            await work()
            ctx.spawn(work)

        inside = "  inner [chain]\n    weather [tool]"
        assert f"traced-operation [chain]\n{inside}\n{inside}" == capture_spans.tree()

    async def test_a_scope_that_is_not_traced_has_no_span_and_neither_have_those_inside(
        self, capture_spans: SpanCapture
    ) -> None:
        async with ctx.scope("app", trace=False) as scope, ctx.scope("inner"), ctx.scope("again", trace=True):
            assert scope.span is None

        assert "again [chain]" == capture_spans.tree()

    @pytest.mark.parametrize("switch", [None, True, False])
    async def test_without_a_tracer_nothing_happens(self, switch: bool | None) -> None:
        async with ctx.scope("app", trace=switch) as scope:
            assert not get_current_span().is_recording()
            assert 3 == len(["a", *scope.path, ctx.log_info("nothing")])

    async def test_a_tracer_that_was_shut_down_is_no_tracer(self, capture_spans: SpanCapture) -> None:
        capture_spans.tracer.shutdown()

        async with ctx.scope("app") as scope:
            assert scope.span is None or not scope.span.is_recording()

        assert [] == capture_spans.spans

    async def test_a_scope_tells_the_ids_of_its_span(self, capture_spans: SpanCapture) -> None:
        async with ctx.scope("app") as scope:
            trace_id, span_id = scope.trace_id, scope.span_id

        assert f"{capture_spans.named('app').trace_id:032x}" == trace_id
        assert f"{capture_spans.named('app').span_id:016x}" == span_id


class TestWhoseSpans:
    async def test_a_scope_of_a_tracer_has_spans_of_that_tracer(self, capture_spans: SpanCapture) -> None:
        @trace
        async def work() -> None:
            """Whose span it is depends on where it runs."""

        with SpanCapture.running() as other:
            async with capture_spans.tracer.scope("app"), ctx.scope("inner"):
                await work()
            async with ctx.scope("theirs"):
                pass

        assert {"app", "inner", "work"} == {span.name.split(".")[-1] for span in capture_spans.spans}
        assert ["theirs"] == [span.name for span in other.spans]

    async def test_a_scope_of_a_tracer_takes_what_any_scope_takes(self, capture_spans: SpanCapture) -> None:
        @asynccontextmanager
        async def resource() -> Any:
            yield Usage(model="m", tokens=1)

        async with capture_spans.tracer.scope("app", disposables=(resource(),), tasks="cancel"):
            assert 1 == ctx.state(Usage).tokens
            ctx.spawn(anyio.sleep_forever)
        with pytest.raises(ValueError, match="tasks is"):
            capture_spans.tracer.scope("app", tasks="kill")  # type: ignore[arg-type]

    async def test_a_tracer_that_records_nothing_gives_no_spans(self) -> None:
        tracer = TracerFactory.create_basic_tracer(disable_tracing=True)

        async with tracer.scope("app", trace=True) as scope:
            assert scope.span is None


class TestWhatIsOnIt:
    async def test_an_error_that_leaves_the_scope_is_on_its_span(self, capture_spans: SpanCapture) -> None:
        error = ValueError("theirs")

        with pytest.raises(ValueError, match="theirs") as caught:
            async with ctx.scope("app"):
                raise error

        assert error is caught.value
        assert "error" == capture_spans.named("app").status
        assert ["theirs"] == [error.message for error in capture_spans.named("app").exceptions]

    async def test_errors_of_tasks_are_on_the_span_of_their_scope(self, capture_spans: SpanCapture) -> None:
        async def fail() -> None:
            raise ValueError("child")

        with pytest.raises(ExceptionGroup):
            async with ctx.scope("app"):
                ctx.spawn(fail)

        assert ["ExceptionGroup"] == [error.type for error in capture_spans.named("app").exceptions]

    async def test_an_error_while_opening_is_on_the_span(self, capture_spans: SpanCapture) -> None:
        @asynccontextmanager
        async def resource() -> Any:
            raise OSError("refused")
            yield

        with pytest.raises(OSError, match="refused"):
            async with ctx.scope("app", disposables=(resource(),)):
                pass

        assert ["refused"] == [error.message for error in capture_spans.named("app").exceptions]

    @pytest.mark.acceptance("A2")
    async def test_what_is_logged_is_an_event_on_the_span(self, capture_spans: SpanCapture) -> None:
        async with ctx.scope("app"):
            try:
                with anyio.fail_after(0):
                    await anyio.sleep_forever()
            except TimeoutError as error:
                ctx.log_error("%s timed out", "the request", error=error)

        (name, attributes), (exception, _) = capture_spans.named("app").events
        assert ("log", "exception") == (name, exception)
        assert {"log.severity": "ERROR", "log.message": "the request timed out"} == attributes

    async def test_attributes_events_metrics_and_states_are_put_on_the_current_span(
        self, capture_spans: SpanCapture
    ) -> None:
        async with ctx.scope("app"):
            ctx.attributes({"shop.id": 7}, kind="tea")
            ctx.event("sold", {"shop.price": 3}, currency="NOK")
            ctx.metric("score", 0.5)
            ctx.record(Usage(model="m", tokens=12, parts=(5, 7)))

        span = capture_spans.named("app")
        assert (7, "tea") == (span.attributes["shop.id"], span.attributes["kind"])
        assert [("sold", {"shop.price": 3, "currency": "NOK"})] == span.events
        assert {"score": 0.5} == span.event.metrics
        recorded = {key: value for key, value in span.attributes.items() if key.startswith("Usage.")}
        assert {"Usage.model": "m", "Usage.tokens": 12, "Usage.parts.0": 5, "Usage.parts.1": 7} == recorded

    async def test_log_records_carry_the_session(
        self, capture_spans: SpanCapture, caplog: pytest.LogCaptureFixture
    ) -> None:
        with capture_spans.tracer.with_session("shopping") as session:
            async with ctx.scope("app") as scope:
                ctx.log_warning("here")

        (record,) = caplog.records
        assert (session, scope.trace_id, scope.span_id) == (record.session_id, record.trace_id, record.span_id)


class TestMisuse:
    async def test_spans_are_in_order_again_after_scopes_were_left_out_of_order(
        self, capture_spans: SpanCapture
    ) -> None:
        async with ctx.scope("app") as app:
            outer, inner = ctx.scope("outer"), ctx.scope("inner")
            await outer.__aenter__()
            await inner.__aenter__()
            with pytest.raises(RuntimeError):
                await outer.__aexit__(None, None, None)
            await inner.__aexit__(None, None, None)

            assert get_current_span() is app.span

        assert {"app", "outer", "inner"} == {span.name for span in capture_spans.spans}

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_a_scope_left_in_another_task_ends_its_span(self, capture_spans: SpanCapture) -> None:
        block = ctx.scope("app")
        await asyncio.create_task(block.__aenter__())

        with pytest.raises(RuntimeError, match="left in another"):
            await block.__aexit__(None, None, None)

        assert "error" == capture_spans.named("app").status
