"""How the way out of one destination behaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["PipelineSettings"]


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """How a pipeline behaves; pipelines to one destination with equal settings are one."""

    max_queue_bytes: int = 32 * 1024 * 1024
    """Estimated bytes of spans that may be in memory."""
    pressure: Literal["drop", "block"] = "drop"
    """With a full queue: drop the newest span and count it, or make the caller wait."""
    max_batch_size: int = 512
    """Spans that one request holds at most; as many waiting are sent at once."""
    schedule_delay_s: float = 5.0
    """Seconds that a span waits at most before sending it is tried."""
    request_timeout_s: float = 10.0
    """Seconds that one request may take."""
    max_span_bytes: int = 10 * 1024 * 1024
    """Bytes of an encoded span beyond which its values are cut."""
    max_request_bytes: int = 4 * 1024 * 1024
    """Bytes that a request of more than one span holds at most."""
    max_age_s: float = 72 * 3600.0
    """Seconds after which an undelivered span is given up."""
    spool: bool = True
    """Whether spans are kept on disk until they are delivered."""
    spool_dir: Path | None = None
    """The folder of all spools; by default the one the backend on this machine looks into."""
    spool_max_bytes: int = 256 * 1024 * 1024
    """Bytes that a destination's spool may take."""
    spool_sync: Literal["interval", "always"] = "interval"
    """Whether writes are made safe against loss of power within a second, or each at once."""
