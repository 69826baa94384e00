"""Joining an OpenTelemetry provider that is not ours: its spans leave as those of a tracer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from opentelemetry import trace as otel_trace
from opentelemetry.context import get_current
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from honeyhive.exceptions import ConfigurationError
from honeyhive.tracer import context as hh_context
from honeyhive.tracer.identity import identity_attributes
from honeyhive.tracer.registry import discover_tracer
from honeyhive.tracer.span import Span
from honeyhive.utils.guard import guard

if TYPE_CHECKING:
    from opentelemetry.context.context import Context
    from opentelemetry.sdk.trace import Span as SdkSpan
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["HoneyHiveSpanProcessor", "get_global_provider", "set_global_provider"]

_logger = logging.getLogger("honeyhive")


class HoneyHiveSpanProcessor(SpanProcessor):
    """Gives the spans of any provider a tracer's session and project, and its way out.

        provider.add_span_processor(HoneyHiveSpanProcessor(tracer_instance=tracer))

    Args:
        client: Not supported: spans leave over OTLP.
        disable_batch: Export each span by itself; for *otlp_exporter*.
        otlp_exporter: Export through this one; otherwise spans leave as the tracer's own do.
        tracer_instance: The tracer; otherwise the one of the context or the default one.

    Raises:
        ConfigurationError: *client* was given, or there is neither a tracer nor an exporter.
    """

    def __init__(
        self,
        client: Any = None,
        disable_batch: bool = False,
        otlp_exporter: SpanExporter | None = None,
        tracer_instance: Any = None,
    ) -> None:
        if client is not None:
            raise ConfigurationError("client is not supported: spans leave over OTLP; give tracer_instance instead")
        self._tracer = discover_tracer(tracer_instance)
        if otlp_exporter is not None:
            from honeyhive.tracer.export.batch import BatchSpanProcessor

            self._way_out: Any = BatchSpanProcessor(1 if disable_batch else 512, exporter=otlp_exporter)
        elif self._tracer is not None and self._tracer.span_processor is not None:
            self._way_out = self._tracer.span_processor
        else:
            raise ConfigurationError("there is no tracer to join: make one first, or give otlp_exporter")

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        """Write the tracer's identity and the context's session onto a span that is not ours."""
        if self._tracer is None or isinstance(span, Span):
            return
        with guard("on_start"):
            where = get_current() if parent_context is None else parent_context
            baggage: Any = where.get(hh_context.BAGGAGE_KEY)
            identity = self._tracer.identity
            session_id = hh_context.session_of(hh_context.sessions_in(where), baggage, identity) or identity.session_id
            span.set_attributes(identity_attributes(identity, session_id, baggage))

    def on_end(self, span: ReadableSpan) -> None:
        """Hand a finished span on."""
        self._way_out.on_end(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the way out; true only if nothing finished before the call can be lost any more."""
        return bool(self._way_out.force_flush(timeout_millis))

    def shutdown(self) -> None:
        """Flush; the tracer itself goes on."""
        self._way_out.force_flush()


def set_global_provider(provider: Any, force_override: bool = False, tracer_instance: Any = None) -> bool:
    """Make *provider* OpenTelemetry's global one, if there is none yet.

    Args:
        provider: The provider, or ``None`` for that of *tracer_instance*.
        force_override: Replace one that was set before; OpenTelemetry itself never does.
        tracer_instance: Whose provider, where none is given.

    Returns:
        Whether it is the global provider now.
    """
    chosen = provider if provider is not None else tracer_instance.provider
    if force_override:
        with guard("set_global_provider"):
            otel_trace._TRACER_PROVIDER = None
            otel_trace._TRACER_PROVIDER_SET_ONCE._done = False
    otel_trace.set_tracer_provider(chosen)
    return otel_trace.get_tracer_provider() is chosen


def get_global_provider(tracer_instance: Any = None) -> Any:
    """Return OpenTelemetry's global provider; with *tracer_instance*, that tracer's own."""
    return otel_trace.get_tracer_provider() if tracer_instance is None else tracer_instance.provider
