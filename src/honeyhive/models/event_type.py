"""The kinds of event; alone in its module because every traced program imports it, and pydantic is not needed for it."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["EventType"]


class EventType(StrEnum):
    """What an event is. Equal to its name as text: ``EventType.model == "model"``."""

    model = "model"
    """A call of a model."""
    tool = "tool"
    """A call of a tool, a function, a retriever."""
    chain = "chain"
    """A step that is made of other steps."""
    session = "session"
    """All that belongs to one conversation or run."""
    generic = "generic"
    """None of the others."""
