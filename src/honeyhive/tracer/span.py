"""The span: a true OpenTelemetry SDK span at a fraction of its cost.

What a call must pay for happens at once: ids, parent, two clock readings, a
point-in-time copy of what is captured. Everything else waits for the first reader or
for the export thread: span context objects, the attribute mapping, event and link
lists, JSON, limits. Three rules keep that honest:

* **Whoever reads sees a full span.** ``attributes``, ``events``, ``context`` and the
  private names that other libraries touch (``_attributes``, ``_resource``, ...) are
  properties that build the real thing and keep it.
* **Anything unusual takes the general path**, which is OpenTelemetry's own code:
  odd attribute values, limits reached, length limits.
* **A span never holds its parent**, only the parent's ids.

The order of precedence among attributes, last wins: what the call site declares, who
the tracer is, what was captured on the way in, what was captured on the way out,
what user code set.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Mapping, Sequence
from time import monotonic_ns, time_ns
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from honeyhive.tracer import context as hh_context
from honeyhive.utils.capture import captured_bytes

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationInfo, InstrumentationScope
    from opentelemetry.util.types import Attributes, AttributeValue

    from honeyhive.tracer.provider import Processors

    SdkSpan = sdk.Span
else:
    # Other libraries ask for the private class; a release without it has the public one only.
    SdkSpan = getattr(sdk, "_Span", sdk.Span)

__all__ = [
    "CallSite",
    "Identity",
    "Span",
    "SpanState",
    "UnrecordedSpan",
    "error_message",
    "error_name",
    "identity_attributes",
]

_logger = logging.getLogger("honeyhive")
_new = object.__new__
_UNSET_STATUS: Final = Status(StatusCode.UNSET)
_INTERNAL: Final = SpanKind.INTERNAL
_NO_STATE: Final = TraceState()
_SCALARS: Final = frozenset({str, int, float, bool})
_SIZED: Final = frozenset({str, bytes})
_SAMPLED: Final = int(TraceFlags.SAMPLED)
_RECORD_ALL: Final = 3
_BARE_WEIGHT: Final = 600

# Shared by all spans: it is taken only where a reader and a writer could build the
# same lazy part at once, never on the hot path and never across user code.
_build_lock: Final = threading.RLock()

INPUTS: Final = "honeyhive_inputs."
RESULT: Final = "honeyhive_outputs.result"

NOTHING: Final = object()
"""Stands where no result was captured."""

ENTERABLE: Final = object()
"""Marks a span that becomes current when entered, as those of ``tracer.start_span`` do."""

ASK_SAMPLER: Final = -1
"""Stands where it does not depend on the trace id alone whether a new trace is recorded."""

GIVEN_CONTEXT: Final = -1
"""Stands for the flags of an unrecorded span whose span context was given to it."""


class Identity:
    """Who a tracer is, as far as its spans must know: the part that outlives the tracer object.

    ``statics`` are the attributes that every span of the tracer carries. The object is
    compared by identity; ``key`` names it inside a context.
    """

    __slots__ = ("__weakref__", "_tracer", "capture_inputs", "capture_outputs", "core", "enabled", "key", "project",
                 "session_id", "source", "statics")  # fmt: skip

    core: Any
    """The OpenTelemetry tracer that starts the spans; set once, by whoever builds the tracer."""

    def __init__(
        self,
        *,
        key: str,
        project: str | None = None,
        source: str | None = None,
        session_id: str | None = None,
        statics: Mapping[str, AttributeValue] | None = None,
        capture_inputs: bool = True,
        capture_outputs: bool = True,
    ) -> None:
        self.key = key
        self.project = project
        self.source = source
        self.session_id = session_id
        self.statics: Mapping[str, AttributeValue] = dict(statics or {})
        self.capture_inputs = capture_inputs
        self.capture_outputs = capture_outputs
        self.core = None
        self.enabled = True
        self._tracer: weakref.ref[Any] | None = None

    def bind(self, tracer: object) -> None:
        """Name the tracer whose identity this is; it is held weakly."""
        self._tracer = weakref.ref(tracer)

    @property
    def tracer(self) -> Any:
        """The tracer, or ``None`` once it is gone."""
        return None if self._tracer is None else self._tracer()


class CallSite:
    """What one decorated function, or one kind of span, says of all its spans."""

    __slots__ = ("name", "statics")

    def __init__(self, name: str, statics: Mapping[str, AttributeValue] | None = None) -> None:
        self.name = name
        self.statics: Mapping[str, AttributeValue] = dict(statics or {})


class SpanState:
    """What all spans of one OpenTelemetry tracer share. Replaced when it changes, never mutated."""

    __slots__ = ("allows", "fast_child", "fast_count", "fast_unsampled", "identity", "info", "limits", "monotonic_ns",
                 "processors", "resource", "root_bound", "root_flags", "sampler", "scope", "wall_ns")  # fmt: skip

    def __init__(
        self,
        *,
        resource: Resource,
        scope: InstrumentationScope | None,
        info: InstrumentationInfo | None,
        limits: SpanLimits,
        processors: Processors,
        identity: Identity | None,
        sampler: Any = None,
        root_flags: int = _SAMPLED,
        root_bound: int = ASK_SAMPLER,
        fast_child: bool = False,
        fast_unsampled: bool = False,
        allows: Callable[[str], bool] | None = None,
        wall_ns: Callable[[], int] = time_ns,
        monotonic_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self.resource = resource
        self.scope = scope
        self.info = info
        self.limits = limits
        self.processors = processors
        self.identity = identity
        self.sampler = sampler
        self.root_flags = root_flags
        # New traces whose lowest 64 bits are below it are recorded, the others left out.
        self.root_bound = root_bound
        # Whether a child of a recorded span is always recorded, and one of an unsampled span never.
        self.fast_child = fast_child
        self.fast_unsampled = fast_unsampled
        self.allows = allows
        self.wall_ns = wall_ns
        self.monotonic_ns = monotonic_ns
        self.fast_count = _fast_count(limits)


def _fast_count(limits: SpanLimits) -> int:
    """How many attributes may go straight into a plain dict; none where lengths are limited.

    Some are reserved for what the tracer itself adds, so that user code meets the
    limit exactly where OpenTelemetry's own bounded mapping would.
    """
    if limits.max_span_attribute_length is not None:
        return 0
    if limits.max_span_attributes is None:
        return sys.maxsize
    return max(0, limits.max_span_attributes - 32)


def error_name(error: BaseException) -> str:
    """Return the qualified class name, without ``builtins.``."""
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module in {"builtins", None} else f"{module}.{kind.__qualname__}"


def error_message(error: BaseException) -> str:
    """Return ``str(error)``, or a placeholder when that itself fails."""
    try:
        return str(error)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        return f"<unprintable {type(error).__name__}>"


def _stack_text(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        return "".join(traceback.format_tb(error.__traceback__))


class Span(SdkSpan):
    """A span that records. Made by a tracer, never by its constructor.

    It is the same object from start to export: a processor's ``on_end`` receives the
    span itself, which is read-only by then.
    """

    __slots__ = ("_attrs", "_bag", "_ctx", "_dyn", "_end_time", "_ev", "_flags", "_kind", "_lk", "_loc", "_mono",
                 "_name", "_names", "_options", "_over", "_par", "_psid", "_release", "_result", "_ses", "_sid", "_site",
                 "_st", "_start_time", "_status", "_tid", "_token", "_tstate", "_values")  # fmt: skip

    # The slots: ids as plain integers (_tid, _sid, _psid, _flags, _tstate) with the objects built
    # from them on demand (_ctx, _par); what is shared (_st, _site); session and baggage as they
    # stood at the start (_ses, _loc, _bag); captured arguments by name (_names, _values) and the
    # captured result (_result), none of them rendered yet; attributes set by user
    # code (_dyn) or the whole mapping once somebody needed it (_attrs); _over holds private
    # names that another library assigned to.
    _tid: int
    _sid: int
    _psid: int
    _flags: int
    _tstate: TraceState
    _ctx: SpanContext | None
    _par: SpanContext | None
    _st: SpanState
    _site: CallSite | None
    _ses: str | None
    _loc: Mapping[str, str] | None
    _bag: Mapping[str, object] | None
    _names: Sequence[str]
    _values: Sequence[object]
    _result: object
    _dyn: dict[str, AttributeValue] | None
    _attrs: BoundedAttributes | None
    _ev: BoundedList[Any] | None
    _lk: BoundedList[Any] | None
    _over: dict[str, Any] | None
    _name: str
    _kind: SpanKind
    _start_time: int | None
    _end_time: int | None
    _mono: int
    _status: Status
    _options: int
    _release: Callable[[], None] | None
    _token: object

    # -- who it is ------------------------------------------------------------------------

    @property
    def _context(self) -> SpanContext:
        found = self._ctx
        if found is None:
            found = self._ctx = SpanContext(self._tid, self._sid, False, TraceFlags(self._flags), self._tstate)
        return found

    @_context.setter
    def _context(self, value: SpanContext) -> None:
        self._ctx = value
        self._tid, self._sid, self._flags = value.trace_id, value.span_id, int(value.trace_flags)
        self._tstate = value.trace_state

    @property
    def _parent(self) -> SpanContext | None:
        found = self._par
        if found is None and self._psid:
            found = self._par = SpanContext(self._tid, self._psid, False, TraceFlags(self._flags), self._tstate)
        return found

    @_parent.setter
    def _parent(self, value: SpanContext | None) -> None:
        self._par = value
        self._psid = 0 if value is None else value.span_id

    def get_span_context(self) -> SpanContext:
        return self._context

    # Readers of the slots, so that it does not matter what the SDK calls its own.
    @property
    def context(self) -> SpanContext:
        return self._context

    @property
    def parent(self) -> SpanContext | None:
        return self._parent

    @property
    def name(self) -> str:
        return self._name

    @property
    def kind(self) -> SpanKind:
        return self._kind

    @property
    def start_time(self) -> int | None:
        return self._start_time

    @property
    def end_time(self) -> int | None:
        return self._end_time

    @property
    def status(self) -> Status:
        return self._status

    @property
    def resource(self) -> Resource:
        return self._resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope | None:
        return self._instrumentation_scope

    def __repr__(self) -> str:
        return f'{type(self).__name__}(name="{self._name}", context={self._context})'

    # The SDK declares these as plain attributes; here they are properties, which type checkers refuse.
    # -- what is shared, unless somebody assigned his own -----------------------------------

    def _shared(self, name: str, value: Any) -> Any:
        return value if self._over is None else self._over.get(name, value)

    def _assign(self, name: str, value: Any) -> None:
        if self._over is None:
            self._over = {}
        self._over[name] = value

    @property
    def _resource(self) -> Resource:
        return self._shared("resource", self._st.resource)  # type: ignore[no-any-return]

    @_resource.setter
    def _resource(self, value: Resource) -> None:
        self._assign("resource", value)

    @property
    def _instrumentation_scope(self) -> InstrumentationScope | None:
        return self._shared("scope", self._st.scope)  # type: ignore[no-any-return]

    @_instrumentation_scope.setter
    def _instrumentation_scope(self, value: InstrumentationScope | None) -> None:
        self._assign("scope", value)

    @property
    def _instrumentation_info(self) -> InstrumentationInfo | None:
        return self._shared("info", self._st.info)  # type: ignore[no-any-return]

    @_instrumentation_info.setter
    def _instrumentation_info(self, value: InstrumentationInfo | None) -> None:
        self._assign("info", value)

    @property
    def _limits(self) -> SpanLimits:
        return self._shared("limits", self._st.limits)  # type: ignore[no-any-return]

    @_limits.setter
    def _limits(self, value: SpanLimits) -> None:
        self._assign("limits", value)

    @property
    def _span_processor(self) -> Any:
        return self._shared("processor", self._st.processors.multiplexer)

    @_span_processor.setter
    def _span_processor(self, value: Any) -> None:
        self._assign("processor", value)

    @property
    def _sampler(self) -> Any:  # type: ignore[override]
        return self._st.sampler

    @property
    def _lock(self) -> threading.RLock:  # type: ignore[override]
        return _build_lock

    @property
    def _record_exception(self) -> bool:  # type: ignore[override]
        return bool(self._options & 1)

    @property
    def _set_status_on_exception(self) -> bool:  # type: ignore[override]
        return bool(self._options & 2)

    # -- attributes -------------------------------------------------------------------------

    @property
    def session_id(self) -> str | None:
        """The session this span belongs to: the context's, else the tracer's."""
        identity = self._st.identity
        if identity is None:
            return self._ses
        return hh_context.session_of(self._loc, self._bag, identity) or self._ses

    def identity_attributes(self) -> dict[str, AttributeValue]:
        """Return what the tracer itself says of the span: project, source, session, run, baggage."""
        identity = self._st.identity
        return {} if identity is None else identity_attributes(identity, self.session_id, self._bag)

    @property
    def weight(self) -> int:
        """Bytes this span is estimated to take until it is encoded; for the bound of the queue."""
        total = _BARE_WEIGHT
        for value in self._values:
            total += 64 + len(value) if type(value) in _SIZED else captured_bytes(value)  # type: ignore[arg-type]
        result = self._result
        if result is not NOTHING:
            total += 64 + len(result) if type(result) in _SIZED else captured_bytes(result)  # type: ignore[arg-type]
        if self._dyn:
            for value in self._dyn.values():
                total += len(value) + 64 if type(value) is str else 64
        return total if self._ev is None else total + 2048 * len(self._ev)

    def captured_attributes(self) -> dict[str, AttributeValue]:
        """Render what was captured of the call: its arguments by name, and its result."""
        out: dict[str, AttributeValue] = {}
        if not self._names and self._result is NOTHING:
            return out
        from honeyhive.utils.render import render

        for name, value in zip(self._names, self._values, strict=True):
            text = value if type(value) is str else render(value)
            if text is not None:
                out[INPUTS + name] = text
        if self._result is not NOTHING and (text := render(self._result)) is not None:
            out[RESULT] = text
        return out

    def _merged(self) -> dict[str, AttributeValue]:
        merged: dict[str, AttributeValue] = {}
        if self._site is not None:
            merged.update(self._site.statics)
        merged.update(self.identity_attributes())
        merged.update(self.captured_attributes())
        if self._dyn:
            for key in self._dyn:
                merged.pop(key, None)
            merged.update(self._dyn)
        return merged

    @property
    def _attributes(self) -> BoundedAttributes:
        found = self._attrs
        if found is not None:
            return found
        with _build_lock:
            if self._attrs is None:
                limits = self._limits
                self._attrs = BoundedAttributes(
                    limits.max_span_attributes,
                    self._merged(),
                    immutable=self._end_time is not None,
                    max_value_len=limits.max_span_attribute_length,
                )
            return self._attrs

    @_attributes.setter
    def _attributes(self, value: Any) -> None:
        self._attrs = value

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        if self._end_time is not None:
            _logger.warning("Setting attribute on ended span.")
            return
        found = self._dyn
        if self._attrs is None and type(key) is str and key and type(value) in _SCALARS:
            if found is None:
                if self._st.fast_count:
                    self._dyn = {key: value}
                    return
            elif key not in found and len(found) < self._st.fast_count:
                found[key] = value
                return
        self._set_slowly(key, value)

    def _set_slowly(self, key: str, value: AttributeValue) -> None:
        if self._attrs is None and self._dyn and type(key) is str and key in self._dyn and type(value) in _SCALARS:
            self._dyn.pop(key, None)
            self._dyn[key] = value
        else:
            self._attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    @property
    def attributes(self) -> Mapping[str, AttributeValue]:
        return MappingProxyType(self._attributes or {})

    @property
    def dropped_attributes(self) -> int:
        return _dropped(self._attributes)

    @property
    def dropped_events(self) -> int:
        return _dropped(self._ev)

    @property
    def dropped_links(self) -> int:
        return _dropped(self._lk)

    # -- events and links ---------------------------------------------------------------------

    @property  # type: ignore[override]
    def _events(self) -> BoundedList[Any]:
        if self._ev is None:
            with _build_lock:
                if self._ev is None:
                    self._ev = BoundedList(self._limits.max_events)
        return self._ev

    @_events.setter
    def _events(self, value: Any) -> None:
        self._ev = value

    @property  # type: ignore[override]
    def _links(self) -> BoundedList[Any]:
        if self._lk is None:
            with _build_lock:
                if self._lk is None:
                    self._lk = BoundedList(self._limits.max_links)
        return self._lk

    @_links.setter
    def _links(self, value: Any) -> None:
        self._lk = value

    @property
    def events(self) -> Sequence[Event]:
        return () if self._ev is None else tuple(self._ev)

    @property
    def links(self) -> Sequence[Link]:
        return () if self._lk is None else tuple(self._lk)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        bounded = self._bounded(self._limits.max_event_attributes, attributes)
        self._add_event(Event(name=name, attributes=bounded, timestamp=timestamp))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        if context.is_valid or attributes or context.trace_state:
            self._add_link(Link(context, self._bounded(self._limits.max_link_attributes, attributes)))

    def _bounded(self, most: int | None, attributes: Attributes) -> BoundedAttributes:
        return BoundedAttributes(most, attributes, max_value_len=self._limits.max_attribute_length, immutable=True)

    def _add_event(self, event: Any) -> None:
        if self._end_time is not None:
            _logger.warning("Tried calling %s on an ended span.", "_add_event")
            return
        self._events.append(event)

    def _add_link(self, link: Link) -> None:
        if self._end_time is not None:
            _logger.warning("Tried calling %s on an ended span.", "_add_link")
            return
        self._links.append(link)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        details: dict[str, Any] = {
            "exception.type": error_name(exception),
            "exception.message": error_message(exception),
            "exception.stacktrace": _stack_text(exception),
            "exception.escaped": str(escaped),
        }
        if attributes:
            details.update(attributes)
        self.add_event(name="exception", attributes=details, timestamp=timestamp)

    def fail(self, error: BaseException) -> None:
        """Record that *error* ended the work: one event, the status, and HoneyHive's error attributes."""
        name, message = error_name(error), error_message(error)
        self.record_exception(error, escaped=True)
        self.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {message}"))
        self.set_attribute("honeyhive_error", message or name)
        self.set_attribute("honeyhive_error_type", name)

    # -- name and status ------------------------------------------------------------------------

    def update_name(self, name: str) -> None:
        if self._end_time is not None:
            _logger.warning("Tried calling %s on an ended span.", "update_name")
            return
        self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self._end_time is not None:
            _logger.warning("Tried calling %s on an ended span.", "set_status")
            return
        code = status.status_code if isinstance(status, Status) else status
        if self._status.status_code is StatusCode.OK or code is StatusCode.UNSET:
            return
        if not isinstance(status, Status):
            self._status = Status(status, description)
            return
        if description is not None:
            _logger.warning("Description %s ignored. Use either `Status` or `(StatusCode, Description)`", description)
        self._status = status

    # -- life -----------------------------------------------------------------------------------

    def start(self, start_time: int | None = None, parent_context: Context | None = None) -> None:
        if self._start_time is not None:
            _logger.warning("Calling start() on a started span.")
            return
        self._begin(start_time)
        for on_start in self._st.processors.starting:
            on_start(self, parent_context=parent_context)

    def _begin(self, start_time: int | None) -> None:
        """Note when the span begins; with an explicit time the end is read from the wall clock too."""
        if start_time is None:
            self._start_time = self._st.wall_ns()
            self._mono = self._st.monotonic_ns()
        else:
            self._start_time = start_time

    def end(self, end_time: int | None = None) -> None:
        started = self._start_time
        if started is None:
            raise RuntimeError("Calling end() on a not started span.")
        if end_time is None:
            # The wall clock may be set back while a span runs; the monotonic one is not.
            end_time = started + self._st.monotonic_ns() - self._mono if self._mono else self._st.wall_ns()
        # Nothing may come between this test and the store: so two threads cannot both pass.
        if self._end_time is not None:
            _logger.warning("Calling end() on an ended span.")
            return
        self._end_time = end_time
        if self._attrs is not None:
            self._seal()
        if self._release is not None:
            self._release()
        processors = self._st.processors
        if processors.ending:
            for on_ending in processors.ending:
                on_ending(self)
        for on_end in processors.ended:
            on_end(self)

    def _seal(self) -> None:
        """Close the mapping that somebody asked for, with what was captured since."""
        attributes = self._attrs
        if self._result is not NOTHING and isinstance(attributes, BoundedAttributes) and RESULT not in attributes:
            attributes[RESULT] = self.captured_attributes().get(RESULT, "null")
        if isinstance(attributes, BoundedAttributes):
            if attributes.dropped:
                self._restore(attributes)
            attributes._immutable = True

    def _restore(self, attributes: BoundedAttributes) -> None:
        """Put back what says whose span this is: the limit drops the oldest attributes, and those come first."""
        declared = {} if self._site is None else self._site.statics
        for key, value in {**declared, **self.identity_attributes()}.items():
            if key not in attributes:
                attributes[key] = value

    def is_recording(self) -> bool:
        return self._end_time is None

    def __enter__(self) -> Self:
        if self._token is ENTERABLE:
            self._token = activate(self)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        token, self._token = self._token, None
        ours = token is not None and token is not ENTERABLE
        if ours:
            hh_context.detach(token)  # type: ignore[arg-type]
        if exc_val is not None and self._end_time is None and not isinstance(exc_val, GeneratorExit):
            if ours and self._options == _RECORD_ALL:
                self.fail(exc_val)
            else:
                self.note_error(exc_val, escaped=True)
        self.end()

    def note_error(self, error: BaseException, *, escaped: bool) -> None:
        """Record *error* as OpenTelemetry's own span does, as far as the span was asked to."""
        if self._options & 1:
            self.record_exception(error, escaped=escaped)
        if self._options & 2:
            self.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error_message(error)}"))

    def _readable_span(self) -> ReadableSpan:
        return ReadableSpan(
            name=self._name,
            context=self._context,
            parent=self._parent,
            resource=self._resource,
            attributes=self._attributes,
            events=self._events,
            links=self._links,
            kind=self._kind,
            status=self._status,
            start_time=self._start_time,
            end_time=self._end_time,
            instrumentation_info=self._instrumentation_info,
            instrumentation_scope=self._instrumentation_scope,
        )

    def __copy__(self) -> ReadableSpan:
        return self._readable_span()

    def __deepcopy__(self, memo: dict[int, Any]) -> ReadableSpan:
        return self._readable_span()


def _dropped(bounded: object) -> int:
    """How many did not fit; none where another library put a container of its own."""
    return bounded.dropped if isinstance(bounded, BoundedAttributes | BoundedList) else 0


def identity_attributes(
    identity: Identity, session_id: str | None, baggage: Mapping[str, object] | None
) -> dict[str, AttributeValue]:
    """Return what a tracer says of each of its spans: project, source, session, run, baggage."""
    out: dict[str, AttributeValue] = dict(identity.statics)
    if session_id:
        out["honeyhive.session_id"] = out["traceloop.association.properties.session_id"] = session_id
    if baggage:
        _add_baggage(out, baggage)
    return out


def _add_baggage(out: dict[str, AttributeValue], baggage: Mapping[str, object]) -> None:
    """Turn baggage into attributes: evaluation ids as metadata, the rest as ``baggage.<key>``."""
    for key, value in baggage.items():
        if key in {"run_id", "dataset_id", "datapoint_id"}:
            out.setdefault(f"honeyhive_metadata.{key}", str(value))
        elif key == "parent_id":
            out["honeyhive.parent_id"] = out["traceloop.association.properties.parent_id"] = str(value)
        elif key not in {"session_id", "project", "source", "honeyhive_tracer_id", "session_name"}:
            out[f"baggage.{key}"] = str(value)


def make_span(
    state: SpanState,
    name: str,
    trace_id: int,
    span_id: int,
    parent_span_id: int,
    flags: int,
    context: Mapping[str, Any],
) -> Span:
    """Create a span that has not begun; *context* is where it starts."""
    span = _new(Span)
    span._st = state
    span._name = name
    span._tid = trace_id
    span._sid = span_id
    span._psid = parent_span_id
    span._flags = flags
    span._tstate = _NO_STATE
    span._kind = _INTERNAL
    span._status = _UNSET_STATUS
    span._options = 3
    span._start_time = span._end_time = None
    span._mono = 0
    span._names = span._values = ()
    span._result = NOTHING
    span._site = span._dyn = span._attrs = None
    span._ctx = span._par = span._ev = span._lk = span._over = None
    span._release = span._token = None
    identity = state.identity
    span._ses = None if identity is None else identity.session_id
    if context:
        span._bag = context.get(hh_context.BAGGAGE_KEY)
        span._loc = context.get(hh_context.SESSIONS_KEY)
    else:
        span._bag = span._loc = None
    return span


class UnrecordedSpan(NonRecordingSpan):
    """Stands where no span is recorded: sampled out, filtered by name, or disabled.

    With its parent's span context (a filtered name) children attach to the parent as if
    this one were not there; with a context of its own (sampled out) they are dropped too.
    """

    __slots__ = ("_ctx", "_flags", "_sid", "_st", "_tid", "_token", "_tstate")

    # Sampled out on the short path, there are ids only (_tid, _sid, _flags, _tstate) and the span
    # context is built on demand (_ctx); everywhere else it is given, and _flags says so.
    _ctx: SpanContext | None
    _flags: int
    _sid: int
    _st: SpanState
    _tid: int
    _token: object
    _tstate: TraceState

    def __init__(self, context: SpanContext, state: SpanState) -> None:
        self._ctx = context
        self._flags = GIVEN_CONTEXT
        self._st = state
        self._token = None

    @property
    def _context(self) -> SpanContext:
        found = self._ctx
        if found is None:
            found = self._ctx = SpanContext(self._tid, self._sid, False, TraceFlags(self._flags), self._tstate)
        return found

    @_context.setter
    def _context(self, value: SpanContext) -> None:
        self._ctx = value
        self._flags = GIVEN_CONTEXT

    def fail(self, error: BaseException) -> None:
        """Do nothing: there is no record to put *error* on."""

    def __enter__(self) -> Self:
        if self._token is ENTERABLE:
            self._token = activate(self)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        token, self._token = self._token, None
        if token is not None and token is not ENTERABLE:
            hh_context.detach(token)  # type: ignore[arg-type]


def make_unrecorded(
    state: SpanState, trace_id: int, span_id: int, flags: int, trace_state: TraceState = _NO_STATE
) -> UnrecordedSpan:
    """Create a span of a trace that is sampled out."""
    span = _new(UnrecordedSpan)
    span._st = state
    span._tid = trace_id
    span._sid = span_id
    span._flags = flags
    span._tstate = trace_state
    span._ctx = span._token = None
    return span


def entered(context: Context, span: Span | UnrecordedSpan) -> Context:
    """Return *context* with *span* as the current one, remembering what it hides.

    Where the span of another tracer is hidden, that one is kept under its tracer's key,
    and bare ``@trace`` means this tracer from here on.
    """
    inner = Context(context)
    put = dict.__setitem__
    put(inner, hh_context.SPAN_KEY, span)
    if not context:
        return inner
    identity = span._st.identity
    hidden = context.get(hh_context.SPAN_KEY)
    if type(hidden) is Span or type(hidden) is UnrecordedSpan:
        owner = hidden._st.identity
        if owner is not identity and owner is not None:
            put(inner, owner.key, hidden)
    if identity is not None and context.get(hh_context.TRACER_KEY) not in {None, identity}:
        put(inner, hh_context.TRACER_KEY, identity)
    return inner


def activate(span: Span | UnrecordedSpan) -> Token[Context]:
    """Make *span* the current one; the token goes to :func:`honeyhive.tracer.context.detach`."""
    return hh_context.attach(entered(hh_context.current(), span))
