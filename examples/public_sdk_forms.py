"""Programs written for the public HoneyHive SDK run unchanged: its documented call forms, all in one place.

A check that nothing has to be rewritten, and a map for readers who come from there.
"""

import asyncio
from typing import Any

from honeyhive import (
    HoneyHiveTracer,
    atrace,
    enrich_session,
    enrich_span,
    flush,
    set_default_tracer,
    trace,
    trace_class,
)
from honeyhive.models import EventType

tracer = HoneyHiveTracer.init(project="public-sdk-forms", session_name="documented forms", source="dev")


@trace
def bare(text: str) -> str:
    return text.title()


@trace(event_type=EventType.model, event_name="completion", config={"model": "trail-mini"})
def with_arguments(prompt: str) -> str:
    enrich_span(
        {"attempt": 1},
        metrics={"latency_ms": 12.5},
        feedback={"helpful": True},
        inputs={"prompt": prompt},
        outputs={"text": "fine"},
        config={"temperature": 0.2},
    )
    return "fine"


@trace(event_type="demo", tracer=tracer, metadata={"team": "docs"})
def explicit_tracer(count: int) -> list[int]:
    tracer.enrich_span(metadata={"kind": "list"}, user_properties={"tier": "gold"})
    return list(range(count))


@tracer.trace(event_type="tool")
def by_the_instance(path: str) -> str:
    return path.upper()


@atrace(event_type=EventType.tool)
async def asynchronous(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@trace_class
class Service:
    """Its public methods are traced, the static one too."""

    def answer(self, question: str) -> str:
        return self.polish(question)

    @staticmethod
    def polish(text: str) -> str:
        return text.strip()


@trace(event_type="chain")
def one_request() -> None:
    bare("hello")
    with_arguments("say hello")
    explicit_tracer(3)
    by_the_instance("docs/index.md")
    asyncio.run(asynchronous(0.001))
    Service().answer(" why? ")
    by_hand()


def by_hand() -> None:
    """Manual spans."""
    with tracer.start_span("lookup", attributes={"index": 7}) as span:
        span.set_attribute("hit", True)
    with tracer.trace("rank", event_type="tool", candidates=3), enrich_span(metadata={"stage": "second"}):
        pass
    started = tracer.start_span("ended later")
    started.end()


def sessions() -> None:
    """Sessions of their own, and what is said about them."""
    enrich_session(user_properties={"user_id": "u-1"}, feedback={"rating": 4}, metadata={"channel": "web"})
    tracer.enrich_session(metrics={"turns": 2}, outputs={"answer": "fine"})
    with tracer.with_session("customer 2", inputs={"question": "where?"}) as session_id:
        bare(f"in {session_id}")
    tracer.create_event("imported", event_type="tool", inputs={"row": 1}, outputs={"ok": True}, duration=3.0)


def across_services() -> None:
    """Carriers out and in, in all documented spellings."""
    carrier: dict[str, str] = {}
    tracer.set_baggage("Customer-Id", "c-9")
    with tracer.start_span("caller"):
        tracer.inject_context(carrier)
        tracer.inject(carrier)
    context = tracer.extract_context(carrier)
    assert context is not None
    token = tracer.link(carrier)
    bare("linked")
    tracer.unlink(token)
    assert tracer.get_baggage("customer_id") == "c-9"


def old_constructor() -> None:
    """The positional form of the 0.2 line, instrumentors as a keyword, and a second tracer beside the first."""
    older = HoneyHiveTracer.init(None, "public-sdk-forms", "second tracer", instrumentors=[NoInstrumentor()])
    set_default_tracer(older)
    bare("second")
    set_default_tracer(tracer)
    older.shutdown()


class NoInstrumentor:
    """Stands for any OpenTelemetry instrumentor: it is handed the tracer's provider."""

    def instrument(self, **options: Any) -> None:
        assert options["tracer_provider"] is not tracer.provider

    def uninstrument(self) -> None:
        pass


if __name__ == "__main__":
    one_request()
    sessions()
    across_services()
    old_constructor()
    flush()
    assert tracer.flush(10_000)
    tracer.shutdown()
    print("every form ran")
