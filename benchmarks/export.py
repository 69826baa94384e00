"""What exporting costs: CPU per span, and the delay of other threads, beside OpenTelemetry's exporter.

    python benchmarks/export.py [ROUNDS]    fails above the promised limits

Ours goes the whole way: queue, encoding, redaction, the journal on disk, HTTP without compression; theirs encodes
and sends. Both send the same ten attributes (about 900 bytes a span) in requests of 512 spans to a backend in another
process. CPU is that of the whole process, its threads included.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time_ns, sleep

from encode import finished
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from parts.promises import kept
from parts.sink import sink

from honeyhive.tracer.export import Destination, PipelineSettings, pipeline_for
from honeyhive.tracer.provider import TracerProvider as OurProvider
from honeyhive.utils.redact import Redactor

BATCHES = 8
PAUSE_S = 0.001

PROMISED = {"CPU per span": 0.30, "another thread's wake-up, p90": 0.20}
"""At most this part of what OpenTelemetry's exporter takes."""

Export = Callable[[], None]
"""Exports a backlog of spans, and returns when all are sent."""


def main() -> int:
    """Measure, print a table, and return 1 where a promise is broken."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory() as folder, sink() as address:
        ours, theirs = our_export(f"{address}/v1/traces", Path(folder)), their_export(f"{address}/v1/traces")
        for export in (ours, theirs):
            export()
        cpu = [(cost(ours), cost(theirs)) for _ in range(rounds)]
        delays = [(delay(ours), delay(theirs)) for _ in range(rounds)]
    for name, table, unit in (("CPU per span", cpu, "µs"), ("wake-up, p90", delays, "ms")):
        print(
            f"{name:14} ours {median(a for a, _ in table):7.2f} {unit}, theirs {median(b for _, b in table):7.2f} {unit}"
        )
    measured = (median(a / b for a, b in table) for table in (cpu, delays))
    return int(not kept(dict(zip(PROMISED, measured, strict=True)), PROMISED))


def our_export(url: str, folder: Path) -> Export:
    """Return our way out, with journal and redaction."""
    settings = PipelineSettings(spool_dir=folder, max_queue_bytes=2**30)
    pipeline = pipeline_for(Destination.remote(url, key="k"), settings, Redactor())
    spans = backlog(OurProvider(resource=Resource.create({"service.name": "bench"})))

    def export() -> None:
        for span in spans:
            pipeline.finished(span)
        assert pipeline.flush()

    return export


def their_export(url: str) -> Export:
    """Return OpenTelemetry's batch processor and exporter, uncompressed."""
    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=url), max_queue_size=1_000_000)
    spans = backlog(TracerProvider(sampler=ALWAYS_ON, resource=Resource.create({"service.name": "bench"})))

    def export() -> None:
        for span in spans:
            processor.on_end(span)
        assert processor.force_flush()

    return export


def backlog(provider: TracerProvider) -> Sequence[ReadableSpan]:
    """Return finished spans of ten attributes each."""
    return [span for _ in range(BATCHES) for span in finished(provider)]


def cost(export: Export) -> float:
    """Microseconds of the process's CPU per span."""
    began = process_time_ns()
    export()
    return (process_time_ns() - began) / (BATCHES * 512) / 1000


def delay(export: Export) -> float:
    """Milliseconds by which this thread wakes too late while a backlog is exported; one time in ten it is more."""
    exporting = threading.Thread(target=export)
    late = []
    exporting.start()
    while exporting.is_alive():
        slept = perf_counter()
        sleep(PAUSE_S)
        late.append(perf_counter() - slept - PAUSE_S)
    return quantiles(late, n=10)[-1] * 1000


if __name__ == "__main__":
    sys.exit(main())
