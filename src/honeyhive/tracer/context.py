"""Where the tracer meets OpenTelemetry's context: one variable, a few keys, no copy of either.

The current span lives in OpenTelemetry's own context variable under its own key, so
``trace.get_current_span()``, baggage and other people's instrumentors all see the same
thing. Beside it stand three keys of ours:

* the tracer that bare ``@trace`` means here,
* the sessions that tracers opened here, one each,
* for each tracer the innermost of *its* spans, kept only where a span of another
  tracer hides it, so that two tracers in one process never adopt each other's spans.

What is private to OpenTelemetry is found once, here: the keys by looking where its public
functions put things, the variable by name. ``FAST`` says whether there is one; without it
everything works through the public API, only slower.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from opentelemetry import baggage as otel_baggage
from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from opentelemetry.context.context import Context

if TYPE_CHECKING:
    from contextvars import Token

    from honeyhive.tracer.identity import Identity

__all__ = [
    "BAGGAGE_KEY",
    "FAST",
    "SESSIONS_KEY",
    "SPAN_KEY",
    "TRACER_KEY",
    "Baggage",
    "attach",
    "baggage_in",
    "baggage_with_session",
    "carried",
    "current",
    "current_session_of",
    "current_variable",
    "detach",
    "has_trace",
    "joined",
    "owner_in",
    "reset",
    "session_entries",
    "session_of",
    "span_for",
    "with_baggage",
    "with_session",
    "with_tracer",
    "with_value",
]

P = ParamSpec("P")
R = TypeVar("R")

TRACER_KEY: Final = "honeyhive-tracer"
SESSIONS_KEY: Final = "honeyhive-sessions"

_LONGEST_ID: Final = 256
"""Characters of a session's id beyond which nothing is remembered of it; anybody may send one in a header."""


def _find_variable() -> Any:
    """Return OpenTelemetry's context variable, or ``None`` when another runtime is configured."""
    try:
        from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext

        runtime = otel_context._RUNTIME_CONTEXT
        return runtime._current_context if type(runtime) is ContextVarsRuntimeContext else None
    except (ImportError, AttributeError):
        return None


# A context refuses to be changed by its own methods; this belongs to the dictionary that it is.
_put: Final = dict.__setitem__

current_variable: Final = _find_variable()
FAST: Final = current_variable is not None
SPAN_KEY: Final = next(iter(otel_trace.set_span_in_context(otel_trace.INVALID_SPAN, Context())))
BAGGAGE_KEY: Final = next(iter(otel_baggage.set_baggage("key", "value", Context())))


current: Final[Callable[[], Context]] = otel_context.get_current if current_variable is None else current_variable.get
"""Return the context that holds here and now."""

attach: Final[Callable[[Context], Token[Context]]] = (
    otel_context.attach if current_variable is None else current_variable.set
)
"""Make a context the current one; hand the token to :func:`detach`."""


reset: Final[Callable[[Token[Context]], None]] = (
    otel_context.detach if current_variable is None else current_variable.reset
)
"""Do what :func:`detach` does, but raise ``ValueError`` where that cannot be."""


def detach(token: Token[Context]) -> bool:
    """Return to the context before *token*; false if that cannot be, as after a change of task.

    A generator or an async context manager may be closed in another task than it was
    opened in. Its context is gone with its task then, so there is nothing to mend.
    """
    try:
        reset(token)
    except ValueError:
        return False
    return True


def carried(function: Callable[P, R], context: Context) -> Callable[P, R]:
    """Return *function* such that *context* is the current one while it runs, on whatever thread.

    Of a coroutine function the awaiting is what runs. Other context variables are left alone.
    """
    if inspect.iscoroutinefunction(function):

        async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            token = attach(context)
            try:
                return await function(*args, **kwargs)
            finally:
                detach(token)

        return functools.update_wrapper(run_async, function)  # type: ignore[return-value]

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        token = attach(context)
        try:
            return function(*args, **kwargs)
        finally:
            detach(token)

    return functools.update_wrapper(run, function)


def owner_in(context: Mapping[str, Any]) -> Identity | None:
    """Return whose tracer made the current span in *context*; ``None`` if there is none, or it is not one of ours."""
    state = getattr(context.get(SPAN_KEY), "_st", None)
    return None if state is None else state.identity


def has_trace(context: Context) -> bool:
    """Whether there is a current span in *context* that others may be below."""
    span = context.get(SPAN_KEY)
    if span is None:
        return False
    # Spans of ours know their ids without the span context, which is dear to make.
    return bool(getattr(span, "_tid", 0)) or otel_trace.get_current_span(context).get_span_context().is_valid


def span_for(context: Mapping[str, Any], identity: Identity | None) -> object:
    """Return the current span in *context* as *identity* sees it: behind the span of another tracer, its own."""
    owner = owner_in(context)
    if owner is None or identity is None or owner is identity:
        return context.get(SPAN_KEY)
    return context.get(identity.key)


def with_value(context: Context, key: str, value: object) -> Context:
    """Return *context* with one value more."""
    inner = Context(context)
    _put(inner, key, value)
    return inner


class Baggage(dict[str, Any]):
    """What a context carries to other services: never changed, and shared by whoever carries the same.

    Attributes:
        header: What says it in W3C headers, once somebody has written that.
    """

    __slots__ = ("header",)

    header: str


_NO_BAGGAGE: Final = Baggage()


def baggage_in(context: Mapping[str, object]) -> Baggage:
    """Return the baggage of *context*."""
    found = context.get(BAGGAGE_KEY)
    if type(found) is Baggage:
        return found
    return Baggage(found) if found and isinstance(found, dict) else _NO_BAGGAGE


def with_baggage(context: Context, entries: Mapping[str, str]) -> Context:
    """Return *context* with *entries* in its baggage; they travel to other services."""
    return with_value(context, BAGGAGE_KEY, joined(baggage_in(context), entries)) if entries else context


def joined(baggage: Baggage, entries: Mapping[str, str]) -> Baggage:
    """Return *baggage* with *entries*, of which those win."""
    if baggage:
        return Baggage({**baggage, **entries})
    return entries if type(entries) is Baggage else Baggage(entries)


def with_tracer(context: Context, identity: Identity) -> Context:
    """Return *context* in which bare ``@trace`` means the tracer of *identity*."""
    return with_value(context, TRACER_KEY, identity)


def with_session(context: Context, identity: Identity, session_id: str) -> Context:
    """Return *context* in which spans of *identity* belong to *session_id*, here and downstream."""
    sessions = {**sessions_in(context), identity.key: session_id}
    return with_baggage(with_value(context, SESSIONS_KEY, sessions), session_entries(identity, session_id))


def baggage_with_session(context: Mapping[str, object], identity: Identity) -> Baggage:
    """Return the baggage of *context*, where it names no session with the tracer's own, for the next process to join."""
    found = context.get(BAGGAGE_KEY)
    baggage = _NO_BAGGAGE if found is None else baggage_in(context)
    session_id = identity.session_id
    if session_id is None or "session_id" in baggage:
        return baggage
    own = _session_entries(session_id, identity.project)
    return joined(baggage, own) if baggage else own


def session_entries(identity: Identity, session_id: str) -> Baggage:
    """Return what the baggage says of a session of *identity*."""
    return _session_entries(session_id, identity.project)


def _session_entries(session_id: str, project: str | None) -> Baggage:
    make = _known_session_entries if len(session_id) <= _LONGEST_ID else _known_session_entries.__wrapped__
    return make(session_id, project)


@functools.lru_cache(maxsize=256)
def _known_session_entries(session_id: str, project: str | None) -> Baggage:
    return Baggage({"session_id": session_id, "project": project} if project else {"session_id": session_id})


def sessions_in(context: Mapping[str, object]) -> Mapping[str, str]:
    """Return the sessions opened in *context* by the key of the tracer that opened them."""
    found = context.get(SESSIONS_KEY)
    return found if isinstance(found, Mapping) else {}


def session_of(
    sessions: Mapping[str, str] | None, baggage: Mapping[str, object] | None, identity: Identity
) -> str | None:
    """Return the session that the context gives to a span of *identity*, or ``None``.

    A session this tracer opened comes first, then one that came in with a request.
    One that another tracer of this process opened is not ours, though it stands in
    the shared baggage.
    """
    if sessions and (own := sessions.get(identity.key)):
        return own
    carried = baggage.get("session_id") if baggage else None
    if not isinstance(carried, str) or (sessions and carried in sessions.values()):
        return None
    return carried


def current_session_of(identity: Identity) -> str | None:
    """Return the session that a span of *identity* would belong to here and now."""
    context = current()
    baggage = context.get(BAGGAGE_KEY)
    carried = baggage if isinstance(baggage, Mapping) else None
    return session_of(sessions_in(context), carried, identity) or identity.session_id
