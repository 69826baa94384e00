"""What the service is told of a session when it starts."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from honeyhive.config import Settings

__all__ = ["announcement", "default_session_name"]


def default_session_name() -> str:
    """Return the name of the running script without its ending, or ``session`` where there is none."""
    script = sys.argv[0] if sys.argv else ""
    return "session" if script in {"", "-c", "-m"} else Path(script).stem or "session"


def announcement(settings: Settings, session_id: str, **fields: Any) -> dict[str, Any]:
    """Return the body of ``POST /session/start``.

    Args:
        settings: Those of the tracer; what *fields* leaves out comes from them.
        session_id: The id, a UUID.
        **fields: ``session_name``, ``inputs``, ``metadata``, ``user_properties``, ``source``.
    """
    metadata = {
        **(settings.tags or {}),
        **(settings.metadata or {}),
        **{
            name: value
            for name in ("run_id", "dataset_id", "datapoint_id")
            if (value := getattr(settings, name)) is not None
        },
        **(fields.get("metadata") or {}),
    }
    session = {
        "session_id": session_id,
        "session_name": fields.get("session_name") or settings.session_name or default_session_name(),
        "source": fields.get("source") or settings.source,
        "project": settings.project,
        "inputs": fields.get("inputs") or settings.inputs,
        "metadata": metadata,
        "user_properties": fields.get("user_properties") or settings.user_properties,
        "start_time": time.time_ns() / 1e6,
    }
    return {"session": {key: value for key, value in session.items() if value}}
