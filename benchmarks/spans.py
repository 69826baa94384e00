"""CPU that a traced call costs its own thread, as a ratio to an empty span of the OpenTelemetry SDK.

    python benchmarks/spans.py [ROUNDS]    fails above the promised limits

Everything is switched on: capture, journal on disk, redaction. Cases take turns within
each round; the median of the rounds' ratios is shown, so a busy machine moves the
figures little. Spans that were dropped would be cheap ones, so their number is shown too.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
from collections.abc import Callable
from statistics import median
from time import sleep, thread_time_ns

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

CALLS = 2_000
CHAT = [{"role": "user", "content": f"message {number} " + "of some length " * 26} for number in range(5)]

PROMISED = {
    "start_as_current_span, our provider": 1.0,
    "@trace, nothing captured": 1.0,
    "@trace, two scalars and a result": 1.0,
    "@trace, two scalars and a result, async": 1.0,
    "@trace, 2 KB chat": 1.5,
}
"""At most this many empty OpenTelemetry spans; what is not listed is shown only."""


class Nowhere(SpanExporter):
    """An exporter that takes everything at once."""

    def export(self, spans: object) -> SpanExportResult:
        """Succeed."""
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Have nothing to close."""


def cost(work: Callable[[], object], calls: int = CALLS) -> float:
    """Microseconds of this thread's CPU per call."""
    began = thread_time_ns()
    work()
    return (thread_time_ns() - began) / calls / 1000


def cases() -> tuple[Callable[[], None], dict[str, Callable[[], None]]]:
    """Return what is measured against, and what is measured."""
    from honeyhive import HoneyHiveTracer, trace

    stock = TracerProvider(shutdown_on_exit=False)
    stock.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=1_000_000))
    theirs = stock.get_tracer("bench")
    tracer = HoneyHiveTracer.init(project="bench", spool_max_bytes=2**40, max_queue_bytes=2**30)
    ours = tracer.provider.get_tracer("bench")
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

    def repeat(call: Callable[[], object]) -> Callable[[], None]:
        def work() -> None:
            for _ in range(CALLS):
                call()

        return work

    def stock_span() -> None:
        for _ in range(CALLS):
            with theirs.start_as_current_span("op"):
                pass

    def our_span() -> None:
        for _ in range(CALLS):
            with ours.start_as_current_span("op"):
                pass

    async def awaited() -> None:
        for _ in range(CALLS):
            await scalars_async(1, "text")

    return stock_span, {
        "start_as_current_span, our provider": our_span,
        "@trace, nothing captured": repeat(empty),
        "@trace, two scalars and a result": repeat(lambda: scalars(1, "text")),
        "@trace, two scalars and a result, async": lambda: asyncio.run(awaited()),
        "@trace, 2 KB chat": repeat(lambda: chat(CHAT)),
        "@trace, disabled": repeat(lambda: disabled(1)),
        "@trace, sampled out": repeat(lambda: sampled_out(1)),
    }


def tracked_objects_per_span() -> float:
    """Count the objects that the garbage collector must visit for each waiting span."""
    from honeyhive import trace
    from honeyhive.testing import TestableTracer

    kept: list[object] = []

    class Keep:
        def on_start(self, span: object, parent_context: object = None) -> None: ...

        def on_end(self, span: object) -> None:
            kept.append(span)

        def shutdown(self) -> None: ...

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return True

    tracer = TestableTracer(span_processor=Keep(), test_mode=True)  # type: ignore[arg-type] # a processor by its methods

    @trace(tracer=tracer)
    def scalars(number: int, text: str) -> int:
        return number

    gc.collect()
    before = len(gc.get_objects())
    for number in range(1000):
        scalars(number, "text")
    gc.collect()
    return (len(gc.get_objects()) - before) / 1000


def main() -> int:
    """Measure, print a table, and return 1 where a promise is broken."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        base, measured = cases()
        ratios: dict[str, list[float]] = {name: [] for name in measured}
        yardstick = []
        for number in range(rounds + 1):
            unit = cost(base)
            for name, work in measured.items():
                ratio = cost(work) / unit
                if number:  # the first round warms up
                    ratios[name].append(ratio)
            yardstick.append(unit)
            sleep(0.2)  # lets both exporters catch up, so that they do not measure each other
        print(f"an empty span of the OpenTelemetry SDK: {median(yardstick):.1f} µs of CPU; {rounds} rounds\n")
        print(f"{'':42}  ratio  at most")
        broken = False
        for name, found in ratios.items():
            limit = PROMISED.get(name)
            broken |= limit is not None and median(found) > limit
            print(f"{name:42}  {median(found):5.3f}  {'' if limit is None else limit}")
        print(f"\ngarbage-collected objects per waiting span: {tracked_objects_per_span():.2f}")
        from honeyhive import statistics

        totals = statistics()
        print(f"spans finished {totals.finished}, dropped {dict(totals.dropped)}")
        os._exit(1 if broken else 0)  # leaves the spans of the benchmark behind, unsent


if __name__ == "__main__":
    sys.exit(main())
