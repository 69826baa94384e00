"""Finished spans become OTLP protobuf here, once, on the export thread.

The bytes are written by hand (see `protobuf`) at a fraction of the official
encoder's cost, and mean the same message. What honeyhive adds on the way:

* every value is cut to its limit first and redacted second;
* what the official encoder drops (lone surrogates, integers beyond 64 bits,
  unknown types, deep nesting) is kept, as text where there is no other way;
* a span is never lost to its content. If our encoder stumbles, the official one
  takes that span; if that fails too, the span goes without its attributes.

A request groups spans by resource and scope. Both are encoded once and remembered
by identity. Requests are concatenable: the bytes of two of them one after the
other are a request as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from honeyhive.tracer.export.protobuf import (
    any_value,
    delimited,
    fixed64,
    key_value,
    name_text,
    number_pair,
    text_pair,
    utf8,
    varint,
)
from honeyhive.tracer.processing.event_types import EVENT_TYPE, EventTypes, usual_event_types
from honeyhive.tracer.span import Span
from honeyhive.utils.capture import CaptureLimits, capture
from honeyhive.utils.guard import guard
from honeyhive.utils.lazy import LazyResource
from honeyhive.utils.render import render

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.util.types import AttributeValue

    from honeyhive.utils.redact import Redactor

__all__ = ["EncodeCounts", "EncodeLimits", "SpanEncoder", "encode_span", "encode_spans", "usual_encoding"]

MARKER: Final = "honeyhive.encode_error"
"""Attribute that stands for all others of a span whose content could not be encoded."""

_TRACE_ID, _SPAN_ID, _TRACE_STATE, _PARENT_ID = b"\x0a\x10", b"\x12\x08", b"\x1a", b"\x22\x08"
_NAME, _KIND, _START, _END, _ATTRIBUTE = b"\x2a", b"\x30", b"\x39", b"\x41", b"\x4a"
_DROPPED_ATTRIBUTES, _EVENT, _DROPPED_EVENTS, _LINK, _DROPPED_LINKS = b"\x50", b"\x5a", b"\x60", b"\x6a", b"\x70"
_STATUS = b"\x7a"
_LOCAL_PARENT, _REMOTE_PARENT = b"\x85\x01\x00\x01\x00\x00", b"\x85\x01\x00\x03\x00\x00"

_EVENT_TIME, _EVENT_NAME, _EVENT_ATTRIBUTE, _EVENT_DROPPED = b"\x09", b"\x12", b"\x1a", b"\x20"
_LINK_ATTRIBUTE, _LINK_DROPPED = b"\x22", b"\x28"
_LOCAL_LINK, _REMOTE_LINK = b"\x35\x00\x01\x00\x00", b"\x35\x00\x03\x00\x00"
_MESSAGE, _CODE = b"\x12", b"\x18"

_SCALARS: Final = frozenset({int, float, bool})

_RESOURCE_SPANS, _RESOURCE, _SCOPE_SPANS = b"\x0a", b"\x0a", b"\x12"
_SCOPE, _SPAN, _SCHEMA_URL = b"\x0a", b"\x12", b"\x1a"
_RESOURCE_ATTRIBUTE, _SCOPE_NAME, _SCOPE_VERSION, _SCOPE_ATTRIBUTE = b"\x0a", b"\x0a", b"\x12", b"\x1a"

_KINDS: Final = {kind: _KIND + varint(kind.value + 1) for kind in SpanKind}
_UNSET_STATUS: Final = _STATUS + b"\x00"
_NO_STATICS: Final[Mapping[str, object]] = {}
_NOTHING: Final[Any] = object()
_INTERNAL_KIND: Final = _KINDS[SpanKind.INTERNAL]
_MASK_64, _MASK_128 = (1 << 64) - 1, (1 << 128) - 1

Encoding: TypeAlias = Callable[[Iterable[ReadableSpan]], bytes]
"""Makes one ``ExportTraceServiceRequest`` of finished spans."""

_T = TypeVar("_T")
_K = TypeVar("_K")
_V = TypeVar("_V")

_SHORT = 40
"""Characters up to which a repeated value is worth remembering in encoded form."""
_REMEMBERED = 4096
"""Entries of each cache; a full one is emptied, which costs less than keeping order."""


@dataclass(frozen=True, slots=True)
class EncodeLimits:
    """How large things may get, in bytes of UTF-8 or protobuf."""

    longest_value: int = 1 << 20
    longest_span: int = 10 << 20


@dataclass(slots=True)
class EncodeCounts:
    """What happened to spans that could not go as they were."""

    official: int = 0
    """Spans that the official encoder had to take."""
    marked: int = 0
    """Spans that went without their attributes."""
    truncated: int = 0
    """Attribute values cut to their limit."""
    shrunk: int = 0
    """Spans beyond the span limit, encoded again with shorter values."""
    redacted: int = 0
    """Values, names and messages in which something was replaced or withheld."""


@dataclass(frozen=True, slots=True)
class _Statics:
    """The attributes that a call site, a tracer and a session give to each of their spans."""

    owners: tuple[object, object]
    keys: frozenset[str]
    encoded: bytes


@dataclass(slots=True)
class _Remembered:
    """Encoded forms of what comes again and again, for one redactor."""

    heads: dict[str, bytes] = field(default_factory=dict)
    harmless: dict[str, bytes] = field(default_factory=dict)
    pairs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    names: dict[str, bytes] = field(default_factory=dict)
    owners: dict[int, tuple[object, bytes]] = field(default_factory=dict)
    statics: dict[tuple[int, int, str | None], _Statics] = field(default_factory=dict)


class SpanEncoder:
    """Encodes spans, with the caches that make it cheap. For one thread at a time.

    Args:
        redactor: Sees every name, key, value, message and description before it
            is written. Without one nothing is looked for.
        limits: Sizes beyond which values are cut.
        event_types: Tells spans that do not say it what type of event they are.
    """

    def __init__(
        self,
        redactor: Redactor | None = None,
        limits: EncodeLimits = EncodeLimits(),
        event_types: EventTypes | None = None,
    ) -> None:
        self._event_types = event_types
        self.counts = EncodeCounts()
        self._redactor = redactor
        self._limits = limits
        self._render_limits = CaptureLimits(max_bytes=limits.longest_value)
        self._remembered = _Remembered()

    def request(self, spans: Iterable[ReadableSpan]) -> bytes:
        """Encode *spans* as an ``ExportTraceServiceRequest``. Raises nothing on account of their content."""
        spans = tuple(spans)
        redacted_before = self._redactions()
        try:
            with guard("encode spans"):
                return self._grouped(spans, self._encode)
            return self._grouped(spans, self.span)
        finally:
            self.counts.redacted += self._redactions() - redacted_before

    def _redactions(self) -> int:
        """How much the redactor has replaced for all who share it."""
        return 0 if self._redactor is None else sum(self._redactor.statistics().values())

    def span(self, span: ReadableSpan) -> bytes:
        """Encode one ``Span`` message, by whichever way works."""
        with guard("encode a span"):
            return self._encode(span)
        with guard("encode a span with the official encoder"):
            encoded = _official(self._redacted(span))
            self.counts.official += 1
            return encoded
        return self._marked(span, "the span could not be encoded")

    # -- resource and scope ------------------------------------------------------------------

    def _grouped(self, spans: Sequence[ReadableSpan], encode: Callable[[ReadableSpan], bytes]) -> bytes:
        resources: dict[bytes, dict[bytes, list[bytes]]] = {}
        group: list[bytes] = []
        resource, scope, state = _NOTHING, _NOTHING, _NOTHING
        for span in spans:
            # Spans that share what they share also share resource and scope.
            known = type(span) is Span and span._st is state and span._over is None
            if not known and (span.resource is not resource or span.instrumentation_scope is not scope):
                resource, scope = span.resource, span.instrumentation_scope
                group = resources.setdefault(self._resource(resource), {}).setdefault(self._scope(scope), [])
                state = span._st if type(span) is Span and span._over is None else _NOTHING
            encoded = encode(span)
            group += (_SPAN, varint(len(encoded)), encoded)
        return b"".join(
            _RESOURCE_SPANS
            + delimited(resource + b"".join(_SCOPE_SPANS + delimited(s + b"".join(g)) for s, g in scopes.items()))
            for resource, scopes in resources.items()
        )

    def _resource(self, resource: Resource | None) -> bytes:
        """Fields of ``ResourceSpans`` except the spans."""
        return self._owner(resource, self._spell_resource)

    def _scope(self, scope: InstrumentationScope | None) -> bytes:
        """Fields of ``ScopeSpans`` except the spans."""
        return self._owner(scope, self._spell_scope)

    def _owner(self, owner: _T, spell: Callable[[_T], bytes]) -> bytes:
        # The entry holds its owner, so the id cannot pass to another object meanwhile.
        known = self._remembered.owners.get(id(owner))
        if known is not None:
            return known[1]
        spelled = b""
        with guard("encode a resource or scope"):
            spelled = spell(owner)
        _remember(self._remembered.owners, id(owner), (owner, spelled))
        return spelled

    def _spell_resource(self, resource: Resource | None) -> bytes:
        if resource is None:
            return _RESOURCE + b"\x00"
        attributes = self._attributes(_RESOURCE_ATTRIBUTE, resource.attributes)
        return _RESOURCE + delimited(b"".join(attributes)) + _optional(_SCHEMA_URL, resource.schema_url)

    def _spell_scope(self, scope: InstrumentationScope | None) -> bytes:
        if scope is None:
            return _SCOPE + b"\x00"
        fields = [_optional(_SCOPE_NAME, scope.name), _optional(_SCOPE_VERSION, scope.version)]
        fields += self._attributes(_SCOPE_ATTRIBUTE, scope.attributes)
        return _SCOPE + delimited(b"".join(fields)) + _optional(_SCHEMA_URL, scope.schema_url)

    # -- span --------------------------------------------------------------------------------

    def _encode(self, span: ReadableSpan) -> bytes:
        encoded = b"".join(self._ours(span) if type(span) is Span else self._foreign(span))
        return encoded if len(encoded) <= self._limits.longest_span else self._shrunk(span)

    def _foreign(self, span: ReadableSpan) -> list[bytes]:
        """Fields of any SDK span, read through its public face."""
        context = span.context
        parts = [_TRACE_ID, context.trace_id.to_bytes(16), _SPAN_ID, context.span_id.to_bytes(8)]
        if context.trace_state:
            parts.append(_trace_state(context))
        parent = span.parent
        if parent:
            parts += (_PARENT_ID, parent.span_id.to_bytes(8))
        parts += self._frame(span.name, span.kind, span.start_time, span.end_time, span.status, parent)
        parts += self._whole_mapping(span)
        self._details(parts, span)
        return parts

    def _ours(self, span: Span) -> list[bytes]:
        """Fields of our own span, read from its slots without building what they stand for."""
        parts = [_TRACE_ID, span._tid.to_bytes(16), _SPAN_ID, span._sid.to_bytes(8)]
        if span._tstate:
            parts.append(_trace_state(span._context))
        if span._psid:
            parts += (_PARENT_ID, span._psid.to_bytes(8))
        parts += self._frame(span._name, span._kind, span._start_time, span._end_time, span._status, span._par)
        attributes = self._deferred(span) if span._attrs is None else None
        parts += self._whole_mapping(span) if attributes is None else attributes
        if span._ev is not None or span._lk is not None:
            self._details(parts, span)
        return parts

    def _frame(
        self, name: str, kind: SpanKind, start: int | None, end: int | None, status: Status | None, parent: object
    ) -> tuple[bytes, ...]:
        """Name, kind, times, status and flags."""
        return (
            _NAME,
            self._remembered.names.get(name) or self._name(name),
            _INTERNAL_KIND if kind is SpanKind.INTERNAL else _KINDS[kind],
            _START + fixed64(start) if start else b"",
            _END + fixed64(end) if end else b"",
            self._status(status),
            _REMOTE_PARENT if isinstance(parent, SpanContext) and parent.is_remote else _LOCAL_PARENT,
        )

    def _status(self, status: Status | None) -> bytes:
        if status is None:
            return b""
        code = status.status_code
        if code is StatusCode.UNSET:
            return _UNSET_STATUS
        message = b""
        if status.description:
            message = _MESSAGE + delimited(utf8(self._text(status.description)))
        return _STATUS + delimited(message + _count(_CODE, code.value))

    def _details(self, parts: list[bytes], span: ReadableSpan) -> None:
        """Events and links, and how many of them were dropped."""
        for event in span.events:
            parts += (_EVENT, delimited(self._event(event)))
        parts.append(_count(_DROPPED_EVENTS, span.dropped_events))
        for link in span.links:
            parts += (_LINK, delimited(self._link(link)))
        parts.append(_count(_DROPPED_LINKS, span.dropped_links))

    def _event(self, event: Event) -> bytes:
        parts = [_EVENT_TIME, fixed64(event.timestamp), _EVENT_NAME, self._name(event.name)]
        parts += self._attributes(_EVENT_ATTRIBUTE, event.attributes)
        parts.append(_count(_EVENT_DROPPED, event.dropped_attributes))
        return b"".join(parts)

    def _link(self, link: Link) -> bytes:
        context = link.context
        parts = [_TRACE_ID, context.trace_id.to_bytes(16), _SPAN_ID, context.span_id.to_bytes(8)]
        parts += self._attributes(_LINK_ATTRIBUTE, link.attributes)
        parts.append(_count(_LINK_DROPPED, link.dropped_attributes))
        parts.append(_REMOTE_LINK if context.is_remote else _LOCAL_LINK)
        return b"".join(parts)

    # -- attributes --------------------------------------------------------------------------

    def _attributes(self, tag: bytes, attributes: Mapping[str, object] | None) -> list[bytes]:
        parts: list[bytes] = []
        if not attributes:
            return parts
        pairs, heads, longest = self._remembered.pairs, self._remembered.harmless, self._limits.longest_value >> 2
        texts: list[bytes] = []
        unsure: list[tuple[int, str, str]] = []
        for key, value in attributes.items():
            kind = type(value)
            if kind is str:
                if len(value) <= _SHORT:  # type: ignore[arg-type]
                    pair = pairs.get((key, value)) or self._short(key, value)  # type: ignore[arg-type]
                elif len(value) <= longest and (head := heads.get(key) or self._harmless(key)):  # type: ignore[arg-type]
                    text = utf8(value)  # type: ignore[arg-type]
                    texts.append(text)
                    unsure.append((len(parts) + 1, key, value))  # type: ignore[arg-type]
                    pair = text_pair(head, text)
                else:
                    pair = self._pair(key, value)
            elif kind in _SCALARS and (head := heads.get(key) or self._harmless(key)):
                pair = number_pair(head, value)  # type: ignore[arg-type]
            else:
                pair = self._pair(key, value)
            parts += (tag, pair)
        # Texts are searched for secrets together, which costs little more than one of them alone.
        if texts and self._redactor is not None and not self._redactor.finds_nothing(texts):
            for place, key, value in unsure:
                parts[place] = self._pair(key, value)
        return parts

    def _harmless(self, key: str) -> bytes | None:
        """Return the head of a key under which numbers, and texts without signs of secrets, may go as they are."""
        redactor = self._redactor
        if type(key) is not str or (redactor is not None and (redactor.sees_everything or redactor.is_secret_key(key))):
            return None
        head = self._remembered.heads.get(key) or self._head(key)
        _remember(self._remembered.harmless, key, head)
        return head

    def _whole_mapping(self, span: ReadableSpan) -> list[bytes]:
        """All attributes of a span from the one mapping of them, and how many were dropped."""
        attributes: Mapping[str, object] = span.attributes or {}
        if self._event_types is not None:
            attributes = {**attributes, **self._event_types.additions(span.name, attributes)}
        parts = self._attributes(_ATTRIBUTE, attributes)
        parts.append(_count(_DROPPED_ATTRIBUTES, span.dropped_attributes))
        return parts

    def _deferred(self, span: Span) -> list[bytes] | None:
        """Attributes of a span whose mapping nobody asked for; ``None`` where only the mapping will do.

        That is: one key from two sources, of which the later wins; limits that cut; rules that look at everything.
        """
        limits = span._st.limits
        has_rules = self._event_types is not None and self._event_types.has_rules
        if has_rules or limits.max_span_attribute_length is not None:
            return None
        statics = self._statics(span)
        captured = span.captured_attributes()
        dynamic: Mapping[str, object] = span._dyn or {}
        most = limits.max_span_attributes
        if most is not None and len(statics.keys) + len(captured) + len(dynamic) > most:
            return None
        if not (
            statics.keys.isdisjoint(captured)
            and statics.keys.isdisjoint(dynamic)
            and captured.keys().isdisjoint(dynamic)
        ):
            return None
        if self._event_types is not None and EVENT_TYPE not in statics.keys and EVENT_TYPE not in dynamic:
            declared = _NO_STATICS if span._site is None else span._site.statics
            dynamic = {**dynamic, **self._event_types.additions(span._name, {**declared, **dynamic})}
        return [statics.encoded, *self._attributes(_ATTRIBUTE, {**captured, **dynamic} if captured else dynamic)]

    def _statics(self, span: Span) -> _Statics:
        site, identity = span._site, span._st.identity
        if span._bag:
            return self._spell_statics(span)
        key = (id(site), id(identity), span.session_id)
        known = self._remembered.statics.get(key)
        if known is None:
            known = self._spell_statics(span)
            _remember(self._remembered.statics, key, known, most=256)
        return known

    def _spell_statics(self, span: Span) -> _Statics:
        site = span._site
        merged = {**(_NO_STATICS if site is None else site.statics), **span.identity_attributes()}
        return _Statics((site, span._st.identity), frozenset(merged), b"".join(self._attributes(_ATTRIBUTE, merged)))

    def _short(self, key: str, value: str) -> bytes:
        pair = self._pair(key, value)
        _remember(self._remembered.pairs, (key, value), pair)
        return pair

    def _pair(self, key: str, value: object) -> bytes:
        """One ``KeyValue``, delimited. Its commonest kinds, text and numbers, are spelled in place."""
        if type(value) is str:
            if len(value) > self._limits.longest_value >> 2:
                value = self._cut(value)
        elif type(value) not in _SCALARS:
            return self._structured(key, value)
        if self._redactor is not None:
            value = self._redactor.attribute(key, value)
        head = self._remembered.heads.get(key) or self._head(key)
        return text_pair(head, utf8(value)) if type(value) is str else delimited(head + delimited(any_value(value)))

    def _structured(self, key: str, value: object) -> bytes:
        body = any_value(value)
        if len(body) > self._limits.longest_value:
            self.counts.truncated += 1
            return self._pair(key, str(render(capture(value), self._render_limits)))
        if self._redactor is not None:
            body = any_value(self._redactor.attribute(key, value))
        return delimited((self._remembered.heads.get(key) or self._head(key)) + delimited(body))

    def _head(self, key: str) -> bytes:
        """The key of a ``KeyValue`` and the tag of its value."""
        head = key_value(self._text(name_text(key)), None)[:-1]  # without the empty value's length
        if type(key) is str and len(key) <= 4 * _SHORT:
            _remember(self._remembered.heads, key, head)
        return head

    def _name(self, name: str) -> bytes:
        known = self._remembered.names.get(name)
        if known is None:
            known = delimited(utf8(self._text(name)))
            if len(known) <= 4 * _SHORT:
                _remember(self._remembered.names, name, known)
        return known

    def _text(self, text: str) -> str:
        text = self._cut(text)
        return text if self._redactor is None else self._redactor.text(text)

    def _cut(self, text: str) -> str:
        longest = self._limits.longest_value
        if len(text) <= longest >> 2:
            return text
        shorter = str(render(text, self._render_limits))
        self.counts.truncated += len(shorter) != len(text)
        return shorter

    # -- spans that cannot go as they are ----------------------------------------------------

    def _shrunk(self, span: ReadableSpan) -> bytes:
        """Encode a span beyond the span limit with ever shorter values, at last with none."""
        self.counts.shrunk += 1
        for longest in (64 << 10, 4 << 10, 256):
            smaller = SpanEncoder(self._redactor, replace(self._limits, longest_value=longest), self._event_types)
            encoded = b"".join(smaller._foreign(span))
            if len(encoded) <= self._limits.longest_span:
                return encoded
        return self._marked(span, "the span is too large")

    def _redacted(self, span: ReadableSpan) -> ReadableSpan:
        """A plain copy for the official encoder, which knows no redaction."""
        return ReadableSpan(
            name=self._text(span.name),
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=self._cleaned(span.attributes),
            events=[Event(self._text(e.name), self._cleaned(e.attributes), e.timestamp) for e in span.events],
            links=[Link(link.context, self._cleaned(link.attributes)) for link in span.links],
            kind=span.kind,
            status=Status(span.status.status_code, span.status.description and self._text(span.status.description)),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _cleaned(self, attributes: Mapping[str, AttributeValue] | None) -> dict[str, AttributeValue]:
        if self._redactor is None:
            return dict(attributes or {})
        return {self._text(k): self._redactor.attribute(k, v) for k, v in (attributes or {}).items()}

    def _marked(self, span: ReadableSpan, reason: str) -> bytes:
        """What is certain of a span, with *reason* in place of its attributes."""
        self.counts.marked += 1
        name = b"unknown"
        with guard("encode a span's name"):
            name = utf8(self._text(span.name))[:256].decode(errors="ignore").encode()
        return b"".join((_bare(span), _NAME, delimited(name), _ATTRIBUTE, delimited(key_value(MARKER, reason))))


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


def usual_encoding(redactor: Redactor | None, limits: EncodeLimits = EncodeLimits()) -> UsualEncoding:
    """Return what makes requests for a tracer."""
    return UsualEncoding(redactor, limits)


def encode_span(span: ReadableSpan, *, redactor: Redactor | None = None) -> bytes:
    """Encode one OTLP ``Span`` message. Whoever encodes many keeps a `SpanEncoder` and its caches."""
    return SpanEncoder(redactor).span(span)


def encode_spans(spans: Iterable[ReadableSpan], *, redactor: Redactor | None = None) -> bytes:
    """Encode *spans* as one ``ExportTraceServiceRequest``."""
    return SpanEncoder(redactor).request(spans)


def _remember(cache: dict[_K, _V], key: _K, value: _V, most: int = _REMEMBERED) -> None:
    if len(cache) >= most:
        cache.clear()
    cache[key] = value


def _trace_state(context: SpanContext) -> bytes:
    pairs = ",".join(f"{key}={value}" for key, value in context.trace_state.items())
    return _TRACE_STATE + delimited(utf8(pairs))


def _optional(tag: bytes, text: str | None) -> bytes:
    return tag + delimited(utf8(text)) if text else b""


def _count(tag: bytes, number: int) -> bytes:
    return tag + varint(number) if number else b""


def _official(span: ReadableSpan) -> bytes:
    from opentelemetry.exporter.otlp.proto.common._internal.trace_encoder import _encode_span

    encoded: bytes = _encode_span(span).SerializeToString()
    return encoded


def _bare(span: ReadableSpan) -> bytes:
    """Ids, times and flags of a span of which nothing else can be relied on."""
    context, parent = span.get_span_context(), span.parent
    parts = [_LOCAL_PARENT]
    if context is not None:
        parts += (_TRACE_ID, (context.trace_id & _MASK_128).to_bytes(16))
        parts += (_SPAN_ID, (context.span_id & _MASK_64).to_bytes(8))
    if parent is not None:
        parts += (_PARENT_ID, (parent.span_id & _MASK_64).to_bytes(8))
    parts += (_START, fixed64((span.start_time or 0) & _MASK_64), _END, fixed64((span.end_time or 0) & _MASK_64))
    return b"".join(parts)
