"""Recording work: spans, traced blocks, events that have already happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast, overload
from uuid import uuid4

from opentelemetry import trace as otel_trace
from opentelemetry.context import get_current
from opentelemetry.trace import Link, SpanKind

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.attributes import NAMESPACES, as_text, event_type_name, flattened
from honeyhive.tracer.blocks import TracedBlock
from honeyhive.tracer.calls import TraceOptions
from honeyhive.tracer.entering import ENTERABLE
from honeyhive.tracer.interfaces import NeedsCore, NeedsIdentity, NeedsOutbox, TracerOperationsInterface
from honeyhive.tracer.span import Span
from honeyhive.tracer.state import SpanState
from honeyhive.tracer.unrecorded import UnrecordedSpan
from honeyhive.tracer.wrapping import decorate
from honeyhive.utils.guard import guard
from honeyhive.utils.ids import event_id, is_uuid

__all__ = ["TracerOperationsMixin"]

F = TypeVar("F", bound=Callable[..., Any])

_EVENT_TYPES = frozenset({"model", "tool", "chain"})
_EVENT_FIELDS = frozenset({"duration", "start_time", "end_time", "session_id", "parent_id", "source", "project"})


class TracerOperationsMixin(TracerOperationsInterface, NeedsCore, NeedsIdentity, NeedsOutbox):
    """Offers spans, traced blocks and events over the OpenTelemetry tracer and the outbox."""

    def start_span(
        self,
        name: str,
        *,
        kind: SpanKind | None = None,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span | UnrecordedSpan:
        span: Any = None
        with guard("start_span"):
            if self.identity.enabled:
                span = self.tracer.start_span(
                    str(name),
                    None,
                    SpanKind.INTERNAL if kind is None else kind,
                    attributes and flattened(attributes),
                    links,
                    start_time,
                    record_exception,
                    set_status_on_exception,
                )
        if not isinstance(span, (Span, UnrecordedSpan)):
            span = UnrecordedSpan(otel_trace.get_current_span().get_span_context(), self._idle_state())
        span._token = ENTERABLE
        return cast("Span | UnrecordedSpan", span)

    def _idle_state(self) -> SpanState:
        return self.tracer.state

    @overload
    def trace(self, name: F, /) -> F: ...
    @overload
    def trace(self, name: str | None = None, event_type: object = None, **attributes: Any) -> TracedBlock: ...
    def trace(self, name: Any = None, event_type: object = None, **attributes: Any) -> Any:
        if callable(name) and not isinstance(name, str):
            return decorate(name, TraceOptions(), self.identity)
        options = TraceOptions(event_type=event_type or "tool", event_name=None if name is None else str(name))
        return TracedBlock(self.identity, options, attributes)

    def create_event(self, event_name: str | Mapping[str, Any] | None = None, **fields: Any) -> str | None:
        with guard("create_event"):
            given = (
                {**event_name, **fields} if isinstance(event_name, Mapping) else {"event_name": event_name, **fields}
            )
            given = dict(given.get("event", given))
            event = self._event(given)
            if self.outbox.tell("POST", "/events", {"event": event}):
                return str(event["event_id"])
        return None

    def _event(self, given: dict[str, Any]) -> dict[str, Any]:
        context = get_current()
        identity = self.identity
        current = otel_trace.get_current_span(context).get_span_context()
        now_ms = time.time_ns() / 1e6
        duration = float(given.get("duration") or 0.0)
        end_ms = float(given.get("end_time") or now_ms)
        event_type = event_type_name(given.pop("event_type", None) or "tool")
        own_id = given.pop("event_id", None)
        event: dict[str, Any] = {
            "event_name": str(given.pop("event_name", None) or "event"),
            "event_type": event_type if event_type in _EVENT_TYPES else "tool",
            "event_id": own_id if isinstance(own_id, str) and is_uuid(own_id) else str(uuid4()),
            "session_id": hh_context.current_session_of(identity),
            "project": identity.project,
            "source": identity.source,
            "start_time": end_ms - duration,
            "end_time": end_ms,
            "duration": duration,
        }
        if current.is_valid:
            event["parent_id"] = event_id(current.trace_id, current.span_id)
        metadata = dict(given.pop("metadata", None) or {})
        if given.get("error") is not None:
            event["error"] = as_text(given.pop("error"))
        for key, value in given.items():
            if (key in _EVENT_FIELDS and value is not None) or key in NAMESPACES:
                event[key] = value
            elif value is not None:
                metadata[key] = value
        return {**event, "metadata": metadata} if metadata else event
