"""CPU of encoding one span, as a ratio to the official encoder in the same run.

    python benchmarks/encode.py [ROUNDS]

Cases take turns within each round, and the median of the rounds' ratios is shown, so that a busy machine moves
the figures little.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import thread_time_ns

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from honeyhive.tracer.export.encode import SpanEncoder
from honeyhive.tracer.provider import TracerProvider as OurProvider
from honeyhive.utils.redact import Redactor

SPANS = 512


def attributes(number: int) -> dict[str, str | int | float | bool]:
    """Ten attributes, about 900 bytes encoded: what a model call carries besides its messages."""
    return {
        "honeyhive.project": "shop",
        "honeyhive.source": "production",
        "honeyhive_event_type": "model",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.input_tokens": 1000 + number,
        "gen_ai.usage.output_tokens": 200,
        "gen_ai.request.temperature": 0.7,
        "honeyhive_metadata.cached": False,
        "honeyhive_inputs.question": f"What is the weather like in place number {number}, and what should I wear? " * 4,
        "honeyhive_outputs.result": f"It rains in place {number}. Take a coat and good shoes. " * 4,
    }


def finished(provider: TracerProvider) -> list[ReadableSpan]:
    """Spans as a provider's processors receive them."""
    tracer = provider.get_tracer("bench", "1.0")
    spans = []
    for number in range(SPANS):
        span = tracer.start_span("agent.answer")
        span.set_attributes(attributes(number))
        span.end()
        spans.append(span)
    return spans  # type: ignore[return-value]


def cost(work: Callable[[], object]) -> float:
    """Microseconds of CPU per span."""
    began = thread_time_ns()
    work()
    return (thread_time_ns() - began) / SPANS / 1000


def measure(cases: Sequence[tuple[str, Callable[[], object]]], rounds: int) -> None:
    """Print each case's cost and its ratio to the first."""
    for _, work in cases:
        work()
    table = [[cost(work) for _, work in cases] for _ in range(rounds)]
    for column, (name, _) in enumerate(cases):
        ratio = median(row[column] / row[0] for row in table)
        print(f"{name:45} {median(row[column] for row in table):7.2f} us/span   ratio {ratio:.3f}")


def main() -> None:
    """Compare the encoders on the SDK's spans and on ours."""
    resource = Resource.create({"service.name": "bench"})
    theirs = finished(TracerProvider(sampler=ALWAYS_ON, resource=resource))
    ours = finished(OurProvider(resource=resource))
    plain, redacting = SpanEncoder(), SpanEncoder(Redactor())
    measure(
        [
            ("official encoder", lambda: official_spans(theirs).SerializeToString()),
            ("ours, SDK spans", lambda: plain.request(theirs)),
            ("ours, our spans", lambda: plain.request(ours)),
            ("ours, SDK spans, redacted", lambda: redacting.request(theirs)),
            ("ours, our spans, redacted", lambda: redacting.request(ours)),
        ],
        rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 21,
    )


if __name__ == "__main__":
    main()
