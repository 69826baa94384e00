"""CPU that a traced call costs its own thread, as a ratio to an empty span of the OpenTelemetry SDK.

    python benchmarks/spans.py [ROUNDS]    fails above the promised limits

Everything is switched on: capture, journal on disk, redaction. Cases take turns within
each round; the median of the rounds' ratios is shown, so a busy machine moves the
figures little. Spans that were dropped would be cheap ones, so their number is shown too.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from statistics import median
from time import sleep, thread_time_ns

from parts.calls import Work, calls
from parts.promises import kept

CALLS = 2_000

PROMISED = {
    "start_as_current_span, our provider": 0.20,
    "@trace, nothing captured": 0.16,
    "@trace, two scalars and a result": 0.20,
    "@trace, two scalars and a result, async": 0.25,
    "@trace, 2 KB chat": 0.35,
    "@trace, disabled": 0.05,
    "@trace, sampled out": 0.12,
    "garbage-collected objects per waiting span": 5,
}
"""At most this many empty OpenTelemetry spans."""


def cost(work: Work) -> float:
    """Microseconds of this thread's CPU per call."""
    began = thread_time_ns()
    work(CALLS)
    return (thread_time_ns() - began) / CALLS / 1000


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

    tracer = TestableTracer(span_processor=Keep(), test_mode=True)

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
        base, measured = calls()
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
        table = {name: median(found) for name, found in ratios.items()}
        table["garbage-collected objects per waiting span"] = tracked_objects_per_span()
        holds = kept(table, PROMISED)
        from honeyhive import statistics

        totals = statistics()
        print(f"spans finished {totals.finished}, dropped {dict(totals.dropped)}")
        os._exit(0 if holds else 1)  # leaves the spans of the benchmark behind, unsent


if __name__ == "__main__":
    sys.exit(main())
