"""How much one request may ask of the backend, and how a request beyond it is refused."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits", "Refusal"]

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one request and of the server; sizes in bytes, times in seconds."""

    head_bytes: int = 64 * 1024
    body_bytes: int = 20 * MIB
    """A request body as it is on the wire, compressed or not."""
    inflated_bytes: int = 64 * MIB
    inflation_ratio: int = 100
    """Inflated to compressed bytes; checked after the first MiB only, because short texts compress well."""
    depth: int = 64
    """Levels of lists and objects within lists and objects."""
    spans: int = 50_000
    events: int = 10_000
    header_s: float = 10.0
    body_s: float = 30.0
    connections: int = 256
    watchers: int = 64
    """Of the connections, those that may stay open to watch, and so cannot make room for others."""
    lag_records: int = 4_096
    """Records accepted but not projected yet, beyond which ingest asks senders to wait."""
    wait_s: float = 10.0
    """The longest that ``?wait=1`` waits."""
    queries: int = 16
    """Queries that run at the same time; the other threads are for what comes in."""
    query_s: float = 10.0
    """The longest that one query may run."""


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not an error of ours
    """A request is refused; the reason is fit to be sent.

    Attributes:
        status: The HTTP status of the answer.
        reason: One sentence for the sender, free of paths, secrets and stack.
        retry_after_s: When the sender may come back, or ``None`` when the same request never works.
    """

    def __init__(self, status: int, reason: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s
