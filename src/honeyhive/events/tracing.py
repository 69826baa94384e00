"""The spans of messages: one where a message is published, one for each handler, in one trace across processes.

Spans are made through the OpenTelemetry API by the tracer that a bare ``@trace`` means here, or else by the process-wide
provider. Where there is neither, no span is made and the trace that a message came with goes on all the same.
"""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import trace as otel_trace
from opentelemetry.environment_variables import OTEL_PYTHON_TRACER_PROVIDER
from opentelemetry.trace import ProxyTracerProvider, SpanKind, Status, StatusCode

from honeyhive.events.lineage import trace_of
from honeyhive.events.messages import is_traced
from honeyhive.tracer import context as hh_context
from honeyhive.tracer.baggage import context_of, headers_of
from honeyhive.tracer.details import usual_details
from honeyhive.tracer.identity import CallSite
from honeyhive.tracer.registry import identity_in

if TYPE_CHECKING:
    from opentelemetry.context.context import Context
    from opentelemetry.trace import Span, Tracer, TracerProvider

    from honeyhive.events.messages import Message
    from honeyhive.tracer.identity import Identity

__all__ = ["MessageTracing", "continued", "records_spans", "spanned"]

T = TypeVar("T")

_SCOPE = "honeyhive.events"
_SITES = 256
_PRODUCER, _CONSUMER = usual_details(SpanKind.PRODUCER), usual_details(SpanKind.CONSUMER)
_UNKNOWN = object()
_tracers: weakref.WeakKeyDictionary[TracerProvider, Tracer] = weakref.WeakKeyDictionary()


def records_spans() -> bool:
    """Tell whether there is a tracer here at all."""
    return _tracer(identity_in(hh_context.current())) is not None


def continued(trace_context: Mapping[str, str]) -> AbstractContextManager[None]:
    """Continue the trace of *trace_context*, W3C headers, in a block; nothing else of the current context holds there."""
    return _Attached(context_of(trace_context), None) if trace_context else _NOTHING


class MessageTracing:
    """Makes the spans of one bus, named and described as OpenTelemetry's conventions for messaging say.

    Args:
        system: What carries the messages: ``"redis"``, ``"rabbitmq"``, ``"in_memory"``.
        destination: The name of the stream, exchange or topic.
        group: The consumer group, where there are groups.
        continuing: Whether handlers stand in the trace that a message brings, as it comes from elsewhere, and nothing else
            of the current context holds for them; otherwise they stand in the current trace.
    """

    def __init__(self, system: str, destination: str, group: str | None = None, *, continuing: bool = False) -> None:
        common = {"messaging.system": system, "messaging.destination.name": destination}
        if group is not None:
            common["messaging.consumer.group.name"] = group
        self._continuing = continuing
        self._sending = _sites("publish", "send", common)
        self._processing = _sites("process", "process", common)

    def publishing(self, message: Message) -> AbstractContextManager[Mapping[str, str]]:
        """Put a span around the publishing of *message*, if it is traced; yields the trace that is to travel with it.

        That is the headers of the trace, and the session of the tracer, where the span belongs to one of ours.
        """
        context = hh_context.current()
        identity = identity_in(context)
        tracer = _tracer(identity)
        if tracer is None or not is_traced(message):
            return nullcontext(message.trace_context or trace_of())
        around, site = _context_of(message, context), self._sending(message.type)
        if identity is None:
            return _published(_current_span(tracer, SpanKind.PRODUCER, site, message, around))
        span = tracer.enter_at(site, _PRODUCER, _own_attributes(message), around)
        span.given = headers_of(span.context, identity)
        return span  # type: ignore[no-any-return]

    def processing(self, message: Message, handler: str) -> AbstractContextManager[Span]:
        """Put a span around one handler of *message*, if it is traced; the trace goes on in any case."""
        continues = self._continuing and message.trace_context
        context = context_of(message.trace_context) if continues else hh_context.current()
        identity = identity_in(context)
        tracer = _tracer(identity)
        if tracer is None or not is_traced(message):
            return _Attached(context, otel_trace.INVALID_SPAN) if continues else _UNRECORDED
        site = self._processing(message.type, handler)
        if identity is None:
            return _current_span(tracer, SpanKind.CONSUMER, site, message, context)
        return tracer.enter_at(site, _CONSUMER, _own_attributes(message), context)  # type: ignore[no-any-return]

    def rejected(self, message: Message, reason: str) -> None:
        """Leave a failed span of *message*, in the trace it came with: no handler will be called for it."""
        context = context_of(message.trace_context) if message.trace_context else hh_context.current()
        tracer = _tracer(identity_in(context))
        if tracer is None:
            return
        site = self._processing.__wrapped__(message.type)  # of what nobody can read, the type may be anything
        with _current_span(tracer, SpanKind.CONSUMER, site, message, context) as span:
            span.set_status(Status(StatusCode.ERROR, reason))


def _sites(verb: str, type_: str, described: Mapping[str, str]) -> functools._lru_cache_wrapper[CallSite]:
    """Return what tells, by the type of a message and the handler, what spans that are so *described* share."""

    @functools.lru_cache(_SITES)
    def site(message_type: str, handler: str | None = None) -> CallSite:
        attributes = {
            **described,
            "messaging.operation.name": verb,
            "messaging.operation.type": type_,
            "cloudevents.event_type": message_type,
        }
        if handler is not None:
            attributes["honeyhive.handler"] = handler
        return CallSite(f"{verb} {message_type}", attributes)

    return site


def _own_attributes(message: Message) -> dict[str, str]:
    """Return what a span says of *message* alone; as texts, whatever its maker has given."""
    attributes = {
        "messaging.message.id": (identity := f"{message.id}"),
        "messaging.message.conversation_id": f"{message.correlation_id}",
        "cloudevents.event_id": identity,
        "cloudevents.event_source": f"{message.source}",
    }
    if message.subject:
        attributes["cloudevents.event_subject"] = f"{message.subject}"
    return attributes


@contextmanager
def _current_span(tracer: Tracer, kind: SpanKind, site: CallSite, message: Message, around: Context) -> Iterator[Span]:
    """Put a span about *message* around a block through OpenTelemetry's API, as any tracer has it, in the context *around*."""
    attributes = {**site.statics, **_own_attributes(message)}
    with _Attached(around, None), tracer.start_as_current_span(site.name, kind=kind, attributes=attributes) as span:
        yield span


@contextmanager
def _published(span: AbstractContextManager[Span]) -> Iterator[Mapping[str, str]]:
    with span:
        yield trace_of()


class _Attached(AbstractContextManager[T]):
    """Makes *context* the current one in a block, which is given *given*: no generator, since messages pay for it."""

    __slots__ = ("_context", "_given", "_token")

    def __init__(self, context: Context, given: T) -> None:
        self._context = context
        self._given = given

    def __enter__(self) -> T:
        self._token = hh_context.attach(self._context)
        return self._given

    def __exit__(self, *_: object) -> None:
        hh_context.detach(self._token)


_UNRECORDED = nullcontext(otel_trace.INVALID_SPAN)


@contextmanager
def spanned(title: str, attributes: Mapping[str, str]) -> Iterator[None]:
    """Put a span around a block, where there is a tracer; an error that leaves the block is on it."""
    tracer = _tracer(identity_in(hh_context.current()))
    if tracer is None:
        yield
        return
    with tracer.start_as_current_span(title, attributes=attributes):
        yield


def mark_failed(span: Span, error: BaseException) -> None:
    """Put *error* on *span*, for errors that do not leave its block."""
    span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))


def _tracer(identity: Identity | None) -> Any:
    """Return the tracer of *identity*, or where there is none that of the process."""
    return _tracer_of_process() if identity is None else identity.core_of(_SCOPE)


def _tracer_of_process() -> Tracer | None:
    if _no_provider_is_set():
        return None
    provider = otel_trace.get_tracer_provider()
    if isinstance(provider, ProxyTracerProvider):
        return None
    tracer = _tracers.get(provider)
    if tracer is None:
        tracer = _tracers[provider] = provider.get_tracer(_SCOPE)
    return tracer


def _no_provider_is_set() -> bool:
    """Tell for sure that there is no process-wide provider; asking for it reads the environment each time.

    Where the private name is gone, and where the environment names a provider, there may be one.
    """
    return getattr(otel_trace, "_TRACER_PROVIDER", _UNKNOWN) is None and not _environment_names_provider()


@functools.cache
def _environment_names_provider() -> bool:
    return OTEL_PYTHON_TRACER_PROVIDER in os.environ


def _context_of(message: Message, context: Context) -> Context:
    """Return where *message* is published: in *context*, or where there is no trace in that in the one it was made in."""
    if "traceparent" not in message.trace_context or hh_context.has_trace(context):
        return context
    return context_of(message.trace_context)


_NOTHING: AbstractContextManager[None] = nullcontext()
