"""The OpenTelemetry tracer that starts our spans.

A subclass of the SDK's, which takes its arguments and keeps its behaviour. A span
starts on one of two paths:

* the short one, when nothing unusual is asked: a recognised sampler, random ids, the
  current context, a parent of the same tracer or of another process, or none;
* the general one, step by step what the SDK does: any sampler, id generator, explicit
  context, foreign parents, internal metrics, span name filters.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, cast

from opentelemetry.context.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as ApiSpan

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.current_span import CurrentSpan, EnteredSpan
from honeyhive.tracer.details import NO_STATE, Details, below_remote, usual_details
from honeyhive.tracer.entering import entered
from honeyhive.tracer.identity import CallSite, Identity
from honeyhive.tracer.processors import Processors
from honeyhive.tracer.remote import RemoteSpan
from honeyhive.tracer.span import BARE_WEIGHT, Span
from honeyhive.tracer.state import ALL_TRACES, ASK_SAMPLER, SAMPLED, SpanState
from honeyhive.tracer.unrecorded import GIVEN_CONTEXT, UnrecordedSpan, make_unrecorded
from honeyhive.utils.fork import call_after_fork

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes, AttributeValue

__all__ = ["Tracer"]

_RANDOM_FLAG: Final = int(getattr(TraceFlags, "RANDOM_TRACE_ID", 0))
_KEPT_FLAGS: Final = SAMPLED | _RANDOM_FLAG
_FOLLOWED_FLAGS: Final = frozenset({SAMPLED, SAMPLED | _RANDOM_FLAG})
_LEFT_OUT_FLAGS: Final = frozenset({0, _RANDOM_FLAG})
_TEXTS: Final = frozenset({str})
_SCALARS: Final = frozenset({str, int, float, bool})
_LOWEST_64_BITS: Final = (1 << 64) - 1
_INTERNAL: Final = SpanKind.INTERNAL
_USUAL: Final = usual_details(_INTERNAL)
_SPAN_KEY: Final = hh_context.SPAN_KEY
_BAGGAGE_KEY: Final = hh_context.BAGGAGE_KEY
_SESSIONS_KEY: Final = hh_context.SESSIONS_KEY

_current: Final = hh_context.current
_new: Final = object.__new__
_get: Final = dict.get

# A generator of our own: random.seed() in the application must not make ids repeat.
_random: Final = random.Random()  # noqa: S311 -- ids, not secrets
_bits: Final = _random.getrandbits
call_after_fork(_random.seed)


class Lineage(NamedTuple):
    """The ids of a span that were not found on the short path."""

    trace_id: int
    span_id: int
    parent_id: int
    flags: int


class Tracer(sdk.Tracer):
    """Starts our spans. Made by :meth:`honeyhive.tracer.provider.TracerProvider.get_tracer`."""

    _watched: ClassVar[frozenset[str]] = frozenset(
        {"sampler", "resource", "span_processor", "id_generator", "_span_limits", "_tracer_config", "_identity"}
    )
    _state: SpanState | None = None
    _identity: Identity | None = None
    _allows: Callable[[str], bool] | None = None
    _limits: sdk.SpanLimits
    _clocks: tuple[Callable[[], int], Callable[[], int]] = (time_ns, monotonic_ns)

    def __setattr__(self, name: str, value: object) -> None:
        """Set the attribute; what spans share is worked out anew if it plays a part in that."""
        object.__setattr__(self, name, value)
        if name in self._watched:
            object.__setattr__(self, "_state", None)

    def configure(
        self,
        identity: Identity | None,
        allows: Callable[[str], bool] | None,
        clocks: tuple[Callable[[], int], Callable[[], int]],
        limits: sdk.SpanLimits,
    ) -> None:
        """Give the tracer what HoneyHive adds: whose spans, which names, which clocks (wall, monotonic), which limits."""
        self._limits = limits
        self._allows = allows
        self._clocks = clocks
        self._identity = identity

    # -- what spans share ---------------------------------------------------------------------

    @property
    def state(self) -> SpanState:
        """What the spans that start now share."""
        return self._state or self._renew()

    def _renew(self) -> SpanState:
        metrics = getattr(self, "_tracer_metrics", None)
        wall, monotonic = self._clocks
        self._state = state = SpanState(
            resource=self.resource,
            scope=getattr(self, "_instrumentation_scope", None),
            info=self.instrumentation_info,
            limits=getattr(self, "_span_limits", None) or self._limits,
            processors=Processors.of(self.span_processor),
            identity=self._identity,
            sampler=self.sampler,
            root_flags=SAMPLED | (_RANDOM_FLAG if _ids_are_random(self.id_generator) else 0),
            is_plain=type(self.id_generator) is RandomIdGenerator
            and self._allows is None
            and self._enabled()
            and (metrics is None or type(metrics).__name__.startswith("NoOp"))
            and hh_context.FAST,
            allows=self._allows,
            wall_ns=wall,
            monotonic_ns=monotonic,
        )
        return state

    def _enabled(self) -> bool:
        """Whether this tracer records at all; releases of the SDK ask it in different ways."""
        if self._identity is not None and not self._identity.enabled:
            return False
        is_enabled = getattr(self, "_is_enabled", None)
        return bool(is_enabled()) if is_enabled is not None else True

    # -- starting spans -----------------------------------------------------------------------

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> ApiSpan:
        """Start a span as :meth:`opentelemetry.trace.Tracer.start_span` describes."""
        details = _USUAL if kind is _INTERNAL else usual_details(kind)
        span = self.prepare(name, _current(), details) if context is None else None
        if span is None:
            span = self.prepare_by_sampler(name, context, details, None, attributes, links or ())
            if type(span) is not Span:
                return span
        elif type(span) is not Span:
            return span
        else:
            if attributes:
                _give_attributes(span, attributes)
            if links:
                _give_links(span, links)
        if not (record_exception and set_status_on_exception):
            span.own_details().options = bool(record_exception) | bool(set_status_on_exception) << 1
        span.begin(context, start_time)
        return span

    def start_at(self, site: CallSite, kind: SpanKind = SpanKind.INTERNAL) -> Span | UnrecordedSpan:
        """Start a span of *site* in the current context."""
        context, details = _current(), usual_details(kind)
        span = self.prepare(site.name, context, details, site)
        if span is None:
            span = self.prepare_by_sampler(site.name, context, details, site, site.statics)
        if type(span) is Span:
            span.begin(context)
        return span

    def enter_at(
        self, site: CallSite, details: Details, texts: dict[str, AttributeValue], context: Context
    ) -> EnteredSpan:
        """Start a span of *site*, as `begin_at` does, that is current in the block of what is returned."""
        span = self.begin_at(site, details, texts, context)
        return EnteredSpan(span, entered(context, span))

    def begin_at(
        self, site: CallSite, details: Details, scalars: dict[str, AttributeValue], context: Context
    ) -> Span | UnrecordedSpan:
        """Start a span of *site* in *context*.

        Args:
            site: What it shares with others.
            details: What it begins with.
            scalars: Attributes of its own, all of them plain; the span keeps the dictionary.
            context: Where it starts.
        """
        span = self.prepare(site.name, context, details, site)
        if span is None:
            span = self.prepare_by_sampler(site.name, context, details, site, {**site.statics, **scalars})
        elif type(span) is Span:
            if len(scalars) <= span._st.fast_count:
                span._dyn = scalars
            else:
                span.set_attributes(scalars)
        if type(span) is Span:
            span.begin(context)
        return span

    def prepare(  # noqa: PLR0912 -- flat on purpose
        self, name: str, where: Context, details: Details, site: CallSite | None = None, lineage: Lineage | None = None
    ) -> Span | UnrecordedSpan | None:
        """Create a span in the context *where*; one that records begins with :meth:`Span.begin`.

        The short path, and the making of every span; flat on purpose.

        Returns:
            ``None`` where :meth:`prepare_by_sampler` is needed.
        """
        state = self._state or self._renew()
        if lineage is not None:
            trace_id, span_id, parent_id, flags = lineage
        else:
            parent = _get(where, _SPAN_KEY) if where else None
            if parent is None:
                trace_id, parent_id, flags = _bits(128) or 1, 0, state.root_flags
                if state.root_bound is not ALL_TRACES and trace_id & _LOWEST_64_BITS >= state.root_bound:
                    return _left_out(state, trace_id)
            elif type(parent) is Span:
                flags = parent._flags
                if not (state.follows_parent and flags & SAMPLED and parent._st.identity is state.identity):
                    return None
                trace_id, parent_id = parent._tid, parent._sid
                if parent._details.trace_state is not NO_STATE:
                    details = Details(details.kind, parent._details.trace_state)
            elif type(parent) is RemoteSpan and state.follows_remote and parent._flags in _FOLLOWED_FLAGS:
                trace_id, parent_id, flags = parent._tid, parent._sid, parent._flags
                details = below_remote(details)
            elif (remote := _followed(state, parent)) is not None:
                trace_id, parent_id, flags = remote.trace_id, remote.span_id, remote.trace_flags & _KEPT_FLAGS
                details = Details(details.kind, remote.trace_state, remote)
            else:
                return _left_out_below(state, parent)
            span_id = _bits(64) or 1
        span = _new(Span)
        span._st = state
        span._site = site
        span._name = name
        span._tid = trace_id
        span._sid = span_id
        span._psid = parent_id
        span._flags = flags
        span._details = details
        span._values = ()
        span._result = span._dyn = span._token = span._end_time = None
        span.weight = BARE_WEIGHT
        identity = state.identity
        span._ses = None if identity is None else identity.session_id
        span._bag = span._loc = None
        if where:
            if _BAGGAGE_KEY in where:
                span._bag = where[_BAGGAGE_KEY]  # type: ignore[assignment]
            if _SESSIONS_KEY in where:
                span._loc = where[_SESSIONS_KEY]  # type: ignore[assignment]
        return span

    def prepare_by_sampler(
        self,
        name: str,
        context: Context | None,
        details: Details,
        site: CallSite | None,
        attributes: Attributes,
        links: Sequence[Link] = (),
    ) -> Span | UnrecordedSpan:
        """Do what :meth:`prepare` does, asking everybody who may have a say: the general path.

        Args:
            name: What the span is called.
            context: Where it starts, if that was asked for; otherwise the current context.
            details: What it begins with.
            site: Where it is made, for a decorated call.
            attributes: What it starts out with, as far as the sampler agrees.
            links: What it is linked to.
        """
        state = self.state
        where = _current() if context is None else context
        hidden = where.get(_SPAN_KEY)
        found = hh_context.span_for(where, state.identity)
        parent_span = found if isinstance(found, ApiSpan) else INVALID_SPAN
        parent: SpanContext | None = parent_span.get_span_context()
        if not isinstance(parent, SpanContext):
            raise TypeError("parent_span_context must be a SpanContext or None.")
        if not self._enabled() or (state.allows is not None and not state.allows(name)):
            return UnrecordedSpan(parent, state)
        if hidden is not None and parent_span is not hidden:
            context = set_span_in_context(parent_span, where)
        if not parent.is_valid:
            parent, trace_id = None, self.id_generator.generate_trace_id()
        else:
            trace_id = parent.trace_id
        result = self.sampler.should_sample(context, trace_id, name, details.kind, attributes, links)
        flags = SAMPLED if result.decision.is_sampled() else 0  # type: ignore[no-untyped-call]
        if _ids_are_random(self.id_generator) if parent is None else parent.trace_flags & _RANDOM_FLAG:
            flags |= _RANDOM_FLAG
        span_id = self.id_generator.generate_span_id()
        metrics = getattr(self, "_tracer_metrics", None)
        release = None if metrics is None else metrics.start_span(parent, result.decision)
        if not result.decision.is_recording():  # type: ignore[no-untyped-call]
            return UnrecordedSpan(SpanContext(trace_id, span_id, False, TraceFlags(flags), result.trace_state), state)
        lineage = Lineage(trace_id, span_id, parent.span_id if parent else 0, flags)
        span = cast("Span", self.prepare(name, where, details, site, lineage))
        if result.trace_state:
            span.own_details().trace_state = result.trace_state
        if parent is not None:
            span.own_details().parent = parent
        if release is not None:
            span.own_details().release = release
        if result.attributes:
            _give_attributes(span, result.attributes)
        if links:
            _give_links(span, links)
        return span

    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> CurrentSpan:
        """Return a context manager, usable as a decorator too, that starts a span and makes it current."""
        return CurrentSpan(
            self.start_span,
            (name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception),
            end_on_exit,
        )


def _left_out(state: SpanState, trace_id: int) -> UnrecordedSpan | None:
    """Return the span of a new trace that is not recorded, if that is certain."""
    if state.root_bound == ASK_SAMPLER:
        return None
    return make_unrecorded(state, trace_id, _bits(64) or 1, state.root_flags & ~SAMPLED)


def _followed(state: SpanState, parent: object) -> SpanContext | None:
    """Return who the span *parent* of another process is, if it is certain that a child of it is recorded."""
    if type(parent) is not NonRecordingSpan or not state.follows_remote:
        return None
    found = parent.get_span_context()
    return found if found.is_remote and found.is_valid and found.trace_flags & SAMPLED else None


def _left_out_below(state: SpanState, parent: object) -> UnrecordedSpan | None:
    """Return the span below *parent* that is not recorded, if that is certain."""
    if type(parent) is RemoteSpan:
        is_left_out = state.leaves_out_remote and parent._flags in _LEFT_OUT_FLAGS
        return make_unrecorded(state, parent._tid, _bits(64) or 1, parent._flags) if is_left_out else None
    if (
        type(parent) is UnrecordedSpan
        and state.leaves_out_below
        and parent._flags != GIVEN_CONTEXT
        and parent._st.identity is state.identity
    ):
        return make_unrecorded(state, parent._tid, _bits(64) or 1, parent._flags, parent._tstate)
    return None


def _give_attributes(span: Span, attributes: Mapping[str, Any]) -> None:
    limit = span._st.fast_count
    plain = len(attributes) <= limit and "" not in attributes and _TEXTS.issuperset(map(type, attributes))
    if plain and _SCALARS.issuperset(map(type, attributes.values())):
        span._dyn = dict(attributes)
    else:
        span.set_attributes(attributes)


def _give_links(span: Span, links: Sequence[Link | None]) -> None:
    for link in links:
        if link is not None:
            span.add_link(link.context, link.attributes)


def _ids_are_random(generator: IdGenerator) -> bool:
    ask = getattr(generator, "is_trace_id_random", None)
    return bool(ask()) if ask is not None else False
