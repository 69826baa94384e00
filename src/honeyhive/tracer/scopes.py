"""The spans of scopes: ``ctx.scope`` has those of the tracer that a bare ``@trace`` would mean."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from opentelemetry.context import get_current

from honeyhive.scope.spans import use_spans_of
from honeyhive.tracer.calls import TraceOptions
from honeyhive.tracer.entering import ENTERABLE
from honeyhive.tracer.identity import CallSite
from honeyhive.tracer.registry import identity_for
from honeyhive.utils.guard import guard

if TYPE_CHECKING:
    from honeyhive.tracer.identity import Identity
    from honeyhive.tracer.span import Span
    from honeyhive.tracer.unrecorded import UnrecordedSpan

__all__ = ["scope_span", "scope_span_of", "serve_scopes"]


def serve_scopes() -> None:
    """Let scopes have the spans of the current or the default tracer."""
    use_spans_of(scope_span)


def scope_span(name: str) -> Span | UnrecordedSpan | None:
    """Return a span of the tracer that is meant here, current while it is entered; ``None`` if there is no tracer."""
    identity = identity_for(get_current())
    return None if identity is None else scope_span_of(identity, name)


def scope_span_of(identity: Identity, name: str) -> Span | UnrecordedSpan | None:
    """Return a span of the tracer of *identity*; ``None`` if it is disabled."""
    with guard("start the span of a scope"):
        if identity.enabled:
            span = identity.core.start_at(_site(name))
            span._token = ENTERABLE
            return span  # type: ignore[no-any-return]
    return None


@functools.lru_cache(1024)
def _site(name: str) -> CallSite:
    return TraceOptions(event_type="chain").site(name)
