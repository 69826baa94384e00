"""The parameters of the tracing decorators, as a value that can be made from a configuration file and passed about."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["TracingParams"]


class TracingParams(BaseModel):
    """What ``@trace`` takes: ``@trace(**params.to_arguments())``."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    event_type: str | None = None
    event_name: str | None = None
    event_id: str | None = None
    source: str | None = None
    project: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    session_name: str | None = None
    inputs: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    config: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None
    feedback: dict[str, Any] | None = None
    error: Exception | None = None
    tracer: object | None = Field(None, repr=False)

    def to_arguments(self) -> dict[str, Any]:
        """Return the parameters that were given."""
        return {name: getattr(self, name) for name in self.model_fields_set}
