"""What a backend can be told: environment variables that begin with ``HH_SERVER_``, and options of ``honeyhive serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from honeyhive.server.home import data_home

__all__ = ["PREFIX", "BackendConfig", "KeepingConfig", "LocalConfig"]

PREFIX: Final = "HH_SERVER_"


class BackendConfig(BaseModel):
    """What every backend can be told.

    Attributes:
        token_file: Where the token is.
        hosts: Further names by which the backend may be addressed.
        anonymous_ingest: Take spans and events without the token.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_file: Path | None = None
    hosts: tuple[str, ...] = ()
    anonymous_ingest: bool = False


class KeepingConfig(BaseModel):
    """How much is kept; by default everything, for ever.

    Attributes:
        keep_days: How long, in days.
        keep_gb: How much, in gigabytes of 1,000,000,000 bytes, 0.016 or more: journal and index together.
    """

    keep_days: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    keep_gb: float | None = Field(default=None, ge=0.016, allow_inf_nan=False)

    @property
    def keep_s(self) -> float | None:
        """How long, in seconds."""
        return None if self.keep_days is None else self.keep_days * 86_400

    @property
    def keep_bytes(self) -> int | None:
        """How much, in bytes."""
        return None if self.keep_gb is None else int(self.keep_gb * 1e9)


class LocalConfig(BackendConfig, KeepingConfig):
    """A backend in one process, on this machine. Without a token file it makes a token of its own.

    Attributes:
        data: Where everything is kept.
        rebuild: Make the read model anew.
    """

    data: Path = Field(default_factory=data_home)
    rebuild: bool = False
