"""What a tracer does to its surroundings when it is made, and only when it was asked to."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from honeyhive.utils.guard import guard

if TYPE_CHECKING:
    from honeyhive.config import Settings

__all__ = ["attach", "attach_instrumentors"]

_logger = logging.getLogger("honeyhive")

_HTTP_INSTRUMENTORS: Mapping[str, str] = {
    "opentelemetry.instrumentation.httpx": "HTTPXClientInstrumentor",
    "opentelemetry.instrumentation.requests": "RequestsInstrumentor",
    "opentelemetry.instrumentation.urllib3": "URLLib3Instrumentor",
    "opentelemetry.instrumentation.aiohttp_client": "AioHttpClientInstrumentor",
}


def attach(tracer: Any, settings: Settings) -> None:
    """Do what *settings* ask: global provider, instrumentors, HTTP tracing, continuing a trace, taking logs along."""
    if settings.set_global:
        _make_global(tracer)
    if settings.instrumentors:
        attach_instrumentors(tracer.provider, settings.instrumentors)
    if not settings.disable_http_tracing:
        _trace_http(tracer.provider)
    if settings.link_carrier:
        tracer.link(settings.link_carrier)
    if settings.capture_logs:
        from honeyhive.tracer.leaving import redactor_of
        from honeyhive.tracer.logs import capture_logs

        capture_logs(tracer, redactor_of(settings))


def _make_global(tracer: Any) -> None:
    from opentelemetry import trace as otel_trace
    from opentelemetry.sdk.trace import TracerProvider

    present = otel_trace.get_tracer_provider()
    if isinstance(present, TracerProvider):
        _logger.warning(
            "honeyhive: OpenTelemetry has a global tracer provider already, which stays; to get its spans too, "
            "give it a HoneyHiveSpanProcessor(tracer_instance=tracer)."
        )
        return
    otel_trace.set_tracer_provider(tracer.provider)


def attach_instrumentors(provider: object, instrumentors: Any) -> int:
    """Let OpenTelemetry *instrumentors* write to *provider*.

    Each is an instrumentor, its class, or a function without arguments that makes one.

    Returns:
        How many were attached; one that fails is reported and left out.
    """
    attached = 0
    for each in instrumentors:
        with guard("instrument"):
            instrumentor = each if hasattr(each, "instrument") and not isinstance(each, type) else each()
            instrumentor.instrument(tracer_provider=provider)
            attached += 1
    return attached


def _trace_http(provider: object) -> None:
    found = []
    for module, name in _HTTP_INSTRUMENTORS.items():
        try:
            found.append(getattr(importlib.import_module(module), name))
        except ImportError:
            continue
    if not attach_instrumentors(provider, found):
        _logger.warning(
            "disable_http_tracing=False needs an instrumentor: install opentelemetry-instrumentation-httpx "
            "or the one for your HTTP library"
        )
