"""Work that moves to another thread stays in its trace where that was asked for."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan

from honeyhive import trace
from honeyhive.tracer import ContextExecutor, HoneyHiveTracer

Exported = Callable[[], list[ReadableSpan]]


@trace(event_name="work")
def work(number: int = 0) -> int:
    if number < 0:
        raise ValueError("theirs")
    return number


def parents(spans: list[ReadableSpan]) -> list[str | None]:
    names = {span.context.span_id: span.name for span in spans if span.context}
    return [span.parent and names[span.parent.span_id] for span in spans if span.name == "work"]


def test_a_wrapped_function_runs_in_the_trace_it_was_wrapped_in(tracer: HoneyHiveTracer, exported: Exported) -> None:
    with tracer.start_span("request"):
        wrapped = tracer.wrap(work)
    threads = [threading.Thread(target=wrapped, args=(number,)) for number in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ["request"] * 8 == parents(exported())
    assert not otel_trace.get_current_span().is_recording()


def test_a_wrapped_function_is_as_it_was_otherwise(tracer: HoneyHiveTracer) -> None:
    wrapped = tracer.wrap(work)

    assert inspect.signature(work) == inspect.signature(wrapped)
    assert 3 == wrapped(3)
    with pytest.raises(ValueError, match="theirs"):
        wrapped(-1)


def test_inside_a_wrapped_function_bare_trace_means_its_tracer(make_tracer: Callable[[], HoneyHiveTracer]) -> None:
    make_tracer()
    second = make_tracer()
    owners: list[object] = []

    @trace
    def look() -> None:
        owners.append(otel_trace.get_current_span()._st.identity)  # type: ignore[attr-defined]

    thread = threading.Thread(target=second.wrap(look))
    thread.start()
    thread.join()

    assert [second.identity] == owners


def test_a_wrapped_coroutine_function_runs_in_its_trace_on_another_loop(
    tracer: HoneyHiveTracer, exported: Exported
) -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return work(1)

    with tracer.start_span("request"):
        wrapped = tracer.wrap(answer)
    with ThreadPoolExecutor(1) as pool:
        assert 1 == pool.submit(lambda: asyncio.run(wrapped())).result()

    assert inspect.iscoroutinefunction(wrapped)
    assert ["request"] == parents(exported())


def test_an_executor_keeps_each_submission_in_its_trace(tracer: HoneyHiveTracer, exported: Exported) -> None:
    with ContextExecutor(ThreadPoolExecutor(2)) as pool:
        with tracer.start_span("first"):
            assert [1, 2] == list(pool.map(work, [1, 2]))
        with tracer.start_span("second"):
            assert isinstance(pool.submit(work, -1).exception(), ValueError)
        assert 3 == pool.submit(work, 3).result()

    assert ["first", "first", "second", None] == parents(exported())
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(work)
