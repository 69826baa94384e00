"""What a tracer can do, and what its parts need: the contracts of the composition.

A *capability* declares public methods; a mixin implements it. A *need* declares one
thing a mixin must be given; the base provides it. Each abstract member is declared in
exactly one class here, and whoever provides it inherits that class. So Python's method
order always finds the concrete one, in whatever order the parts are composed. Headers
name their needs in alphabetical order: then all orders agree.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context.context import Context
    from opentelemetry.trace import Link, SpanKind

    from honeyhive.config import Settings
    from honeyhive.models.state import State
    from honeyhive.scope import Disposable, ScopeBlock, TaskPolicy
    from honeyhive.tracer.blocks import TracedBlock
    from honeyhive.tracer.core import Tracer
    from honeyhive.tracer.export.statistics import FlushResult, Statistics
    from honeyhive.tracer.identity import Identity
    from honeyhive.tracer.span import Span
    from honeyhive.tracer.unrecorded import UnrecordedSpan

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")

__all__ = [
    "NeedsCore",
    "NeedsIdentity",
    "NeedsOutbox",
    "NeedsPropagator",
    "NeedsSettings",
    "NeedsSpanProcessor",
    "Outbox",
    "TracerContextInterface",
    "TracerLifecycleInterface",
    "TracerOperationsInterface",
    "TracerPropagationInterface",
    "TracerScopeInterface",
    "TracerSessionInterface",
]


# -- what a tracer is for --------------------------------------------------------------------


class TracerOperationsInterface(ABC):
    """Records work: spans and events."""

    __slots__ = ()

    @abstractmethod
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
        """Start a span: end it with ``.end()``, or use it in a ``with`` statement.

        In a ``with`` statement it is the current span of the block, ends with it, and
        records an exception that leaves it. The exception passes on untouched.

        Args:
            name: What the span is called.
            kind: OpenTelemetry's kind; internal by default.
            attributes: Its first attributes; dicts and lists are flattened to dotted keys.
            links: Links to other spans.
            start_time: Nanoseconds since 1970; now by default.
            record_exception: Record an exception that leaves the block as an event.
            set_status_on_exception: Let such an exception set the status to error.
        """

    @overload
    def trace(self, name: F, /) -> F: ...
    @overload
    def trace(self, name: str | None = None, event_type: object = None, **attributes: Any) -> TracedBlock: ...
    @abstractmethod
    def trace(self, name: Any = None, event_type: object = None, **attributes: Any) -> Any:
        """Trace a block or a function: ``with tracer.trace("name")``, ``@tracer.trace(event_type="tool")``.

        Args:
            name: Name of the span; a decorated function's own name by default.
            event_type: Event type, ``"tool"`` by default.
            **attributes: First attributes of the span.
        """

    @abstractmethod
    def create_event(self, event_name: str | Mapping[str, Any] | None = None, **fields: Any) -> str | None:
        """Record an event that has already happened, and return its id.

        Args:
            event_name: Its name, or the whole event as a mapping.
            **fields: ``event_type`` (model, tool or chain), ``inputs``, ``outputs``, ``error``,
                ``duration`` (milliseconds), ``start_time`` and ``end_time`` (milliseconds since 1970),
                ``metadata``, ``config``, ``feedback``, ``metrics``, ``user_properties``,
                ``session_id``, ``parent_id``, ``event_id``. Others become metadata.

        Returns:
            The id (a UUID, made here), or ``None`` if the event could not be recorded.
        """


class TracerContextInterface(ABC):
    """Says more about what runs now."""

    __slots__ = ()

    @abstractmethod
    def enrich_span(
        self,
        attributes: Mapping[str, Any] | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        feedback: Mapping[str, Any] | None = None,
        inputs: Any = None,
        outputs: Any = None,
        config: Any = None,
        user_properties: Mapping[str, Any] | None = None,
        error: object = None,
        event_id: str | None = None,
        update_event_id: str | None = None,
        **more: Any,
    ) -> bool:
        """Add to the current span; opens none.

        Args:
            attributes: Metadata too, above *metadata*.
            metadata: What is worth knowing of it.
            metrics: Scores and measures.
            feedback: What people thought of it.
            inputs: What went in; replaces what was captured under the same keys.
            outputs: What came out, likewise.
            config: Model, parameters, template.
            user_properties: Who it was done for.
            error: What went wrong: a text or an exception.
            event_id: Update the event of that id at the backend, not the current span.
            update_event_id: Give the current span this event id.
            **more: ``event_type`` and ``event_name``; anything else is metadata.

        Returns:
            Whether there was a span to add to.
        """

    @abstractmethod
    def wrap(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return *function* such that it runs in the trace that is current now, on any thread.

        For work handed to a thread or to a loop in another thread, which begin with no
        context of their own; inside, bare ``@trace`` means this tracer. May be called any
        number of times, also at once, and after the span that is current now has ended.
        Works for functions and coroutine functions.
        :class:`honeyhive.tracer.ContextExecutor` does it for all that is submitted to a pool.
        """

    @abstractmethod
    def get_baggage(self, key: str, ctx: Context | None = None) -> str | None:
        """Return a baggage entry of *ctx* (by default the current context), by any spelling of its key."""

    @abstractmethod
    def set_baggage(self, key: str, value: str, ctx: Context | None = None) -> Context:
        """Add a baggage entry, under its normalised key, and return the context that has it.

        Without *ctx* it also holds in the current context from here on: for the rest of
        the task or, in a thread, until it is set anew.
        """


class TracerPropagationInterface(ABC):
    """Carries a trace from one process to the next."""

    __slots__ = ()

    @abstractmethod
    def inject_context(self, carrier: dict[str, str]) -> dict[str, str]:
        """Write trace, baggage and session to *carrier* (such as HTTP headers) and return it."""

    @abstractmethod
    def extract_context(self, carrier: Mapping[str, str]) -> Context:
        """Read what :meth:`inject_context` wrote; nothing becomes current."""

    @abstractmethod
    def link(self, carrier: Mapping[str, str] | None = None) -> Token[Context]:
        """Continue the trace of *carrier* from here on, until :meth:`unlink` is given the token."""

    @abstractmethod
    def unlink(self, token: Token[Context]) -> None:
        """End what :meth:`link` began."""


class TracerSessionInterface(ABC):
    """Groups traces into sessions. The id is made here; the service learns of it in the background."""

    __slots__ = ()

    @abstractmethod
    def session_start(self) -> str:
        """Start a new session for this tracer and return its id."""

    @abstractmethod
    def create_session(
        self,
        session_name: str | None = None,
        session_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_properties: Mapping[str, Any] | None = None,
        source: str | None = None,
        skip_api_call: bool = False,
    ) -> str | None:
        """Start a session for the current context (task, request), not for the whole tracer.

        Args:
            session_name: Its name.
            session_id: Use this id (a UUID) instead of a new one.
            inputs: What the session was started with.
            metadata: What is worth knowing of it.
            user_properties: Who it is for.
            source: Its environment, the tracer's by default.
            skip_api_call: Only join: tell the service nothing.

        Returns:
            The id, or ``None`` when *session_id* is no UUID.
        """

    @abstractmethod
    def with_session(
        self,
        session_name: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_properties: Mapping[str, Any] | None = None,
        source: str | None = None,
        session_id: str | None = None,
    ) -> AbstractContextManager[str]:
        """Start a session for a block; yields its id. After the block the former one holds again."""

    @abstractmethod
    def enrich_session(
        self,
        first: Mapping[str, Any] | str | None = None,
        /,
        *,
        metadata: Mapping[str, Any] | None = None,
        inputs: Any = None,
        outputs: Any = None,
        config: Any = None,
        feedback: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        user_properties: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        **more: Any,
    ) -> bool:
        """Add to the session of the current context, or to *session_id*.

        The first positional argument is metadata, or, as text, the session's id. Keywords
        without a namespace of their own are metadata too.

        Returns:
            Whether it was accepted; it is sent in the background.
        """


class TracerScopeInterface(ABC):
    """Opens scopes around work."""

    __slots__ = ()

    @abstractmethod
    def scope(
        self,
        name: str,
        /,
        *states: State,
        disposables: Collection[Disposable] = (),
        trace: bool | None = None,
        tasks: TaskPolicy | None = None,
    ) -> ScopeBlock:
        """Return a scope to open, as :func:`honeyhive.scope.ctx.scope` does, with spans of this tracer.

        Inside, a bare ``@trace`` and the scopes that ``ctx.scope`` opens mean this tracer too, once the scope has a span.

        Args:
            name: What it is called in errors, logs and traces.
            *states: What it provides, by class.
            disposables: Resources to open and close with it.
            trace: Whether it has a span; by default it has, unless the scope around it says otherwise.
            tasks: What becomes of tasks when the block ends well.

        Raises:
            TypeError: An argument is of the wrong kind.
            ValueError: The name is empty, or *tasks* is no policy.
        """


class TracerLifecycleInterface(ABC):
    """Says where spans are, and ends."""

    __slots__ = ()

    @abstractmethod
    def flush(self, timeout_millis: float = 30_000) -> FlushResult:
        """Deliver what has finished, within the time given.

        Returns:
            True only if everything finished before the call is delivered or safe on disk.
        """

    @abstractmethod
    def shutdown(self, timeout_millis: float = 5_000) -> FlushResult:
        """Flush, and record nothing from here on. May be called more than once."""

    @abstractmethod
    def statistics(self) -> Statistics:
        """Return how many spans have finished and where each of them is."""


# -- what their parts need ---------------------------------------------------------------------


class Outbox(ABC):
    """Takes calls of the REST API and makes them in the background, through the journal."""

    __slots__ = ()

    @abstractmethod
    def tell(self, method: str, path: str, body: Mapping[str, Any], *, at_once: bool = True) -> bool:
        """Accept one call.

        Args:
            method: HTTP method.
            path: Path of the REST API, such as ``/events``.
            body: The JSON body, of plain values.
            at_once: False lets it wait for the next span or flush.

        Returns:
            Whether it was accepted.
        """


class NeedsIdentity(ABC):
    """Needs to know who the tracer is."""

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Who the tracer is, for its spans and for the context."""


class NeedsCore(ABC):
    """Needs the OpenTelemetry tracer underneath."""

    __slots__ = ()

    @property
    @abstractmethod
    def tracer(self) -> Tracer:
        """The OpenTelemetry tracer that starts the spans."""


class NeedsSettings(ABC):
    """Needs the settings."""

    __slots__ = ()

    @property
    @abstractmethod
    def settings(self) -> Settings:
        """The settings, frozen."""


class NeedsSpanProcessor(ABC):
    """Needs the processor that spans leave through."""

    __slots__ = ()

    @property
    @abstractmethod
    def span_processor(self) -> Any:
        """The processor that spans leave through; ``None`` in test mode."""


class NeedsOutbox(ABC):
    """Needs a way to the REST API."""

    __slots__ = ()

    @property
    @abstractmethod
    def outbox(self) -> Outbox:
        """Where calls of the REST API go."""


class NeedsPropagator(ABC):
    """Needs the way context travels."""

    __slots__ = ()

    @property
    @abstractmethod
    def propagator(self) -> Any:
        """How trace and baggage are written to carriers."""
