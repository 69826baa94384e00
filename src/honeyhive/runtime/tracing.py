"""The interceptor that gives every execution its span, in the trace and the session it came with."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry.trace import SpanKind, get_current_span

from honeyhive.runtime.execution import Execution, ExecutionKind, MessageExecution
from honeyhive.runtime.headers import Headers
from honeyhive.runtime.interceptors import NOTHING, Held
from honeyhive.tracer import context as hh_context
from honeyhive.tracer.details import Details, usual_details
from honeyhive.tracer.identity import CallSite
from honeyhive.tracer.propagation import joined_context
from honeyhive.tracer.registry import discover_tracer
from honeyhive.tracer.span import Span
from honeyhive.tracer.unrecorded import UnrecordedSpan
from honeyhive.utils.guard import guard

if TYPE_CHECKING:
    from opentelemetry.context.context import Context

    from honeyhive.tracer.identity import Identity

__all__ = ["Tracing"]

_logger = logging.getLogger("honeyhive.runtime")

_DETAILS: Final[Mapping[ExecutionKind, Details]] = {
    "http": usual_details(SpanKind.SERVER),
    "websocket": usual_details(SpanKind.SERVER),
    "message": usual_details(SpanKind.CONSUMER),
    "schedule": usual_details(SpanKind.INTERNAL),
}
_SHARED: Final = {kind: {"honeyhive.execution.kind": kind, "honeyhive_event_type": "chain"} for kind in _DETAILS}
"""What all spans of executions of one kind say."""
_SITES: Final = 256
_starting: Final = guard("start_span")
_TRAVELLING: Final = frozenset(
    {"traceparent", "tracestate", "baggage", "session_id", "honeyhive_session_id", "honeyhive.session_id"}
)
"""What a carrier brings a trace or a session with."""
_HEADERS: Final = frozenset(name.encode() for name in _TRAVELLING)


class Tracing:
    """Gives every execution a span, under the parent and in the session that its carrier brings.

    An edge interceptor, so that it also sees what no handler does: unknown paths and invalid requests. The span carries
    the facts of the execution, and what the runtime learns on the way, such as route and status. A message has a span
    already, that of its bus, also one that the bus rejects: there the facts are added.

    Args:
        tracer: Records the spans; the default tracer if not given, and nothing if there is none, which is said once
            when the process starts.
    """

    def __init__(self, tracer: Any = None) -> None:
        self._tracer = tracer

    async def __aenter__(self) -> Self:
        if discover_tracer(self._tracer) is None:
            _logger.warning(
                "Tracing() finds no tracer, so nothing is recorded. Call HoneyHiveTracer.init(...) before the service "
                "is started, or give it one: Tracing(tracer)"
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        """The tracer is not ours to end."""

    def surround(self, execution: Execution) -> AbstractAsyncContextManager[object]:
        """Record *execution* as a span."""
        if isinstance(execution, MessageExecution) and _told_span_of(execution):
            return NOTHING
        tracer = discover_tracer(self._tracer)
        return NOTHING if tracer is None else _Traced(execution, tracer)


class _Traced(Held):
    """The span of one execution."""

    __slots__ = ("_execution", "_span", "_tracer")

    def __init__(self, execution: Execution, tracer: Any) -> None:
        self._execution = execution
        self._tracer = tracer

    def __enter__(self) -> None:
        carrier, tracer = self._execution.carrier, self._tracer
        context = joined_context(carrier, tracer) if _travels_with(carrier) else hh_context.current()
        self._span = _begun(self._execution, tracer, context)
        self._span.enter_in(context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self._span.__exit__(kind, error, traceback)


def _begun(execution: Execution, tracer: Any, context: Context) -> Span | UnrecordedSpan:
    """Return a span of *execution* that has begun in *context*; one that records nothing where *tracer* cannot."""
    identity: Identity = tracer.identity
    with _starting:
        if identity.enabled:
            kind: ExecutionKind = execution.kind
            site, own = _site(execution.name, kind), execution.own_attributes()
            return identity.core.begin_at(site, _DETAILS[kind], own, context)  # type: ignore[no-any-return]
    return UnrecordedSpan(get_current_span(context).get_span_context(), identity.core.state)


@functools.lru_cache(_SITES)
def _site(name: str, kind: ExecutionKind) -> CallSite:
    return CallSite(name, _SHARED[kind])


def _told_span_of(execution: MessageExecution) -> bool:
    """Tell the span that a bus has put around *execution* what it does not say already; false if there is none."""
    span: Any = hh_context.current().get(hh_context.SPAN_KEY)
    if span is None or not span.is_recording():
        return False
    is_of_bus = getattr(span, "name", "") == execution.name
    attributes = execution.delivery_attributes() if is_of_bus else execution.own_attributes()
    attributes.update(_SHARED[execution.kind])
    (span.set_plain_attributes if type(span) is Span else span.set_attributes)(attributes)
    return True


def _travels_with(carrier: Mapping[str, str]) -> bool:
    """Tell whether *carrier* brings a trace or a session."""
    if type(carrier) is Headers:
        return carrier.names_any_of(_HEADERS)
    return not _TRAVELLING.isdisjoint(carrier)
