"""CPU of a whole process per traced call with 2 KB in and 2 KB out, as a ratio to the OpenTelemetry SDK.

    python benchmarks/process.py [ROUNDS]    fails above the promised limits

Ours does everything: capture, JSON, redaction, journal, HTTP. The SDK gets the same attributes from hand-written code,
inputs and outputs as JSON text, and sends them with its own exporter, uncompressed. Each run is a process of its own;
they take turns. *plain* is without orjson, *fast* with it, as ``honeyhive[fast]`` installs it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from statistics import median
from time import process_time_ns

from parts.calls import CHAT
from parts.promises import kept
from parts.sink import sink

CALLS = 10_000
WARM_UP = 1_000
REPLY = {"role": "assistant", "content": "an answer of some length " * 80, "usage": {"input_tokens": 500}}
STATICS = {
    "honeyhive_event_type": "model",
    "honeyhive_event_name": "chat",
    "honeyhive_project": "bench",
    "honeyhive.project": "bench",
    "honeyhive.source": "production",
    "honeyhive.session_id": "0b9f4a6e-54c6-4f4c-9a53-7c9f9a1d3c11",
}

Call = Callable[[object], object]
Flush = Callable[[], object]

PROMISED = {"plain": 0.55, "fast": 0.35}
"""At most this part of what the SDK takes."""


def main(arguments: list[str]) -> int:
    """Measure, print a table, and return 1 where a promise is broken."""
    if arguments and arguments[0] in {"plain", "fast", "theirs"}:
        print(run(arguments[0]))
        return 0
    rounds = int(arguments[0]) if arguments else 7
    ways = ["theirs", "plain", "fast"]
    if importlib.util.find_spec("orjson") is None:
        print("NOT MEASURED: fast, since orjson is not installed")
        ways.remove("fast")
    with sink() as address:
        table = [{way: cost(way, address) for way in ways} for _ in range(rounds)]
    print("µs per call: " + ", ".join(f"{way} {median(row[way] for row in table):.1f}" for way in ways))
    measured = {way: median(row[way] / row["theirs"] for row in table) for way in ways[1:]}
    return int(not kept(measured, PROMISED))


def cost(way: str, address: str) -> float:
    """Microseconds of CPU per call in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": address, "XDG_STATE_HOME": folder}
        for name in ("HH_API_KEY", "HH_API_URL"):
            environment.pop(name, None)
        answer = subprocess.run(
            [sys.executable, __file__, way], env=environment, capture_output=True, text=True, check=True
        )
        return float(answer.stdout)


def run(way: str) -> float:
    """Make the calls in this process, have everything sent, and return microseconds of CPU per call."""
    if way == "plain":
        sys.modules["orjson"] = None  # type: ignore[assignment] # as if it were not installed
    call, flush = their_call() if way == "theirs" else our_call()
    for _ in range(WARM_UP):
        call(CHAT)
    assert flush()
    began = process_time_ns()
    for _ in range(CALLS):
        call(CHAT)
    assert flush()
    return (process_time_ns() - began) / CALLS / 1000


def our_call() -> tuple[Call, Flush]:
    """Return a traced function, and what sends everything."""
    from honeyhive import HoneyHiveTracer, trace

    tracer = HoneyHiveTracer.init(project="bench", max_queue_bytes=2**30, spool_max_bytes=2**40, console=False)

    @trace(event_type="model", event_name="chat")
    def call(messages: object) -> object:
        return REPLY

    return call, tracer.flush


def their_call() -> tuple[Call, Flush]:
    """Return a function that makes a span of the SDK by hand, and what sends everything."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=1_000_000))
    tracer = provider.get_tracer("bench")

    def call(messages: object) -> object:
        with tracer.start_as_current_span("chat", attributes=STATICS) as span:
            span.set_attribute("honeyhive_inputs.messages", json.dumps(messages))
            span.set_attribute("honeyhive_outputs.result", json.dumps(REPLY))
            return REPLY

    return call, provider.force_flush


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
