"""The spans of messages: one where a message is published, one for each handler, in one trace across processes.

Spans are made through the OpenTelemetry API by the tracer that a bare ``@trace`` means here, or else by the process-wide
provider. Where there is neither, no span is made and the trace that a message came with goes on all the same.
"""

from __future__ import annotations

import functools
import os
import sys
import weakref
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry import trace as otel_trace
from opentelemetry.environment_variables import OTEL_PYTHON_TRACER_PROVIDER
from opentelemetry.trace import ProxyTracerProvider, SpanKind, Status, StatusCode

from honeyhive.events.lineage import trace_of
from honeyhive.events.messages import is_traced
from honeyhive.tracer import context as hh_context

if TYPE_CHECKING:
    from opentelemetry.context.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import Span, Tracer, TracerProvider

    from honeyhive.events.messages import Message

__all__ = ["MessageTracing", "continued", "records_spans", "spanned"]

_SCOPE = "honeyhive.events"
_UNKNOWN = object()
_tracers: weakref.WeakKeyDictionary[TracerProvider, Tracer] = weakref.WeakKeyDictionary()


def records_spans() -> bool:
    """Tell whether there is a tracer here at all."""
    return _provider(_owner()) is not None


def continued(trace_context: Mapping[str, str]) -> AbstractContextManager[None]:
    """Continue the trace of *trace_context*, W3C headers, in a block."""
    return _Attached(extracted(trace_context)) if trace_context else _NOTHING


def extracted(trace_context: Mapping[str, str]) -> Context:
    """Return the current context with the trace and the baggage that *trace_context* brings."""
    return _propagator().extract(trace_context)


@functools.cache
def _propagator() -> TextMapPropagator:
    from honeyhive.tracer.baggage import w3c_headers

    return w3c_headers()


class MessageTracing:
    """Makes the spans of one bus, named and described as OpenTelemetry's conventions for messaging say.

    Args:
        system: What carries the messages: ``"redis"``, ``"rabbitmq"``, ``"in_memory"``.
        destination: The name of the stream, exchange or topic.
        group: The consumer group, where there are groups.
    """

    def __init__(self, system: str, destination: str, group: str | None = None) -> None:
        common = {"messaging.system": system, "messaging.destination.name": destination}
        if group is not None:
            common["messaging.consumer.group.name"] = group
        self._sending = {**common, "messaging.operation.name": "publish", "messaging.operation.type": "send"}
        self._processing = {**common, "messaging.operation.name": "process", "messaging.operation.type": "process"}

    def publishing(self, message: Message) -> AbstractContextManager[Mapping[str, str]]:
        """Put a span around the publishing of *message*, if it is traced; yields the trace that is to travel with it."""
        owner = _owner()
        tracer = _tracer(owner)
        if tracer is None or not is_traced(message):
            return nullcontext(message.trace_context or trace_of())
        span = _span(tracer, "publish", SpanKind.PRODUCER, self._sending, message)
        return _Publishing(span, _parent(message), owner)

    def processing(self, message: Message, handler: str) -> AbstractContextManager[Span]:
        """Put a span around one handler of *message*, if it is traced, in the current trace."""
        tracer = _tracer(_owner())
        if tracer is None or not is_traced(message):
            return _UNRECORDED
        attributes = {**self._processing, "honeyhive.handler": handler}
        return _span(tracer, "process", SpanKind.CONSUMER, attributes, message)

    def rejected(self, message: Message, reason: str) -> None:
        """Leave a failed span of *message*, in the trace it came with: no handler will be called for it."""
        tracer = _tracer(_owner())
        if tracer is None:
            return
        with (
            continued(message.trace_context),
            _span(tracer, "process", SpanKind.CONSUMER, self._processing, message) as span,
        ):
            span.set_status(Status(StatusCode.ERROR, reason))


class _Attached(AbstractContextManager[None]):
    """Makes *context* the current one in a block: a class and no generator, since every message pays for it."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = hh_context.attach(self._context)

    def __exit__(self, *_: object) -> None:
        hh_context.detach(self._token)


class _Publishing(AbstractContextManager[Mapping[str, str]]):
    """Opens *span* below *parent*, or where that is ``None`` in the current trace, and yields what travels.

    That is the headers of the trace, and the session of *owner*, where the span belongs to a tracer of ours.
    """

    __slots__ = ("_outside", "_owner", "_span")

    def __init__(self, span: AbstractContextManager[Span], parent: Context | None, owner: Any) -> None:
        self._span = span
        self._outside = _NOTHING if parent is None else _Attached(parent)
        self._owner = owner

    def __enter__(self) -> Mapping[str, str]:
        self._outside.__enter__()
        self._span.__enter__()
        return trace_of() if self._owner is None else self._owner.inject_context({})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._span.__exit__(kind, error, traceback)
        self._outside.__exit__(kind, error, traceback)


_UNRECORDED = nullcontext(otel_trace.INVALID_SPAN)


def _span(
    tracer: Tracer, name: str, kind: SpanKind, described: Mapping[str, str], message: Message
) -> AbstractContextManager[Span]:
    """Return a span about *message*, as *described* and as the message itself tells."""
    attributes = {
        **described,
        "messaging.message.id": message.id,
        "messaging.message.conversation_id": message.correlation_id,
        "cloudevents.event_id": message.id,
        "cloudevents.event_source": message.source,
        "cloudevents.event_type": message.type,
    }
    if message.subject:
        attributes["cloudevents.event_subject"] = message.subject
    return tracer.start_as_current_span(f"{name} {message.type}", kind=kind, attributes=attributes)


@contextmanager
def spanned(title: str, attributes: Mapping[str, str]) -> Iterator[None]:
    """Put a span around a block, where there is a tracer; an error that leaves the block is on it."""
    tracer = _tracer(_owner())
    if tracer is None:
        yield
        return
    with tracer.start_as_current_span(title, attributes=attributes):
        yield


def mark_failed(span: Span, error: BaseException) -> None:
    """Put *error* on *span*, for errors that do not leave its block."""
    span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))


def _owner() -> Any:
    """Return the tracer of ours that is meant here, or ``None``."""
    registry = sys.modules.get("honeyhive.tracer.registry")
    return None if registry is None else registry.discover_tracer()


def _provider(owner: Any) -> TracerProvider | None:
    """Return the provider of *owner*, where there is one, or of the process."""
    if owner is not None:
        found: TracerProvider = owner.provider
        return found
    if _no_provider_is_set():
        return None
    provider = otel_trace.get_tracer_provider()
    return None if isinstance(provider, ProxyTracerProvider) else provider


def _no_provider_is_set() -> bool:
    """Tell for sure that there is no process-wide provider; asking for it reads the environment each time.

    Where the private name is gone, and where the environment names a provider, there may be one.
    """
    return getattr(otel_trace, "_TRACER_PROVIDER", _UNKNOWN) is None and not _environment_names_provider()


@functools.cache
def _environment_names_provider() -> bool:
    return OTEL_PYTHON_TRACER_PROVIDER in os.environ


def _tracer(owner: Any) -> Tracer | None:
    provider = _provider(owner)
    if provider is None:
        return None
    tracer = _tracers.get(provider)
    if tracer is None:
        tracer = _tracers[provider] = provider.get_tracer(_SCOPE)
    return tracer


def _parent(message: Message) -> Context | None:
    """Return the context a message is published in: the current trace, or where there is none the one it was made in."""
    if otel_trace.get_current_span().get_span_context().is_valid or "traceparent" not in message.trace_context:
        return None
    return extracted(message.trace_context)


_NOTHING: AbstractContextManager[None] = nullcontext()
