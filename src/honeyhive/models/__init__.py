"""What the data is: states, and events and sessions as the REST interface speaks of them.

Names are looked up on first use: traced programs import ``EventType`` from here and must not pay for pydantic.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.models.event_type import EventType
    from honeyhive.models.events import (
        CreateEventRequest,
        Event,
        EventExportRequest,
        EventExportResponse,
        EventFilter,
        FilterFieldType,
        FilterOperator,
        GetEventsResponse,
        PostEventBatchRequest,
        PostEventBatchResponse,
        PostEventRequest,
        PostEventResponse,
        SessionProperties,
        UpdateEventRequest,
    )
    from honeyhive.models.paths import Path, path
    from honeyhive.models.sessions import PostSessionStartResponse, SessionStartRequest
    from honeyhive.models.state import State
    from honeyhive.models.tracing import TracingParams

__all__ = [
    "CreateEventRequest",
    "Event",
    "EventExportRequest",
    "EventExportResponse",
    "EventFilter",
    "EventType",
    "FilterFieldType",
    "FilterOperator",
    "GetEventsResponse",
    "Path",
    "PostEventBatchRequest",
    "PostEventBatchResponse",
    "PostEventRequest",
    "PostEventResponse",
    "PostSessionStartResponse",
    "SessionProperties",
    "SessionStartRequest",
    "State",
    "TracingParams",
    "UpdateEventRequest",
    "path",
]

_OTHER_MODULES = {
    "EventType": "event_type",
    "Path": "paths",
    "PostSessionStartResponse": "sessions",
    "SessionStartRequest": "sessions",
    "State": "state",
    "TracingParams": "tracing",
    "path": "paths",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'honeyhive.models' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"honeyhive.models.{_OTHER_MODULES.get(name, 'events')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
