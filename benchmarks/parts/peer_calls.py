"""What a decorated call costs its own thread with one SDK, in empty spans of the OpenTelemetry SDK of its environment.

    python peer_calls.py honeyhive|langfuse|logfire ADDRESS ROUNDS    prints JSON: the median ratio of each case

Each decorates the same three functions by the means that its documentation names, and sends to ADDRESS, or nowhere where it
has no address to be told.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from statistics import median
from time import sleep, thread_time_ns
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

CALLS = 500
CHAT = [{"role": "user", "content": f"message {number} " + "of some length " * 26} for number in range(5)]

Decorate = Callable[[Callable[..., Any]], Callable[..., Any]]


class Nowhere(SpanExporter):
    """An exporter that takes everything at once."""

    def export(self, spans: object) -> SpanExportResult:
        """Succeed."""
        return SpanExportResult.SUCCESS


def honeyhive(address: str) -> tuple[Decorate, Decorate]:
    """Return our decorators: without and with what is captured."""
    from honeyhive import HoneyHiveTracer, trace

    HoneyHiveTracer.init(api_key="key", project="bench", server_url=address, console=False)
    return trace(capture=False), trace()


def langfuse(address: str) -> tuple[Decorate, Decorate]:
    """Return Langfuse's decorators."""
    from langfuse import Langfuse, observe

    Langfuse(public_key="pk-bench", secret_key="sk-bench", base_url=address)  # noqa: S106 - no secret
    return observe(capture_input=False, capture_output=False), observe()


def logfire(address: str) -> tuple[Decorate, Decorate]:
    """Return Logfire's decorators; it sends nowhere, since it has no address to be told without a token."""
    import logfire as theirs

    theirs.configure(send_to_logfire=False, console=False, additional_span_processors=[BatchSpanProcessor(Nowhere())])
    return theirs.instrument("call", extract_args=False), theirs.instrument(
        "call", extract_args=True, record_return=True
    )


def cost(call: Callable[[], object]) -> float:
    """Return the CPU of this thread per call, in nanoseconds."""
    began = thread_time_ns()
    for _ in range(CALLS):
        call()
    return (thread_time_ns() - began) / CALLS


def main() -> None:
    """Measure the SDK that is asked for."""
    name, address, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    silent, capturing = {"honeyhive": honeyhive, "langfuse": langfuse, "logfire": logfire}[name](address)
    stock = TracerProvider(shutdown_on_exit=False)
    stock.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=1_000_000))
    tracer = stock.get_tracer("bench")

    @silent
    def empty() -> None: ...

    @capturing
    def scalars(number: int, text: str) -> int:
        return number

    @capturing
    def chat(messages: list[dict[str, str]]) -> str:
        return "ok"

    def span() -> None:
        with tracer.start_as_current_span("op"):
            pass

    cases: dict[str, Callable[[], object]] = {
        "nothing captured": empty,
        "two scalars and a result": lambda: scalars(1, "text"),
        "2 KB chat": lambda: chat(CHAT),
    }
    ratios: dict[str, list[float]] = {case: [] for case in cases}
    for number in range(rounds + 1):
        unit = cost(span)
        for case, call in cases.items():
            ratio = cost(call) / unit
            if number:  # the first round warms up
                ratios[case].append(ratio)
        sleep(0.5)  # lets the exporters catch up, so that nothing is dropped, which would be cheap
    print(json.dumps({case: median(found) for case, found in ratios.items()}), flush=True)
    os._exit(0)  # leaves the spans of the benchmark behind


if __name__ == "__main__":
    main()
