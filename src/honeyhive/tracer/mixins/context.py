"""Saying more about what runs now, and taking it to other threads: enrichment, baggage, wrapped functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from opentelemetry import baggage as otel_baggage
from opentelemetry.context import get_current

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.enrichment import enrich_current_span
from honeyhive.tracer.interfaces import NeedsIdentity, NeedsOutbox, TracerContextInterface
from honeyhive.utils.guard import guard
from honeyhive.utils.normalise import normalise_key

if TYPE_CHECKING:
    from opentelemetry.context.context import Context

__all__ = ["TracerContextMixin"]

P = ParamSpec("P")
R = TypeVar("R")


class TracerContextMixin(TracerContextInterface, NeedsIdentity, NeedsOutbox):
    """Offers enrichment, baggage and work on other threads over OpenTelemetry's context."""

    def enrich_span(self, attributes: Mapping[str, Any] | None = None, **named: Any) -> bool:
        return enrich_current_span(attributes, named, identity=self.identity, outbox=self.outbox)

    def wrap(self, function: Callable[P, R]) -> Callable[P, R]:
        return hh_context.carried(function, hh_context.with_tracer(get_current(), self.identity))

    def get_baggage(self, key: str, ctx: Context | None = None) -> str | None:
        with guard("get_baggage"):
            wanted = normalise_key(key)
            for name, value in otel_baggage.get_all(ctx).items():
                if name == key or normalise_key(name) == wanted:
                    return str(value)
        return None

    def set_baggage(self, key: str, value: str, ctx: Context | None = None) -> Context:
        context = get_current() if ctx is None else ctx
        with guard("set_baggage"):
            context = hh_context.with_baggage(context, {normalise_key(key): str(value)})
            if ctx is None:
                hh_context.attach(context)
        return context
