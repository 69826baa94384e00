"""The canonical event: what a span means, whichever vocabulary it was written in."""

from __future__ import annotations

from dataclasses import dataclass, field

from honeyhive.models.conventions.messages import Message

__all__ = ["CanonicalEvent", "Tokens"]


@dataclass(slots=True)
class Tokens:
    """Token counts of a model call, each token counted once.

    Attributes:
        input: All input tokens, cached ones included.
        output: All output tokens, reasoning included.
        total: What the vendor reported, else input plus output.
        cache_read: The part of the input that was read from a cache.
        cache_write: The part of the input that was written to a cache.
        reasoning: The part of the output that was reasoning.
        source: The vocabulary that told input and output: ``gen_ai``, ``openinference``, ...
        cache_was_added: Whether the reported input left the cached tokens out, so that they were added here.
    """

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    source: str | None = None
    cache_was_added: bool = False

    @property
    def uncached_input(self) -> int | None:
        """Input tokens that are neither read from nor written to a cache."""
        if self.input is None:
            return None
        return self.input - (self.cache_read or 0) - (self.cache_write or 0)


@dataclass(slots=True)
class CanonicalEvent:
    """One event in HoneyHive's terms: identity, type, and the seven buckets of content.

    The chat of a model call is in ``inputs["chat_history"]``; its answer is in ``outputs`` as ``role``, ``text``,
    ``tool_calls`` and, where there are several choices, ``chat_history``.
    """

    event_name: str
    event_type: str
    session_id: str | None = None
    project: str | None = None
    source: str | None = None
    session_name: str | None = None
    user_id: str | None = None
    event_id: str | None = None
    parent_id: str | None = None
    error: str | None = None
    error_type: str | None = None
    model: str | None = None
    provider: str | None = None
    tokens: Tokens = field(default_factory=Tokens)
    inputs: dict[str, object] = field(default_factory=dict)
    outputs: dict[str, object] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)
    metadata: dict[str, object] = field(default_factory=dict)
    metrics: dict[str, object] = field(default_factory=dict)
    feedback: dict[str, object] = field(default_factory=dict)
    user_properties: dict[str, object] = field(default_factory=dict)

    @property
    def input_messages(self) -> list[Message]:
        """The conversation that was sent to the model."""
        return self.inputs.get("chat_history", [])  # type: ignore[return-value]
