"""Finished spans become OTLP protobuf here, once, on the export thread.

The bytes are written by hand (see `protobuf`) at a fraction of the official
encoder's cost, and mean the same message. What honeyhive adds on the way:

* every value is cut to its limit first and redacted second (see `cleaning`);
* spans are encoded quickly, looked at for secrets all together, and those that are
  suspect encoded again with care (see `pairs`);
* what the official encoder drops (lone surrogates, integers beyond 64 bits,
  unknown types, deep nesting) is kept, as text where there is no other way;
* a span is never lost to its content. If our encoder stumbles, the official one
  takes that span; if that fails too, the span goes without its attributes
  (see `last_resort`).

A request groups spans by resource and scope. Both are encoded once and remembered
by identity. Requests are concatenable: the bytes of two of them one after the
other are a request as well.
"""

from __future__ import annotations

import struct
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

from honeyhive.models.conventions import TELLING_KEYS
from honeyhive.tracer.export.cleaning import Cleaner, EncodeCounts, EncodeLimits
from honeyhive.tracer.export.last_resort import by_official_encoder, without_attributes
from honeyhive.tracer.export.pairs import CareNeeded, PairEncoder
from honeyhive.tracer.export.protobuf import delimited, fixed64, utf8, varint
from honeyhive.tracer.processing.event_types import EVENT_TYPE, EventTypes, usual_event_types
from honeyhive.tracer.span import INPUTS, RESULT, Span
from honeyhive.utils.guard import guard
from honeyhive.utils.lazy import LazyResource
from honeyhive.utils.render import render_utf8

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from honeyhive.tracer.details import Details
    from honeyhive.utils.redact import Redactor

__all__ = ["EncodeCounts", "EncodeLimits", "SpanEncoder", "encode_span", "encode_spans", "usual_encoding"]

_TRACE_ID, _SPAN_ID, _TRACE_STATE, _PARENT_ID = b"\x0a\x10", b"\x12\x08", b"\x1a", b"\x22\x08"
_NAME, _KIND, _START, _END, _ATTRIBUTE = b"\x2a", b"\x30", b"\x39", b"\x41", b"\x4a"
_DROPPED_ATTRIBUTES, _EVENT, _DROPPED_EVENTS, _LINK, _DROPPED_LINKS = b"\x50", b"\x5a", b"\x60", b"\x6a", b"\x70"
_STATUS = b"\x7a"
_LOCAL_PARENT, _REMOTE_PARENT = b"\x85\x01\x00\x01\x00\x00", b"\x85\x01\x00\x03\x00\x00"

_EVENT_TIME, _EVENT_NAME, _EVENT_ATTRIBUTE, _EVENT_DROPPED = b"\x09", b"\x12", b"\x1a", b"\x20"
_LINK_ATTRIBUTE, _LINK_DROPPED = b"\x22", b"\x28"
_LOCAL_LINK, _REMOTE_LINK = b"\x35\x00\x01\x00\x00", b"\x35\x00\x03\x00\x00"
_MESSAGE, _CODE = b"\x12", b"\x18"

_RESOURCE_SPANS, _RESOURCE, _SCOPE_SPANS = b"\x0a", b"\x0a", b"\x12"
_SCOPE, _SPAN, _SCHEMA_URL = b"\x0a", b"\x12", b"\x1a"
_RESOURCE_ATTRIBUTE, _SCOPE_NAME, _SCOPE_VERSION, _SCOPE_ATTRIBUTE = b"\x0a", b"\x0a", b"\x12", b"\x1a"

_KINDS: Final = {kind: _KIND + varint(kind.value + 1) for kind in SpanKind}
_UNSET_STATUS: Final = _STATUS + b"\x00"
_TEXTS: Final = frozenset({str})
_NO_STATICS: Final[Mapping[str, object]] = {}
_NO_KEYS: Final[Sequence[str]] = ()
_NOT_YET: Final[Any] = object()
_USUAL_LIMITS: Final = EncodeLimits()
_LONGEST_NAME: Final = 160
_REMEMBERED: Final = 4096
_REMEMBERED_SITES: Final = 256
_LONGEST_STATICS: Final = 16 << 10

_times: Final = struct.Struct("<cQcQ").pack

_T = TypeVar("_T")
_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class _Statics:
    """What a call site, a tracer, a session and baggage give to each of their spans.

    Attributes:
        owners: The objects by whose ids it is known, so that no others get these.
        keys: Of the attributes.
        decisive: These, and those of all attributes that have a say in the event type.
        encoded: The attributes.
        room: How many more a span may have before limits cut; negative where only all in one mapping will do.
        name: What spans are called here, if there is a call site.
        event_type: The attribute that tells the event type of a span of that name which has nothing decisive of its own;
            empty where it is among the others, or nobody wants it.
    """

    owners: tuple[object, object]
    keys: frozenset[str]
    decisive: frozenset[str]
    encoded: bytes
    room: int
    name: str | None
    event_type: bytes


class SpanEncoder:
    """Encodes spans, with the memory that makes it cheap. For one thread at a time.

    Args:
        redactor: Sees every name, key, value, message and description before it
            is written. Without one nothing is looked for.
        limits: Sizes beyond which values are cut.
        event_types: Tells spans that do not say it what type of event they are.
    """

    def __init__(
        self,
        redactor: Redactor | None = None,
        limits: EncodeLimits = _USUAL_LIMITS,
        event_types: EventTypes | None = None,
    ) -> None:
        self._event_types = event_types
        self._redactor = redactor
        self._limits = limits
        self._cleaner = Cleaner(redactor, limits.longest_value)
        self.counts = self._cleaner.counts
        self._pairs = PairEncoder(_ATTRIBUTE, self._cleaner)
        self._event_pairs = PairEncoder(_EVENT_ATTRIBUTE, self._cleaner)
        self._link_pairs = PairEncoder(_LINK_ATTRIBUTE, self._cleaner)
        self._names: dict[str, bytes] = {}
        self._inputs: dict[str, str] = {}
        self._owners: dict[int, tuple[object, bytes]] = {}
        self._statics_of: dict[tuple[object, ...], _Statics] = {}
        self._traits: dict[Details, bytes] = {}

    def request(self, spans: Iterable[ReadableSpan]) -> bytes:
        """Encode *spans* as an ``ExportTraceServiceRequest``. Raises nothing on account of their content."""
        spans = tuple(spans)
        redacted_before = self._cleaner.redactions()
        try:
            with guard("encode spans"):
                return self._grouped(spans, self._all(spans))
            return self._grouped(spans, [self.span(span) for span in spans])
        finally:
            self.counts.redacted += self._cleaner.redactions() - redacted_before

    def span(self, span: ReadableSpan) -> bytes:
        """Encode one ``Span`` message, by whichever way works."""
        with guard("encode a span"):
            return self._encode(span, None)
        with guard("encode a span with the official encoder"):
            encoded = by_official_encoder(span, self._cleaner)
            self.counts.official += 1
            return encoded
        return self._marked(span, "the span could not be encoded")

    def _all(self, spans: Sequence[ReadableSpan]) -> list[bytes]:
        """Encode *spans* quickly, and with care those of them in which there may be a secret."""
        texts: list[bytes] = []
        ends: list[int] = []
        encoded: list[bytes] = []
        for span in spans:
            known = len(texts)
            try:
                encoded.append(self._encode(span, texts))
            except CareNeeded:
                del texts[known:]
                encoded.append(self._encode(span, None))
            ends.append(len(texts))
        for number in {bisect_right(ends, place) for place in self._cleaner.suspects(texts)}:
            encoded[number] = self._encode(spans[number], None)
        return encoded

    # -- resource and scope ------------------------------------------------------------------

    def _grouped(self, spans: Sequence[ReadableSpan], encoded: Sequence[bytes]) -> bytes:
        resources: dict[bytes, dict[bytes, list[bytes]]] = {}
        group: list[bytes] = []
        resource, scope, state = _NOT_YET, _NOT_YET, _NOT_YET
        for span, message in zip(spans, encoded, strict=True):
            # Spans that share what they share also share resource and scope.
            known = type(span) is Span and span._st is state and span._details.over is None
            if not known and (span.resource is not resource or span.instrumentation_scope is not scope):
                resource, scope = span.resource, span.instrumentation_scope
                group = resources.setdefault(self._resource(resource), {}).setdefault(self._scope(scope), [])
                state = span._st if type(span) is Span and span._details.over is None else _NOT_YET
            group += (_SPAN, varint(len(message)), message)
        parts: list[bytes] = []
        for resource, scopes in resources.items():
            inner = [resource]
            for scope, group in scopes.items():
                inner += _framed(_SCOPE_SPANS, [scope, *group])
            parts += _framed(_RESOURCE_SPANS, inner)
        return b"".join(parts)

    def _resource(self, resource: Resource | None) -> bytes:
        """Fields of ``ResourceSpans`` except the spans."""
        return self._owner(resource, self._spell_resource)

    def _scope(self, scope: InstrumentationScope | None) -> bytes:
        """Fields of ``ScopeSpans`` except the spans."""
        return self._owner(scope, self._spell_scope)

    def _owner(self, owner: _T, spell: Callable[[_T], bytes]) -> bytes:
        # The entry holds its owner, so the id cannot pass to another object meanwhile.
        known = self._owners.get(id(owner))
        if known is not None:
            return known[1]
        spelled = b""
        with guard("encode a resource or scope"):
            spelled = spell(owner)
        _remember(self._owners, id(owner), (owner, spelled))
        return spelled

    def _spell_resource(self, resource: Resource | None) -> bytes:
        if resource is None:
            return _RESOURCE + b"\x00"
        attributes = PairEncoder(_RESOURCE_ATTRIBUTE, self._cleaner).joined(resource.attributes)
        return _RESOURCE + delimited(attributes) + _optional(_SCHEMA_URL, resource.schema_url)

    def _spell_scope(self, scope: InstrumentationScope | None) -> bytes:
        if scope is None:
            return _SCOPE + b"\x00"
        name, version = _optional(_SCOPE_NAME, scope.name), _optional(_SCOPE_VERSION, scope.version)
        attributes = PairEncoder(_SCOPE_ATTRIBUTE, self._cleaner).joined(scope.attributes or {})
        return _SCOPE + delimited(name + version + attributes) + _optional(_SCHEMA_URL, scope.schema_url)

    # -- span: with a list for texts to be looked at, quickly; without one, carefully ----------

    def _encode(self, span: ReadableSpan, texts: list[bytes] | None) -> bytes:
        encoded = b"".join(self._ours(span, texts) if type(span) is Span else self._foreign(span, texts))
        if len(encoded) <= self._limits.longest_span:
            return encoded
        if texts is not None:
            raise CareNeeded
        return self._shrunk(span)

    def _foreign(self, span: ReadableSpan, texts: list[bytes] | None) -> list[bytes]:
        """Fields of any SDK span, read through its public face."""
        context = span.context
        parts = [_TRACE_ID, context.trace_id.to_bytes(16), _SPAN_ID, context.span_id.to_bytes(8)]
        parent = span.parent
        if parent:
            parts += (_PARENT_ID, parent.span_id.to_bytes(8))
        parts += (_NAME, self._name(span.name, texts), _lifetime(span.start_time, span.end_time))
        parts.append(self._traits_in(span.kind, context.trace_state, span.status, parent, texts))
        self._add_mapping(parts, span, texts)
        self._add_details(parts, span, texts)
        return parts

    def _ours(self, span: Span, texts: list[bytes] | None) -> list[bytes]:
        """Fields of our own span, read from its slots without building what they stand for."""
        details = span._details
        parts = [
            self._traits.get(details) or self._traits_of(details, texts),
            _TRACE_ID,
            span._tid.to_bytes(16),
            _SPAN_ID,
            span._sid.to_bytes(8),
            _NAME,
            self._names.get(span._name) or self._name(span._name, texts),
            _lifetime(span._start_time, span._end_time),
        ]
        if span._psid:
            parts += (_PARENT_ID, span._psid.to_bytes(8))
        if details.attributes is not None or not self._add_deferred(parts, span, texts):
            self._add_mapping(parts, span, texts)
        if details.events is not None or details.links is not None:
            self._add_details(parts, span, texts)
        return parts

    def _traits_of(self, details: Details, texts: list[bytes] | None) -> bytes:
        encoded = self._traits_in(details.kind, details.trace_state, details.status, details.parent, texts)
        if details.is_shared:
            _remember(self._traits, details, encoded)
        return encoded

    def _traits_in(
        self, kind: SpanKind, state: TraceState, status: Status | None, parent: object, texts: list[bytes] | None
    ) -> bytes:
        """Kind, trace state, flags and status: what most spans have alike."""
        flags = _REMOTE_PARENT if isinstance(parent, SpanContext) and parent.is_remote else _LOCAL_PARENT
        return _KINDS[kind] + (_trace_state(state) if state else b"") + flags + self._status(status, texts)

    def _name(self, name: str, texts: list[bytes] | None) -> bytes:
        if len(name) > _LONGEST_NAME:
            return delimited(self._message(name, texts))
        known = self._names.get(name)
        if known is None:
            known = delimited(utf8(self._cleaner.text(name)))
            _remember(self._names, name, known)
        return known

    def _status(self, status: Status | None, texts: list[bytes] | None) -> bytes:
        if status is None:
            return b""
        code = status.status_code
        if code is StatusCode.UNSET:
            return _UNSET_STATUS
        message = b""
        if status.description:
            message = _MESSAGE + delimited(self._message(status.description, texts))
        return _STATUS + delimited(message + _count(_CODE, code.value))

    def _message(self, text: str, texts: list[bytes] | None) -> bytes:
        if texts is None:
            return utf8(self._cleaner.text(text))
        if len(text) > self._cleaner.short_enough:
            raise CareNeeded
        texts.append(utf8(text))
        return texts[-1]

    def _add_details(self, parts: list[bytes], span: ReadableSpan, texts: list[bytes] | None) -> None:
        """Events and links, and how many of them were dropped."""
        for event in span.events:
            parts += (_EVENT, delimited(self._event(event, texts)))
        parts.append(_count(_DROPPED_EVENTS, span.dropped_events))
        for link in span.links:
            parts += (_LINK, delimited(self._link(link, texts)))
        parts.append(_count(_DROPPED_LINKS, span.dropped_links))

    def _event(self, event: Event, texts: list[bytes] | None) -> bytes:
        parts = [_EVENT_TIME, fixed64(event.timestamp), _EVENT_NAME, self._name(event.name, texts)]
        self._event_pairs.add(parts, event.attributes, texts)
        parts.append(_count(_EVENT_DROPPED, event.dropped_attributes))
        return b"".join(parts)

    def _link(self, link: Link, texts: list[bytes] | None) -> bytes:
        context = link.context
        parts = [_TRACE_ID, context.trace_id.to_bytes(16), _SPAN_ID, context.span_id.to_bytes(8)]
        self._link_pairs.add(parts, link.attributes, texts)
        parts.append(_count(_LINK_DROPPED, link.dropped_attributes))
        parts.append(_REMOTE_LINK if context.is_remote else _LOCAL_LINK)
        return b"".join(parts)

    # -- attributes of spans -------------------------------------------------------------------

    def _add_mapping(self, parts: list[bytes], span: ReadableSpan, texts: list[bytes] | None) -> None:
        """All attributes of a span from the one mapping of them, and how many were dropped."""
        attributes: Mapping[str, object] = span.attributes or {}
        if self._event_types is not None:
            attributes = {**attributes, **self._event_types.additions(span.name, attributes)}
        self._pairs.add(parts, attributes, texts)
        parts.append(_count(_DROPPED_ATTRIBUTES, span.dropped_attributes))

    def _add_deferred(self, parts: list[bytes], span: Span, texts: list[bytes] | None) -> bool:
        """Attributes of a span whose mapping nobody asked for; false, and nothing added, where only the mapping will do.

        That is: one key from two sources, of which the later wins; limits that cut; rules that look at everything.
        """
        statics = self._statics(span)
        captured = self._captured_keys(span) if span._values or span._result is not None else _NO_KEYS
        dynamic: Mapping[str, object] = span._dyn or _NO_STATICS
        says_little = statics.decisive.isdisjoint(dynamic)
        if len(captured) + len(dynamic) > statics.room or not (says_little or statics.keys.isdisjoint(dynamic)):
            return False
        for key in captured:
            if key in statics.keys or key in dynamic:
                return False
        parts.append(statics.encoded)
        if captured:
            self._add_captured(parts, span, captured, texts)
        self._pairs.add(parts, dynamic, texts)
        if says_little and span._name == statics.name:
            parts.append(statics.event_type)
        elif self._event_types is not None and EVENT_TYPE not in statics.keys and EVENT_TYPE not in dynamic:
            declared = _NO_STATICS if span._site is None else span._site.statics
            additions = self._event_types.additions(span._name, {**declared, **dynamic})
            self._pairs.add(parts, additions, texts)
        return True

    def _captured_keys(self, span: Span) -> Sequence[str]:
        """The keys of the arguments, in order, and of the result if there is one."""
        inputs = self._inputs
        keys = [inputs.get(name) or self._input(name) for name in span._names] if span._values else []
        if span._result is not None:
            keys.append(RESULT)
        return keys

    def _input(self, name: str) -> str:
        key = INPUTS + name
        _remember(self._inputs, name, key)
        return key

    def _add_captured(self, parts: list[bytes], span: Span, keys: Sequence[str], texts: list[bytes] | None) -> None:
        for key, captured in zip(keys, (*span._values, span._result), strict=False):
            value = captured if type(captured) is str else render_utf8(captured)
            if value is not None:
                self._pairs.add_one(parts, key, value, texts)

    def _statics(self, span: Span) -> _Statics:
        sessions, baggage = span._loc, span._bag
        key = (
            id(span._site),
            id(span._st),
            span._ses,
            tuple(sessions.items()) if sessions else None,
            tuple(baggage.items()) if baggage else None,
        )
        try:
            known = self._statics_of.get(key)
        except TypeError:  # somebody's baggage that cannot be hashed
            return self._spell_statics(span)
        if known is None:
            known = self._spell_statics(span)
            # Other values may be equal to one another and yet be spelled differently; long ones come from afar and once.
            is_usual = not baggage or _TEXTS.issuperset(map(type, baggage.values()))
            if is_usual and len(known.encoded) <= _LONGEST_STATICS:
                _remember(self._statics_of, key, known, _REMEMBERED_SITES)
        return known

    def _spell_statics(self, span: Span) -> _Statics:
        site, state, types = span._site, span._st, self._event_types
        name, declared = (None, _NO_STATICS) if site is None else (site.name, site.statics)
        merged = {**declared, **span.identity_attributes()}
        event_type: Mapping[str, object] = _NO_STATICS
        if name is not None and types is not None and EVENT_TYPE not in merged:
            event_type = types.additions(name, declared)
        return _Statics(
            owners=(site, state),
            keys=frozenset(merged),
            decisive=TELLING_KEYS.union(merged),
            encoded=self._pairs.joined(merged),
            room=-1 if types is not None and types.has_rules else _room(state.limits) - len(merged),
            name=name,
            event_type=self._pairs.joined(event_type),
        )

    # -- spans that cannot go as they are ----------------------------------------------------

    def _shrunk(self, span: ReadableSpan) -> bytes:
        """Encode a span beyond the span limit with ever shorter values, at last with none."""
        self.counts.shrunk += 1
        for longest in (64 << 10, 4 << 10, 256):
            smaller = SpanEncoder(self._redactor, replace(self._limits, longest_value=longest), self._event_types)
            encoded = b"".join(smaller._foreign(span, None))
            if len(encoded) <= self._limits.longest_span:
                return encoded
        return self._marked(span, "the span is too large")

    def _marked(self, span: ReadableSpan, reason: str) -> bytes:
        self.counts.marked += 1
        return without_attributes(span, reason, self._cleaner)


class UsualEncoding:
    """Makes requests for a tracer: everything on, and made only when the first spans leave."""

    def __init__(self, redactor: Redactor | None, limits: EncodeLimits) -> None:
        self._counts = EncodeCounts()
        self._encoder = LazyResource(lambda: SpanEncoder(redactor, limits, usual_event_types()))

    def __call__(self, spans: Iterable[ReadableSpan]) -> bytes:
        """Encode *spans* as one request."""
        encoder = self._encoder.resource
        self._counts = encoder.counts
        return encoder.request(spans)

    def counts(self) -> EncodeCounts:
        """Return what happened so far to what could not go as it was."""
        return replace(self._counts)


def usual_encoding(redactor: Redactor | None, limits: EncodeLimits = _USUAL_LIMITS) -> UsualEncoding:
    """Return what makes requests for a tracer."""
    return UsualEncoding(redactor, limits)


def encode_span(span: ReadableSpan, *, redactor: Redactor | None = None) -> bytes:
    """Encode one OTLP ``Span`` message. Whoever encodes many keeps a `SpanEncoder` and its caches."""
    return SpanEncoder(redactor).span(span)


def encode_spans(spans: Iterable[ReadableSpan], *, redactor: Redactor | None = None) -> bytes:
    """Encode *spans* as one ``ExportTraceServiceRequest``."""
    return SpanEncoder(redactor).request(spans)


def _room(limits: SpanLimits) -> int:
    """How many attributes a span may have that are as they were given; none where lengths are limited."""
    if limits.max_span_attribute_length is not None:
        return -1
    return sys.maxsize if limits.max_span_attributes is None else limits.max_span_attributes


def _framed(tag: bytes, parts: Sequence[bytes]) -> list[bytes]:
    """Put tag and length in front of *parts*, which are joined later, all at once."""
    return [tag, varint(sum(map(len, parts))), *parts]


def _remember(cache: dict[_K, _V], key: _K, value: _V, most: int = _REMEMBERED) -> None:
    """Keep *value*; a full cache is emptied, which costs less than keeping order."""
    if len(cache) >= most:
        cache.clear()
    cache[key] = value


def _trace_state(state: TraceState) -> bytes:
    pairs = ",".join(f"{key}={value}" for key, value in state.items())
    return _TRACE_STATE + delimited(utf8(pairs))


def _optional(tag: bytes, text: str | None) -> bytes:
    return tag + delimited(utf8(text)) if text else b""


def _count(tag: bytes, number: int) -> bytes:
    return tag + varint(number) if number else b""


def _lifetime(start: int | None, end: int | None) -> bytes:
    return _times(_START, start, _END, end) if start and end else _time(_START, start) + _time(_END, end)


def _time(tag: bytes, nanoseconds: int | None) -> bytes:
    return tag + fixed64(nanoseconds) if nanoseconds else b""
