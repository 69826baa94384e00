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
import threading
from collections.abc import Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.details import NO_STATE, RECORD_ALL, RECORD_EXCEPTION, REMOTE, SET_STATUS, Details
from honeyhive.tracer.entering import Enterable
from honeyhive.tracer.errors import error_message, error_name, stack_text
from honeyhive.tracer.identity import CallSite, identity_attributes, narrowed
from honeyhive.tracer.remote import traceparent

if TYPE_CHECKING:
    from opentelemetry.context.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanKind
    from opentelemetry.util.types import Attributes, AttributeValue

    from honeyhive.tracer.state import SpanState

    SdkSpan = sdk.Span
else:
    # Other libraries ask for the private class; a release without it has the public one only.
    SdkSpan = getattr(sdk, "_Span", sdk.Span)

__all__ = ["INPUTS", "RESULT", "Span"]

_logger = logging.getLogger("honeyhive")
_TEXTS: Final = frozenset({str})
_SCALARS: Final = frozenset({str, int, float, bool})
BARE_WEIGHT: Final = 600
_VALUE_WEIGHT: Final = 64
_EVENT_WEIGHT: Final = 2048

# Shared by all spans: it is taken only where a reader and a writer could build the
# same lazy part at once, never on the hot path and never across user code.
_build_lock: Final = threading.RLock()

INPUTS: Final = "honeyhive_inputs."
RESULT: Final = "honeyhive_outputs.result"


class _Detail:
    """A private name of the SDK's span that is kept among the details of ours."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, span: Any, owner: type | None = None) -> Any:
        return self if span is None else getattr(span._details, self._name)

    def __set__(self, span: Any, value: object) -> None:
        setattr(span.own_details(), self._name, value)


class _Shared:
    """A private name of the SDK's span: what all spans of a tracer share, unless somebody assigned to this one's."""

    def __init__(self, path: str) -> None:
        self._shared = attrgetter(f"_st.{path}")

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, span: Any, owner: type | None = None) -> Any:
        if span is None:
            return self
        over = span._details.over
        return over[self._name] if over and self._name in over else self._shared(span)

    def __set__(self, span: Any, value: object) -> None:
        own = span.own_details()
        own.over = {**(own.over or {}), self._name: value}


def _reads(path: str) -> Any:
    return property(attrgetter(path))


class Span(Enterable, SdkSpan):
    """A span that records. Made by a tracer, never by its constructor.

    It is the same object from start to export: a processor's ``on_end`` receives the
    span itself, which is read-only by then.
    """

    __slots__ = ("_bag", "_ctx", "_details", "_dyn", "_end_time", "_flags", "_loc", "_mono", "_name", "_names", "_psid",
                 "_result", "_ses", "_sid", "_site", "_st", "_start_time", "_tid", "_token", "_values",
                 "weight")  # fmt: skip

    # The slots: ids as plain integers (_tid, _sid, _psid, _flags) and the span context once somebody asked
    # for it (_ctx); what is shared (_st, _site); session and baggage as they stood at the start (_ses, _loc,
    # _bag); captured arguments (_values, and _names if there are any) and the captured result (_result), none
    # of them rendered yet; attributes set by user code (_dyn); everything that few spans have (_details).
    _tid: int
    _sid: int
    _psid: int
    _flags: int
    _ctx: SpanContext
    _st: SpanState
    _site: CallSite | None
    _ses: str | None
    _loc: Mapping[str, str] | None
    _bag: Mapping[str, object] | None
    _names: Sequence[str]
    _values: Sequence[object]
    _result: object
    _dyn: dict[str, AttributeValue] | None
    _details: Details
    _name: str
    _start_time: int
    _end_time: int | None
    _mono: int | None
    _token: Any

    weight: int
    """Bytes an ended span is estimated to take until it is encoded; for the bound of the queue."""

    def own_details(self) -> Details:
        """Return the details of this span alone, to be changed."""
        if self._details.is_shared:
            with _build_lock:
                shared = self._details
                if shared.is_shared:
                    self._details = Details(shared.kind, shared.trace_state, shared.parent)
        return self._details

    # -- who it is ------------------------------------------------------------------------

    @property
    def _context(self) -> SpanContext:
        try:
            return self._ctx
        except AttributeError:
            self._ctx = self._span_context(self._sid)
            return self._ctx

    @_context.setter
    def _context(self, value: SpanContext) -> None:
        self._ctx = value
        self._tid, self._sid, self._flags = value.trace_id, value.span_id, int(value.trace_flags)
        self.own_details().trace_state = value.trace_state

    @property
    def _parent(self) -> SpanContext | None:
        found = self._details.parent
        if self._psid and (found is None or found is REMOTE):
            found = self.own_details().parent = self._span_context(self._psid, is_remote=found is REMOTE)
        return found

    @_parent.setter
    def _parent(self, value: SpanContext | None) -> None:
        self.own_details().parent = value
        self._psid = 0 if value is None else value.span_id

    def _span_context(self, span_id: int, *, is_remote: bool = False) -> SpanContext:
        return SpanContext(self._tid, span_id, is_remote, TraceFlags(self._flags), self._details.trace_state)

    def get_span_context(self) -> SpanContext:
        return self._context

    @property
    def traceparent(self) -> str | None:
        """The W3C header of that name, straight from the ids; ``None`` where a ``tracestate`` belongs beside it."""
        state = self._details.trace_state
        return None if state is not NO_STATE and state else traceparent(self._tid, self._sid, self._flags)

    # Readers of our own, so that it does not matter what the SDK calls its slots.
    context: SpanContext = _reads("_context")
    parent: SpanContext | None = _reads("_parent")
    name: str = _reads("_name")
    kind: SpanKind = _reads("_kind")
    start_time: int | None = _reads("_start_time")
    end_time: int | None = _reads("_end_time")
    status: Status = _reads("_status")
    resource: Resource = _reads("_resource")
    instrumentation_scope: InstrumentationScope | None = _reads("_instrumentation_scope")

    _kind: Any = _Detail("kind")
    _status: Any = _Detail("status")
    _resource: Any = _Shared("resource")
    _instrumentation_scope: Any = _Shared("scope")
    _instrumentation_info: Any = _Shared("info")
    _limits: Any = _Shared("limits")
    _span_processor: Any = _Shared("processors.multiplexer")
    _sampler: Any = _Shared("sampler")

    @property
    def _lock(self) -> threading.RLock:  # type: ignore[override]
        return _build_lock

    @property
    def _record_exception(self) -> bool:  # type: ignore[override]
        return bool(self._details.options & RECORD_EXCEPTION)

    @property
    def _set_status_on_exception(self) -> bool:  # type: ignore[override]
        return bool(self._details.options & SET_STATUS)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(name="{self._name}", context={self._context})'

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

    def captured_attributes(self) -> dict[str, AttributeValue]:
        """Render what was captured of the call: its arguments by name, and its result."""
        out: dict[str, AttributeValue] = {}
        if not self._values and self._result is None:
            return out
        from honeyhive.utils.render import render

        if self._values:
            for name, value in zip(self._names, self._values, strict=True):
                text = value if type(value) is str else render(value)
                if text is not None:
                    out[INPUTS + name] = text
        if self._result is not None and (text := render(self._result)) is not None:
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
        found = self._details.attributes
        if found is not None:
            return found
        own = self.own_details()
        with _build_lock:
            if own.attributes is None:
                limits = self._limits
                own.attributes = BoundedAttributes(
                    limits.max_span_attributes,
                    self._merged(),
                    immutable=self._end_time is not None,
                    max_value_len=limits.max_span_attribute_length,
                )
            return own.attributes

    @_attributes.setter
    def _attributes(self, value: Any) -> None:
        self.own_details().attributes = value

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        if self._end_time is not None:
            _logger.warning("Setting attribute on ended span.")
            return
        found = self._dyn
        if self._details.attributes is None and type(key) is str and key and type(value) in _SCALARS:
            if found is None:
                if self._st.fast_count:
                    self._dyn = {key: value}
                    return
            elif key not in found and len(found) < self._st.fast_count:
                found[key] = value
                return
        self._set_slowly(key, value)

    def _set_slowly(self, key: str, value: AttributeValue) -> None:
        if (
            self._details.attributes is None
            and self._dyn
            and type(key) is str
            and key in self._dyn
            and type(value) in _SCALARS
        ):
            self._dyn.pop(key, None)
            self._dyn[key] = value
        else:
            self._attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        found = self._dyn
        if (
            found is not None
            and self._end_time is None
            and self._details.attributes is None
            and len(found) + len(attributes) <= self._st.fast_count
            and "" not in attributes
            and found.keys().isdisjoint(attributes)
            and _TEXTS.issuperset(map(type, attributes))
            and _SCALARS.issuperset(map(type, attributes.values()))
        ):
            found.update(attributes)
            return
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def set_plain_attributes(self, attributes: Mapping[str, str | int | float]) -> None:
        """Set attributes that only our own code names and whose values it knows to be plain: most of a setting is checks."""
        found = self._dyn
        if (
            found is not None
            and self._end_time is None
            and self._details.attributes is None
            and len(found) + len(attributes) <= self._st.fast_count
        ):
            found.update(attributes)
        else:
            self.set_attributes(attributes)

    @property
    def attributes(self) -> Mapping[str, AttributeValue]:
        return MappingProxyType(self._attributes or {})

    @property
    def dropped_attributes(self) -> int:
        return _dropped(self._attributes)

    # -- events and links ---------------------------------------------------------------------

    @property  # type: ignore[override]
    def _events(self) -> BoundedList[Any]:
        own = self.own_details()
        if own.events is None:
            with _build_lock:
                if own.events is None:
                    own.events = BoundedList(self._limits.max_events)
        return own.events

    @_events.setter
    def _events(self, value: Any) -> None:
        self.own_details().events = value

    @property  # type: ignore[override]
    def _links(self) -> BoundedList[Any]:
        own = self.own_details()
        if own.links is None:
            with _build_lock:
                if own.links is None:
                    own.links = BoundedList(self._limits.max_links)
        return own.links

    @_links.setter
    def _links(self, value: Any) -> None:
        self.own_details().links = value

    @property
    def events(self) -> Sequence[Event]:
        return tuple(self._details.events or ())

    @property
    def links(self) -> Sequence[Link]:
        return tuple(self._details.links or ())

    @property
    def dropped_events(self) -> int:
        return _dropped(self._details.events)

    @property
    def dropped_links(self) -> int:
        return _dropped(self._details.links)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        bounded = self._bounded(self._limits.max_event_attributes, attributes)
        self._add_event(Event(name=name, attributes=bounded, timestamp=timestamp))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        if context.is_valid or attributes or context.trace_state:
            self._add_link(Link(context, self._bounded(self._limits.max_link_attributes, attributes)))

    def _bounded(self, most: int | None, attributes: Attributes) -> BoundedAttributes:
        return BoundedAttributes(most, attributes, max_value_len=self._limits.max_attribute_length, immutable=True)

    def _add_event(self, event: Any) -> None:
        if self._may_change("_add_event"):
            self._events.append(event)

    def _add_link(self, link: Link) -> None:
        if self._may_change("_add_link"):
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
            "exception.stacktrace": stack_text(exception),
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

    def note_error(self, error: BaseException, *, escaped: bool) -> None:
        """Record *error* as OpenTelemetry's own span does, as far as the span was asked to."""
        if self._details.options & RECORD_EXCEPTION:
            self.record_exception(error, escaped=escaped)
        if self._details.options & SET_STATUS:
            self.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error_message(error)}"))

    def _left_by(self, error: BaseException, *, was_entered: bool) -> None:
        if self._end_time is not None:
            return
        if was_entered and self._details.options == RECORD_ALL:
            self.fail(error)
        else:
            self.note_error(error, escaped=True)

    # -- name and status ------------------------------------------------------------------------

    def update_name(self, name: str) -> None:
        if self._may_change("update_name"):
            self._name = name

    def narrow(self, name: str, facts: tuple[tuple[str, str], ...]) -> None:
        """Do what `update_name` and `set_attributes` do, where many spans of this one's site are given the same."""
        site, own = self._site, self._dyn
        if site is not None and own is not None and self._end_time is None and self._details.attributes is None:
            site = narrowed(site, name, facts)
            if site.statics.keys().isdisjoint(own):
                self._site, self._name = site, name
                return
        self.update_name(name)
        self.set_attributes(dict(facts))

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if not self._may_change("set_status"):
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

    def _may_change(self, method: str) -> bool:
        if self._end_time is None:
            return True
        _logger.warning("Tried calling %s on an ended span.", method)
        return False

    # -- life -----------------------------------------------------------------------------------

    def start(self, start_time: int | None = None, parent_context: Context | None = None) -> None:
        if hasattr(self, "_start_time"):
            _logger.warning("Calling start() on a started span.")
        else:
            self.begin(parent_context, start_time)

    def begin(self, context: Context | None, start_time: int | None = None) -> None:
        """Let the span begin now; with an explicit time the end is read from the wall clock too."""
        state = self._st
        if start_time is None:
            # Taken out of the state first: in 3.11 a call is quicker than one through an attribute.
            wall_ns, monotonic_ns = state.wall_ns, state.monotonic_ns
            self._start_time = wall_ns()
            self._mono = monotonic_ns()
        else:
            self._start_time = start_time
            self._mono = None
        if state.processors.starting:
            self.announce(context)

    def announce(self, context: Context | None) -> None:
        """Tell the processors that the span has begun."""
        for on_start in self._st.processors.starting:
            on_start(self, parent_context=context)

    def end(self, end_time: int | None = None) -> None:
        state = self._st
        if end_time is None:
            # The wall clock may be set back while a span runs; the monotonic one is not.
            began = self._mono
            clock = state.wall_ns if began is None else state.monotonic_ns
            end_time = clock() if began is None else self._start_time + clock() - began
        # Nothing may come between this test and the store: so two threads cannot both pass.
        if self._end_time is not None:
            _logger.warning("Calling end() on an ended span.")
            return
        self._end_time = end_time
        if self._dyn is not None:
            self.weight += _weight_of(self._dyn)
        details = self._details
        if not details.is_shared:
            self._close(details)
        ended = state.processors.ended
        ended(self)

    def _close(self, details: Details) -> None:
        """End what few spans have."""
        if details.attributes is not None:
            self._seal(details.attributes)
        if details.release is not None:
            details.release()
        if details.events is not None:
            self.weight += _EVENT_WEIGHT * len(details.events)

    def _seal(self, attributes: object) -> None:
        """Close the mapping that somebody asked for, with what was captured since."""
        if not isinstance(attributes, BoundedAttributes):
            return
        if self._result is not None and RESULT not in attributes:
            attributes[RESULT] = self.captured_attributes().get(RESULT, "null")
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


def _weight_of(attributes: Mapping[str, AttributeValue]) -> int:
    weight = _VALUE_WEIGHT * len(attributes)
    for value in attributes.values():
        if type(value) is str:
            weight += len(value)
    return weight
