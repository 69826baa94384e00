"""Events: what the service records, how they are written, changed and asked for.

Times are Unix milliseconds and durations milliseconds throughout, as on the wire.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from pydantic import AliasChoices, Field, model_validator

from honeyhive.models.base import Model

__all__ = [
    "CreateEventRequest",
    "Event",
    "EventExportRequest",
    "EventExportResponse",
    "EventFilter",
    "FilterFieldType",
    "FilterOperator",
    "GetEventsResponse",
    "PostEventBatchRequest",
    "PostEventBatchResponse",
    "PostEventRequest",
    "PostEventResponse",
    "SessionProperties",
    "UpdateEventRequest",
]

MOST_EVENTS_OF_A_PAGE = 7_500


class Event(Model):
    """One event as the service knows it; which fields are there depends on its kind and on what was asked for.

    ``event["inputs"]`` reads the same as ``event.inputs``.
    """

    event_id: str | None = None
    session_id: str | None = None
    parent_id: str | None = None
    children_ids: tuple[str, ...] = ()
    project: str | None = None
    project_id: str | None = None
    source: str | None = None
    event_type: str | None = None
    event_name: str | None = None
    start_time: float | None = None
    end_time: float | None = None
    duration: float | None = None
    error: str | None = None
    inputs: Any = None
    outputs: Any = None
    config: Any = None
    metadata: Any = None
    metrics: Any = None
    feedback: Any = None
    user_properties: Any = None

    def __getitem__(self, name: str) -> object:
        if name in type(self).model_fields:
            return getattr(self, name)
        return (self.model_extra or {})[name]

    def get(self, name: str, default: object = None) -> object:
        """Return the field *name*, known to us or not; *default* if the event has none."""
        value = getattr(self, name) if name in type(self).model_fields else (self.model_extra or {}).get(name)
        return default if value is None else value


class CreateEventRequest(Model):
    """An event to record. Ids that are left out are made by the client."""

    event_type: str
    event_name: str | None = None
    event_id: str | None = None
    session_id: str | None = None
    parent_id: str | None = None
    project: str | None = None
    source: str | None = None
    start_time: float | None = None
    end_time: float | None = None
    duration: float | None = None
    error: str | None = None
    inputs: dict[str, Any] = Field(default_factory=dict)
    outputs: Any = None
    config: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None
    feedback: dict[str, Any] | None = None
    user_properties: dict[str, Any] | None = None
    children_ids: tuple[str, ...] | None = None


class PostEventRequest(Model):
    """The event to record, in the envelope of the wire."""

    event: CreateEventRequest


class PostEventResponse(Model):
    """The service's word that it has the event."""

    success: bool = True
    event_id: str | None = None


class UpdateEventRequest(Model):
    """What to change of an event; what is left out stays."""

    event_id: str
    metadata: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None
    feedback: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    config: dict[str, Any] | None = None
    user_properties: dict[str, Any] | None = None
    duration: float | None = None
    end_time: float | None = None
    children_ids: tuple[str, ...] | None = None


class SessionProperties(Model):
    """What to call and note of the session that a batch of events makes."""

    session_name: str | None = None
    user_properties: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class PostEventBatchRequest(Model):
    """Events to record together."""

    events: tuple[CreateEventRequest, ...]
    is_single_session: bool | None = Field(None, validation_alias=AliasChoices("is_single_session", "single_session"))
    """Whether all of them belong to one session, which the service makes if they name none."""
    session_properties: SessionProperties | None = None


class PostEventBatchResponse(Model):
    """The ids of the recorded events, in the order of the request."""

    event_ids: tuple[str, ...]
    session_id: str | None = None
    success: bool = True


class FilterOperator(StrEnum):
    """How a field is compared with the value."""

    IS = "is"
    IS_NOT = "is not"
    CONTAINS = "contains"
    NOT_CONTAINS = "not contains"
    GREATER_THAN = "greater than"
    LESS_THAN = "less than"
    AFTER = "after"
    BEFORE = "before"
    EXISTS = "exists"
    NOT_EXISTS = "not exists"


class FilterFieldType(StrEnum):
    """What kind of value a field has."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    ID = "id"


class EventFilter(Model):
    """A condition that events must meet, such as ``EventFilter(field="event_type", operator="is", value="model")``."""

    field: str
    operator: FilterOperator
    value: str | float | bool | None = None
    type: FilterFieldType = FilterFieldType.STRING

    def to_dict(self) -> dict[str, object]:
        """Return the condition as it travels."""
        return self.model_dump(mode="json")


class EventExportRequest(Model):
    """A question for events; the answer comes in pages."""

    project: str | None = None
    filters: tuple[EventFilter, ...] = ()
    date_range: dict[str, Any] | None = Field(None, alias="dateRange")
    """``{"$gte": start, "$lte": end}`` in ISO 8601."""
    projections: tuple[str, ...] | None = None
    """The fields to return; all without it."""
    limit: int = Field(1000, ge=1, le=MOST_EVENTS_OF_A_PAGE)
    page: int = Field(1, ge=1)


class EventExportResponse(Model):
    """One page of events, and how many there are on all pages."""

    events: tuple[Event, ...]
    total_events: int = Field(
        0, alias="totalEvents", validation_alias=AliasChoices("totalEvents", "total_events", "count")
    )

    @model_validator(mode="after")
    def _count_at_least_these(self) -> Self:
        if self.total_events < len(self.events):
            object.__setattr__(self, "total_events", len(self.events))
        return self


class GetEventsResponse(EventExportResponse):
    """The events that a listing found."""
