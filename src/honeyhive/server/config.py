"""What a backend can be told: environment variables that begin with ``HH_SERVER_``, and options of ``honeyhive serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from honeyhive.server.home import data_home

__all__ = ["PREFIX", "BackendConfig", "LocalConfig"]

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


class LocalConfig(BackendConfig):
    """A backend in one process, on this machine. Without a token file it makes a token of its own.

    Attributes:
        data: Where everything is kept.
        rebuild: Make the read model anew.
    """

    data: Path = Field(default_factory=data_home)
    rebuild: bool = False
