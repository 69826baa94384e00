"""A program that has OpenTelemetry already: keep its provider, add one processor.

Its spans go through our journal to the backend, beside whatever other exporters
it has. No tracer of ours, no decorator.
"""

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from honeyhive import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "orders", "honeyhive.project": "existing-otel"}))
provider.add_span_processor(BatchSpanProcessor())
trace.set_tracer_provider(provider)

tracer = trace.get_tracer("orders")


def handle(order: int) -> str:
    with tracer.start_as_current_span("handle request") as span:
        span.set_attribute("order", order)
        with tracer.start_as_current_span("query database"):
            return f"order {order} is on its way"


if __name__ == "__main__":
    print(handle(7))
    provider.shutdown()
