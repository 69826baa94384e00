"""Attribute vocabularies as data, and one function that reads them all: `canonical`.

The backend's projector turns every span into a canonical event with it, whoever made the
span; the tracer detects event types with the same rules.
"""

from __future__ import annotations

from honeyhive.models.conventions.event import CanonicalEvent, Tokens
from honeyhive.models.conventions.event_types import (
    DEFAULT_EVENT_TYPE,
    EVENT_TYPES,
    RULES,
    TELLING_KEYS,
    EventTypeRule,
    detect_event_type,
)
from honeyhive.models.conventions.flat import nested, parsed
from honeyhive.models.conventions.mapping import SpanEvent, canonical
from honeyhive.models.conventions.messages import Message, chat_list
from honeyhive.models.conventions.tables import BUCKETS

__all__ = [
    "BUCKETS",
    "DEFAULT_EVENT_TYPE",
    "EVENT_TYPES",
    "RULES",
    "TELLING_KEYS",
    "CanonicalEvent",
    "EventTypeRule",
    "Message",
    "SpanEvent",
    "Tokens",
    "canonical",
    "chat_list",
    "detect_event_type",
    "nested",
    "parsed",
]
