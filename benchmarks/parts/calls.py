"""Calls whose cost is compared: an empty span of the OpenTelemetry SDK, and ours with everything switched on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from honeyhive import HoneyHiveTracer

CHAT = [{"role": "user", "content": f"message {number} " + "of some length " * 26} for number in range(5)]

Work = Callable[[int], None]
"""Makes so many calls."""


class Calls(NamedTuple):
    """What is measured against, and what is measured."""

    yardstick: Work
    measured: dict[str, Work]


class Nowhere(SpanExporter):
    """An exporter that takes everything at once."""

    def export(self, spans: object) -> SpanExportResult:
        """Succeed."""
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Have nothing to close."""


def calls() -> Calls:
    """Set everything up; spans go to the journal of this machine's backend."""
    from honeyhive import HoneyHiveTracer

    stock = TracerProvider(shutdown_on_exit=False)
    stock.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=1_000_000))
    theirs = stock.get_tracer("bench")
    tracer = HoneyHiveTracer.init(project="bench", spool_max_bytes=2**40, max_queue_bytes=2**30, console=False)
    ours = tracer.provider.get_tracer("bench")

    def stock_span(times: int) -> None:
        for _ in range(times):
            with theirs.start_as_current_span("op"):
                pass

    def our_span(times: int) -> None:
        for _ in range(times):
            with ours.start_as_current_span("op"):
                pass

    return Calls(stock_span, {"start_as_current_span, our provider": our_span, **_traced(tracer)})


def _traced(tracer: HoneyHiveTracer) -> dict[str, Work]:
    """Return calls of decorated functions."""
    from honeyhive import HoneyHiveTracer, trace

    off = HoneyHiveTracer.init(project="bench", disable_tracing=True, test_mode=True)
    out = HoneyHiveTracer.init(project="bench", sample_rate=0.0, test_mode=True)

    @trace(tracer=tracer, capture=False)
    def empty() -> None: ...

    @trace(tracer=tracer)
    def scalars(number: int, text: str) -> int:
        return number

    @trace(tracer=tracer)
    async def scalars_async(number: int, text: str) -> int:
        return number

    @trace(tracer=tracer)
    def chat(messages: list[dict[str, str]]) -> str:
        return "ok"

    @trace(tracer=off)
    def disabled(number: int) -> int:
        return number

    @trace(tracer=out)
    def sampled_out(number: int) -> int:
        return number

    def nested(times: int) -> None:
        with tracer.start_span("outer"):
            for _ in range(times):
                scalars(number=1, text="text")

    async def awaited(times: int) -> None:
        for _ in range(times):
            await scalars_async(1, "text")

    return {
        "@trace, nothing captured": _repeated(empty),
        "@trace, two scalars and a result": _repeated(lambda: scalars(1, "text")),
        "@trace, two scalars by keyword and a result, in a span": nested,
        "@trace, 2 KB chat": _repeated(lambda: chat(CHAT)),
        "@trace, two scalars and a result, async": lambda times: asyncio.run(awaited(times)),
        "@trace, disabled": _repeated(lambda: disabled(1)),
        "@trace, sampled out": _repeated(lambda: sampled_out(1)),
    }


def _repeated(call: Callable[[], object]) -> Work:
    def work(times: int) -> None:
        for _ in range(times):
            call()

    return work
