"""Sessions: what starts one, and what the service says of it."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from honeyhive.models.base import Model

__all__ = ["PostSessionStartResponse", "SessionStartRequest"]


class SessionStartRequest(Model):
    """A session to start. An id that is left out is made by the client."""

    session_name: str | None = None
    session_id: str | None = None
    project: str | None = None
    source: str | None = None
    inputs: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    user_properties: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, given: object) -> object:
        """Take the envelope of the wire, ``{"session": {...}}``, as well."""
        if isinstance(given, dict) and set(given) == {"session"}:
            return given["session"]
        return given


class PostSessionStartResponse(Model):
    """The session that was started, which is an event itself: its event id is its session id."""

    session_id: str
    event_id: str
    event_type: str | None = None
    event_name: str | None = None
    project_id: str | None = None
    org_id: str | None = None
    workspace_id: str | None = None
    start_time: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_id_is_both(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        known = given.get("session_id") or given.get("event_id")
        return {**given, "session_id": known, "event_id": given.get("event_id") or known}
