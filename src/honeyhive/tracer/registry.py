"""Which tracers there are, and which one a bare ``@trace`` means.

The one place of module state beside the export worker. The default tracer is the first
one made that is still alive. The registry keeps it alive by itself, so that a program
may call ``HoneyHiveTracer.init(...)`` and drop the result; all others are held weakly.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import baggage as otel_baggage
from opentelemetry import context as otel_context

from honeyhive.tracer.context import TRACER_KEY, current, owner_in
from honeyhive.tracer.identity import Identity

if TYPE_CHECKING:
    from opentelemetry.context.context import Context

    from honeyhive.tracer.interfaces import NeedsIdentity

__all__ = [
    "clear_registry",
    "discover_tracer",
    "get_all_tracers",
    "get_default_tracer",
    "get_registry_stats",
    "get_tracer_from_baggage",
    "identity_for",
    "identity_in",
    "register_tracer",
    "set_default_tracer",
    "unregister_tracer",
]


class _Registry:
    """All tracers alive, by the key of their identity, and the default among them."""

    def __init__(self) -> None:
        self.default: NeedsIdentity | None = None
        self.default_identity: Identity | None = None
        self.alive: weakref.WeakValueDictionary[str, NeedsIdentity] = weakref.WeakValueDictionary()
        # Keeps default and default_identity in step, and the table whole while it is walked.
        self.changing = threading.RLock()

    def choose(self, tracer: NeedsIdentity | None) -> None:
        """Make *tracer* the default."""
        with self.changing:
            self.default = tracer
            self.default_identity = None if tracer is None else tracer.identity

    def let_go_if_forgotten(self) -> None:
        """Give up a default tracer that nobody but this registry knows any more.

        A notebook cell that is run again makes a second tracer and drops the first:
        the second is the one that is meant then.
        """
        with self.changing:
            if self.default is None:
                return
            known = weakref.ref(self.default)
            self.default = None
            self.choose(known())


_registry = _Registry()


def register_tracer(tracer: NeedsIdentity) -> str:
    """Enter *tracer*; it becomes the default where there is none. Returns its key."""
    with _registry.changing:
        _registry.let_go_if_forgotten()
        _registry.alive[tracer.identity.key] = tracer
        if _registry.default is None:
            _registry.choose(tracer)
    return tracer.identity.key


def unregister_tracer(tracer: NeedsIdentity | str) -> bool:
    """Take a tracer out, by itself or its key; the oldest one left becomes the default.

    Returns:
        Whether it stood there.
    """
    key = tracer if isinstance(tracer, str) else tracer.identity.key
    with _registry.changing:
        found = _registry.alive.pop(key, None)
        if found is not None and found is _registry.default:
            _registry.choose(next(iter(_registry.alive.values()), None))
    return found is not None


def set_default_tracer(tracer: NeedsIdentity | None) -> None:
    """Make *tracer* the one that bare ``@trace`` means where the context names none."""
    _registry.choose(tracer)


def get_default_tracer() -> Any:
    """Return the default tracer, or ``None``."""
    return _registry.default


def get_all_tracers() -> list[Any]:
    """Return all tracers alive, the oldest first."""
    with _registry.changing:
        return list(_registry.alive.values())


def get_registry_stats() -> dict[str, Any]:
    """Return ``{"active_tracers": int, "has_default_tracer": bool}``."""
    return {"active_tracers": len(get_all_tracers()), "has_default_tracer": _registry.default is not None}


def get_tracer_from_baggage(ctx: Context | None = None) -> Any:
    """Return the tracer that *ctx* (by default the current context) names, or ``None``.

    It is named by a key of the context, or by the baggage entry ``honeyhive_tracer_id``
    that programs written for the public SDK set.
    """
    named = otel_context.get_value(TRACER_KEY, ctx)
    if isinstance(named, Identity):
        return named.tracer
    carried = otel_baggage.get_baggage("honeyhive_tracer_id", ctx)
    return _registry.alive.get(carried) if isinstance(carried, str) else None


def discover_tracer(explicit_tracer: Any = None, ctx: Context | None = None) -> Any:
    """Return *explicit_tracer*, else the tracer of the context, else the default, else ``None``."""
    if explicit_tracer is not None:
        return explicit_tracer
    identity = identity_in(current() if ctx is None else ctx)
    return None if identity is None else identity.tracer


def identity_for(context: Mapping[str, Any]) -> Identity | None:
    """Return whose tracer a bare ``@trace`` means in *context*; on the hot path."""
    if context:
        # Asking whether a key is there is cheaper than getting what mostly is not.
        if TRACER_KEY in context:
            named: Identity | None = context[TRACER_KEY]
            if named is not None and named.enabled:
                return named
        owner = owner_in(context)
        if owner is not None and owner.enabled:
            return owner
    return _registry.default_identity


def identity_in(context: Context) -> Identity | None:
    """Return whose tracer is meant in *context*: as `identity_for`, or as its baggage says."""
    identity = identity_for(context)
    if identity is None and context and (named := get_tracer_from_baggage(context)) is not None:
        found: Identity = named.identity
        return found
    return identity


def clear_registry() -> None:
    """Forget all tracers, as between tests. None is shut down by it."""
    with _registry.changing:
        _registry.alive.clear()
        _registry.choose(None)
