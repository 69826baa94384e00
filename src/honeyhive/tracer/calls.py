"""How the calls of one decorated function become spans."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.context.context import Context
from opentelemetry.trace import SpanKind

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.arguments import Signature
from honeyhive.tracer.attributes import declared
from honeyhive.tracer.details import usual_details
from honeyhive.tracer.entering import entered
from honeyhive.tracer.identity import CallSite, Identity
from honeyhive.tracer.registry import identity_for
from honeyhive.tracer.span import Span
from honeyhive.tracer.unrecorded import UnrecordedSpan
from honeyhive.utils.capture import captured, captured_all
from honeyhive.utils.guard import failures

__all__ = ["CallPlan", "TraceOptions", "display_name"]

_SPAN_KEY: Final = hh_context.SPAN_KEY
_current: Final = hh_context.current
_attach: Final = hh_context.attach
_reset: Final = hh_context.reset


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """What a decorator was told, the same for ``@trace``, ``@atrace`` and ``@tracer.trace``.

    ``statics`` are attributes of every span; a namespace given there, such as
    ``outputs``, stands instead of what would be captured.
    """

    event_type: object = "tool"
    event_name: str | None = None
    event_id: str | None = None
    source: str | None = None
    project: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    session_name: str | None = None
    error: object = None
    kind: SpanKind = SpanKind.INTERNAL
    capture: bool | None = None
    capture_inputs: bool | None = None
    capture_outputs: bool | None = None
    namespaces: Mapping[str, Any] = field(default_factory=dict)

    def site(self, name: str) -> CallSite:
        """Return what all spans of a function called *name* share."""
        event_name = self.event_name or name
        return CallSite(
            event_name,
            declared(
                event_type=self.event_type,
                event_name=event_name,
                event_id=self.event_id,
                source=self.source,
                project=self.project,
                session_id=self.session_id,
                user_id=self.user_id,
                session_name=self.session_name,
                error=self.error,
                namespaces=self.namespaces,
            ),
        )

    def plan(self, function: Callable[..., Any], explicit: Identity | None) -> CallPlan:
        """Return how the calls of *function* are recorded."""
        given = self.namespaces
        return CallPlan(
            self.site(display_name(function)),
            function,
            explicit=explicit,
            capture_inputs=_wish(self.capture_inputs, self.capture, "inputs" in given),
            capture_outputs=_wish(self.capture_outputs, self.capture, "outputs" in given),
            kind=self.kind,
        )


def _wish(own: bool | None, both: bool | None, given: bool) -> bool | None:
    if own is not None:
        return own
    return False if given else both


class CallPlan:
    """How the calls of one function are recorded. Its methods never raise.

    Args:
        site: Name and declared attributes of the spans.
        function: The function, for the names of its arguments.
        explicit: The tracer given to the decorator, or ``None`` to look it up at each call.
        capture_inputs: Copy arguments; ``None`` leaves it to the tracer.
        capture_outputs: Copy the result; ``None`` leaves it to the tracer.
        kind: OpenTelemetry's kind of the spans.
    """

    __slots__ = ("_details", "_explicit", "_inputs", "_names", "_outputs", "_plain_count", "_signature", "_skips_first",
                 "site")  # fmt: skip

    def __init__(
        self,
        site: CallSite,
        function: Callable[..., Any],
        *,
        explicit: Identity | None = None,
        capture_inputs: bool | None = None,
        capture_outputs: bool | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        self.site = site
        self._signature = signature = Signature(function)
        self._names = signature.names
        self._plain_count = signature.plain_count
        self._skips_first = signature.skips_first
        self._explicit = explicit
        self._inputs = capture_inputs
        self._outputs = capture_outputs
        self._details = usual_details(kind)

    def begin(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], is_current: bool = True
    ) -> Span | UnrecordedSpan | None:
        """Start the span of one call and, unless told otherwise, make it current; ``None`` where it is not traced."""
        try:
            context = _current()
            identity = self._explicit
            if identity is None:
                identity = identity_for(context)
            if identity is None or not identity.enabled:
                return None
            site, prepare = self.site, identity.prepare
            span: Span | UnrecordedSpan | None = prepare(site.name, context, self._details, site)
            if span is None:
                span = identity.core.prepare_by_sampler(site.name, context, self._details, site, site.statics)
            if type(span) is Span:
                if identity.capture_inputs if self._inputs is None else self._inputs:
                    if len(args) == self._plain_count and not kwargs:
                        values = args[1:] if self._skips_first else args
                        span._names = self._names
                    else:
                        span._names, values = self._signature.named(args, kwargs)
                    span._values, span.weight = captured_all(values, span.weight)
                # What `Span.begin` does, without the call.
                state = span._st
                wall_ns, monotonic_ns = state.wall_ns, state.monotonic_ns
                span._start_time = wall_ns()
                span._mono = monotonic_ns()
                if state.processors.starting:
                    span.announce(context)
            if is_current:
                span._token = _attach(entered(context, span) if context else Context({_SPAN_KEY: span}))
        except Exception as error:
            failures("trace", error)
            return None
        return span

    def finish(self, span: Span | UnrecordedSpan, result: object) -> None:
        """End the span of a call that returned *result*."""
        try:
            token = span._token
            if token is not None:
                span._token = None
                # What `context.detach` does, without the call.
                try:
                    _reset(token)
                except ValueError:
                    pass
            if type(span) is Span:
                if result is not None:
                    wanted = self._outputs
                    if wanted is None:
                        wanted = span._st.identity.capture_outputs  # type: ignore[union-attr]  # it has one: see begin
                    if wanted:
                        span._result, span.weight = captured(result, span.weight)
                span.end()
        except Exception as error:
            failures("trace", error)

    def fail(self, span: Span | UnrecordedSpan, error: BaseException) -> None:
        """Record that the call ended with *error*, and end the span."""
        try:
            if span._token is not None:
                hh_context.detach(span._token)
                span._token = None
            if not isinstance(error, GeneratorExit):
                span.fail(error)
            span.end()
        except Exception as ours:
            failures("trace", ours)


def display_name(function: Callable[..., Any]) -> str:
    """Return ``module.qualname`` of any callable; for a partial, that of its function."""
    while isinstance(function, functools.partial):
        function = function.func
    module = getattr(function, "__module__", None) or type(function).__module__
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    return f"{module}.{name if isinstance(name, str) else type(function).__qualname__}"
