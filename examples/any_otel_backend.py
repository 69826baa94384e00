"""Send to any OpenTelemetry backend: Jaeger, Tempo, a collector, a vendor.

With no HoneyHive key, the standard variables decide, as for every OpenTelemetry
program::

    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 python examples/any_otel_backend.py

Spans carry the GenAI and OpenInference attributes that such backends know.
"""

import sys

from honeyhive import HoneyHiveTracer, trace


@trace(event_type="chain")
def plan(days: int) -> list[str]:
    return [walk(day) for day in range(1, days + 1)]


@trace(event_type="tool")
def walk(day: int) -> str:
    return f"day {day}: {10 + 2 * day} km"


if __name__ == "__main__":
    tracer = HoneyHiveTracer.init(project="anywhere", service_name="hike-planner")
    print("\n".join(plan(2)))
    result = tracer.flush(timeout_millis=5_000)
    print(f"{result.delivered} spans delivered, {result.spooled} kept for later, {result.dropped} dropped")
    sys.exit(0 if result else 1)
