"""The OpenTelemetry provider and tracer whose spans are ours.

Both are subclasses of the SDK's, take its arguments and keep its behaviour. A span
starts on one of two paths:

* the short one, when nothing unusual is asked: a recognised sampler, random ids, the
  current context, a parent of the same tracer or none;
* the general one, step by step what the SDK does: any sampler, id generator, explicit
  context, foreign parents, internal metrics, span name filters.
"""

from __future__ import annotations

import functools
import inspect
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic_ns, time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, ParamSpec, TypeVar

from opentelemetry.context import get_current
from opentelemetry.context.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import sampling
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as ApiSpan

from honeyhive.tracer import context as hh_context
from honeyhive.tracer.span import (
    ASK_SAMPLER,
    GIVEN_CONTEXT,
    CallSite,
    Identity,
    Span,
    SpanState,
    UnrecordedSpan,
    entered,
    make_span,
    make_unrecorded,
)
from honeyhive.utils.fork import call_after_fork

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.util.types import Attributes

__all__ = ["CurrentSpan", "Processors", "Tracer", "TracerProvider"]

P = ParamSpec("P")
R = TypeVar("R")

_SAMPLED: Final = int(TraceFlags.SAMPLED)
_RANDOM_FLAG: Final = int(getattr(TraceFlags, "RANDOM_TRACE_ID", 0))
_SCALARS: Final = frozenset({str, int, float, bool})
_LOWEST_64_BITS: Final = (1 << 64) - 1
_ALL_TRACES: Final = 1 << 64

_SPAN_KEY: Final = hh_context.SPAN_KEY
_current: Final = hh_context.current
_attach: Final = hh_context.attach

# A generator of our own: random.seed() in the application must not make ids repeat.
_random: Final = random.Random()  # noqa: S311 -- ids, not secrets
_bits: Final = _random.getrandbits
call_after_fork(_random.seed)


class Processors(sdk.SynchronousMultiSpanProcessor):
    """A provider's span processors, with the calls each of them really wants laid out in tuples.

    Other libraries replace ``_span_processors`` as a whole; the tuples follow.
    """

    starting: tuple[Callable[..., None], ...]
    ending: tuple[Callable[..., None], ...]
    ended: tuple[Callable[..., None], ...]

    def __init__(self) -> None:
        self.multiplexer: sdk.SpanProcessor = self
        # Keeps processors that are added at the same time.
        self._adding = threading.RLock()
        self._span_processors = ()
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def of(cls, multiplexer: sdk.SpanProcessor | None) -> Processors:
        """Return *multiplexer* as one of ours; a foreign one is called as a single processor."""
        if isinstance(multiplexer, Processors):
            return multiplexer
        processors = cls()
        if multiplexer is not None:
            processors.multiplexer = multiplexer
            processors._lay_out((multiplexer,))
        return processors

    def add_span_processor(self, span_processor: sdk.SpanProcessor) -> None:
        """Have *span_processor* called after those that are there."""
        with self._adding:
            self._span_processors = (*self._members, span_processor)

    @property
    def _span_processors(self) -> tuple[sdk.SpanProcessor, ...]:
        return self._members

    @_span_processors.setter
    def _span_processors(self, value: tuple[sdk.SpanProcessor, ...]) -> None:
        self._members = tuple(value)
        self._lay_out(self._members)

    def _lay_out(self, members: Sequence[sdk.SpanProcessor]) -> None:
        self.starting = _wanted(members, "on_start")
        self.ending = _wanted(members, "_on_ending")
        self.ended = _wanted(members, "on_end")


def _wanted(members: Sequence[sdk.SpanProcessor], method: str) -> tuple[Callable[..., None], ...]:
    """Return the bound *method* of those members that do something in it."""
    idle = getattr(sdk.SpanProcessor, method, None)
    bound = []
    for member in members:
        call = getattr(member, method, None)
        if call is not None and getattr(call, "__func__", call) is not idle:
            bound.append(call)
    return tuple(bound)


class Tracer(sdk.Tracer):
    """Starts our spans. Made by :meth:`TracerProvider.get_tracer`."""

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

    @property
    def state(self) -> SpanState:
        """What the spans that start now share."""
        return self._state or self._renew()

    def _renew(self) -> SpanState:
        processors = self.span_processor
        ours = processors if isinstance(processors, Processors) else Processors.of(processors)
        metrics = getattr(self, "_tracer_metrics", None)
        plain = (
            type(self.id_generator) is RandomIdGenerator
            and self._allows is None
            and self._enabled()
            and (metrics is None or type(metrics).__name__.startswith("NoOp"))
            and hh_context.FAST
        )
        wall, monotonic = self._clocks
        state = SpanState(
            resource=self.resource,
            scope=getattr(self, "_instrumentation_scope", None),
            info=self.instrumentation_info,
            limits=getattr(self, "_span_limits", None) or self._limits,
            processors=ours,
            identity=self._identity,
            sampler=self.sampler,
            root_flags=_SAMPLED | (_RANDOM_FLAG if _ids_are_random(self.id_generator) else 0),
            root_bound=_root_bound(self.sampler) if plain else ASK_SAMPLER,
            fast_child=plain and _follows_parent(self.sampler),
            fast_unsampled=plain and _leaves_out_below(self.sampler),
            allows=self._allows,
            wall_ns=wall,
            monotonic_ns=monotonic,
        )
        self._state = state
        return state

    def _enabled(self) -> bool:
        """Whether this tracer records at all; releases of the SDK ask it in different ways."""
        if self._identity is not None and not self._identity.enabled:
            return False
        is_enabled = getattr(self, "_is_enabled", None)
        return bool(is_enabled()) if is_enabled is not None else True

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
        state = self._state or self._renew()
        span = _start_short(state, name, _current()) if context is None else None
        if span is None:
            span = self._start_general(state, name, context, kind, attributes, links or ())
            if type(span) is not Span:
                return span
        else:
            if type(span) is not Span:
                return span
            if attributes:
                _give_attributes(span, attributes)
            if links:
                _give_links(span, links)
        span._kind = kind
        span._options = bool(record_exception) | bool(set_status_on_exception) << 1
        span._begin(start_time)
        for on_start in state.processors.starting:
            on_start(span, parent_context=context)
        return span

    def prepare(self, site: CallSite, context: Context, kind: SpanKind) -> Span | UnrecordedSpan:
        """Create the span of a decorated call in *context*; one that records begins with :meth:`begin`."""
        state = self._state or self._renew()
        span = _start_short(state, site.name, context)
        if span is None:
            span = self._start_general(state, site.name, context, kind, site.statics, ())
        if type(span) is Span:
            span._site = site
            span._kind = kind
        return span

    def begin(self, span: Span, context: Context) -> None:
        """Let a prepared span begin now."""
        state = span._st
        span._start_time = state.wall_ns()
        span._mono = state.monotonic_ns()
        if state.processors.starting:
            for on_start in state.processors.starting:
                on_start(span, parent_context=context)

    def _start_general(
        self,
        state: SpanState,
        name: str,
        context: Context | None,
        kind: SpanKind,
        attributes: Attributes,
        links: Sequence[Link],
    ) -> Span | UnrecordedSpan:
        where = get_current() if context is None else context
        hidden = where.get(hh_context.SPAN_KEY)
        parent_span = _parent_span(where, state.identity)
        parent: SpanContext | None = parent_span.get_span_context()
        if not isinstance(parent, SpanContext):
            raise TypeError("parent_span_context must be a SpanContext or None.")
        if not self._enabled():
            return UnrecordedSpan(parent, state)
        if state.allows is not None and not state.allows(name):
            return UnrecordedSpan(parent, state)
        if hidden is not None and parent_span is not hidden:
            context = set_span_in_context(parent_span, where)
        if not parent.is_valid:
            parent, trace_id = None, self.id_generator.generate_trace_id()
        else:
            trace_id = parent.trace_id
        result = self.sampler.should_sample(context, trace_id, name, kind, attributes, links)
        flags = _SAMPLED if result.decision.is_sampled() else 0  # type: ignore[no-untyped-call]
        if _ids_are_random(self.id_generator) if parent is None else parent.trace_flags & _RANDOM_FLAG:
            flags |= _RANDOM_FLAG
        span_id = self.id_generator.generate_span_id()
        metrics = getattr(self, "_tracer_metrics", None)
        release = None if metrics is None else metrics.start_span(parent, result.decision)
        if not result.decision.is_recording():  # type: ignore[no-untyped-call]
            dropped = SpanContext(trace_id, span_id, False, TraceFlags(flags), result.trace_state)
            return UnrecordedSpan(dropped, state)
        span = make_span(state, name, trace_id, span_id, parent.span_id if parent else 0, flags, where)
        span._par = parent
        span._release = release
        if result.trace_state is not None:
            span._tstate = result.trace_state
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
            self,
            (name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception),
            end_on_exit,
        )


def _start_short(state: SpanState, name: str, context: Mapping[str, Any]) -> Span | UnrecordedSpan | None:
    """Start a span on the short path, or return ``None`` where the general one is needed."""
    parent = context.get(_SPAN_KEY)
    if parent is None:
        bound, flags, trace_id = state.root_bound, state.root_flags, _bits(128) or 1
        if bound is _ALL_TRACES or trace_id & _LOWEST_64_BITS < bound:
            return make_span(state, name, trace_id, _bits(64) or 1, 0, flags, context)
        if bound is ASK_SAMPLER:
            return None
        return make_unrecorded(state, trace_id, _bits(64) or 1, flags & ~_SAMPLED)
    if type(parent) is Span:
        if state.fast_child and parent._st.identity is state.identity and parent._flags & _SAMPLED:
            span = make_span(state, name, parent._tid, _bits(64) or 1, parent._sid, parent._flags, context)
            span._tstate = parent._tstate
            return span
    elif (
        type(parent) is UnrecordedSpan
        and state.fast_unsampled
        and parent._flags != GIVEN_CONTEXT
        and parent._st.identity is state.identity
    ):
        return make_unrecorded(state, parent._tid, _bits(64) or 1, parent._flags, parent._tstate)
    return None


def _parent_span(context: Mapping[str, Any], identity: Identity | None) -> ApiSpan:
    """Return the span in *context* that a span of *identity* may have as its parent.

    The span of another tracer of this process is not; behind it may stand one of ours.
    """
    found = context.get(hh_context.SPAN_KEY)
    if isinstance(found, Span | UnrecordedSpan) and identity is not None:
        owner = found._st.identity
        if owner is not None and owner is not identity:
            found = context.get(identity.key)
    return found if isinstance(found, ApiSpan) else INVALID_SPAN


def _give_attributes(span: Span, attributes: Mapping[str, Any]) -> None:
    limit = span._st.fast_count
    plain = len(attributes) <= limit and all(type(key) is str and key for key in attributes)
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


def _root_bound(sampler: sampling.Sampler) -> int:
    """Return what the lowest bits of a trace id must be below for a new trace to be recorded, if nothing else counts."""
    root = getattr(sampler, "_root", None) if type(sampler) is sampling.ParentBased else sampler
    if root is sampling.ALWAYS_ON:
        return _ALL_TRACES
    if root is sampling.ALWAYS_OFF:
        return 0
    return root.bound if type(root) is sampling.TraceIdRatioBased else ASK_SAMPLER


def _leaves_out_below(sampler: sampling.Sampler) -> bool:
    """Whether nothing is recorded below a span of this process that was sampled out."""
    if type(sampler) is sampling.ParentBased:
        return getattr(sampler, "_local_parent_not_sampled", None) is sampling.ALWAYS_OFF
    return sampler is sampling.ALWAYS_OFF


def _follows_parent(sampler: sampling.Sampler) -> bool:
    if type(sampler) is sampling.ParentBased:
        return getattr(sampler, "_local_parent_sampled", None) is sampling.ALWAYS_ON
    return sampler is sampling.ALWAYS_ON


class CurrentSpan:
    """Starts a span, makes it current, and ends it: as a context manager or as a decorator.

    Used as a decorator it starts a span for each call, of a coroutine function for each
    await.
    """

    __slots__ = ("_arguments", "_end", "_span", "_token", "_tracer")

    def __init__(self, tracer: Tracer, arguments: tuple[Any, ...], end_on_exit: bool) -> None:
        self._tracer = tracer
        self._arguments = arguments
        self._end = end_on_exit
        self._span: Any = None
        self._token: Any = None

    def __enter__(self) -> ApiSpan:
        span = self._span = self._tracer.start_span(*self._arguments)
        context = _current()
        if type(span) is Span or type(span) is UnrecordedSpan:
            self._token = _attach(entered(context, span))
        else:
            self._token = _attach(set_span_in_context(span, context))
        return span

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        hh_context.detach(self._token)
        span = self._span
        if exc_val is not None and isinstance(exc_val, Exception) and type(span) is Span and span.is_recording():
            span.note_error(exc_val, escaped=False)
        if self._end:
            span.end()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        tracer, arguments, end = self._tracer, self._arguments, self._end

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def traced_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with CurrentSpan(tracer, arguments, end):
                    return await function(*args, **kwargs)

            return traced_async  # type: ignore[return-value]

        @functools.wraps(function)
        def traced(*args: P.args, **kwargs: P.kwargs) -> R:
            with CurrentSpan(tracer, arguments, end):
                return function(*args, **kwargs)

        return traced


class TracerProvider(sdk.TracerProvider):
    """The SDK's provider with our spans.

    Args:
        identity: Whose spans these are; ``None`` makes a plain OpenTelemetry provider.
        allows: Whether a span of that name is recorded. One that is not stands aside:
            its children attach to its parent.
        wall_ns: Clock of start times, nanoseconds since 1970.
        monotonic_ns: Clock of durations, nanoseconds.
        **kwargs: Those of :class:`opentelemetry.sdk.trace.TracerProvider`.
    """

    def __init__(
        self,
        sampler: sampling.Sampler | None = None,
        resource: Resource | None = None,
        shutdown_on_exit: bool = True,
        active_span_processor: Any = None,
        id_generator: IdGenerator | None = None,
        span_limits: sdk.SpanLimits | None = None,
        *,
        identity: Identity | None = None,
        allows: Callable[[str], bool] | None = None,
        wall_ns: Callable[[], int] = time_ns,
        monotonic_ns: Callable[[], int] = monotonic_ns,
        **kwargs: Any,
    ) -> None:
        self._extras = (identity, allows, (wall_ns, monotonic_ns), span_limits or sdk.SpanLimits())
        # Keeps a tracer from being used between becoming ours and knowing whose it is.
        self._adopting = threading.Lock()
        super().__init__(
            sampler,
            resource,
            shutdown_on_exit,
            active_span_processor or Processors(),
            id_generator,
            span_limits,
            **kwargs,
        )
        if identity is not None:
            # OTEL_SDK_DISABLED is one of the settings that decide whether the identity is enabled.
            self._disabled = False

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Any:
        """Return the tracer of that instrumentation scope; its spans are ours."""
        tracer = super().get_tracer(instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        if type(tracer) is sdk.Tracer:
            # The SDK keeps a table of tracers and hands out what stands there: that very
            # object becomes ours, so all who hold it see the change.
            with self._adopting:
                if type(tracer) is sdk.Tracer:
                    self._adopt(tracer)
        return tracer

    def _adopt(self, tracer: Any) -> None:
        tracer.__class__ = Tracer
        tracer.configure(*self._extras)
