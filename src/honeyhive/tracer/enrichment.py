"""Adding to the current span: the one implementation under ``enrich_span`` in all its forms."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace as otel_trace

from honeyhive.tracer.attributes import NAMESPACES, enrichment
from honeyhive.tracer.context import current, span_for
from honeyhive.utils.guard import guard

if TYPE_CHECKING:
    from honeyhive.tracer.identity import Identity
    from honeyhive.tracer.interfaces import Outbox

__all__ = ["enrich_current_span"]

_logger = logging.getLogger("honeyhive")
_OWN = frozenset({*NAMESPACES, "error", "event_type", "event_name", "update_event_id"})
_said_once: set[str] = set()


def enrich_current_span(
    attributes: Mapping[str, Any] | None,
    named: Mapping[str, Any],
    *,
    identity: Identity | None,
    outbox: Outbox | None,
) -> bool:
    """Write an enrichment to the current span, or with ``event_id`` to that event at the backend.

    Args:
        attributes: The first positional argument of ``enrich_span``.
        named: Its keywords, in any of the documented shapes.
        identity: Whose span is meant; the current span, whoever's it is, when ``None``.
        outbox: Where an update by ``event_id`` goes.

    Returns:
        Whether there was something to write to.
    """
    with guard("enrich_span"):
        fields = {key: value for key, value in named.items() if value is not None and key != "verbose"}
        event_id = fields.pop("event_id", None)
        if event_id is not None and outbox is not None:
            return outbox.tell("PUT", "/events", _update(str(event_id), attributes, fields))
        span = _current_span(identity)
        if span is None or not span.is_recording():
            _say_once()
            return False
        own = {key: value for key, value in fields.items() if key in _OWN}
        more = {key: value for key, value in fields.items() if key not in _OWN}
        if attributes is not None and not isinstance(attributes, Mapping):
            more = {"value": attributes, **more}
            attributes = None
        span.set_attributes(enrichment(attributes, more=more, **own))
        return True
    return False


def _current_span(identity: Identity | None) -> otel_trace.Span | None:
    """Return the span an enrichment of *identity* belongs on: behind another tracer's span, its own."""
    found = span_for(current(), identity)
    return found if isinstance(found, otel_trace.Span) else None


def _say_once() -> None:
    if "no span" not in _said_once:
        _said_once.add("no span")
        _logger.warning("enrich_span was called where no span is being recorded: there is nothing to add to")


def _update(event_id: str, attributes: Mapping[str, Any] | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    body = {key: value for key, value in fields.items() if key in NAMESPACES or key == "error"}
    metadata = {
        **(body.pop("metadata", None) or {}),
        **(attributes or {}),
        **{key: value for key, value in fields.items() if key not in _OWN},
    }
    return {"event_id": event_id, **body, **({"metadata": metadata} if metadata else {})}
