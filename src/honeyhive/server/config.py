"""What a backend can be told, on the command line or by environment variables that begin with ``HH_SERVER_``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from honeyhive.server.home import data_home

__all__ = ["PREFIX", "AccessConfig", "LocalConfig"]

PREFIX: Final = "HH_SERVER_"


class AccessConfig(BaseModel):
    """Who is let in.

    Attributes:
        token_file: Where the token is.
        hosts: Further names by which the backend may be addressed.
        anonymous_ingest: Take spans and events without the token.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_file: Path | None = None
    hosts: tuple[str, ...] = ()
    anonymous_ingest: bool = False


class LocalConfig(AccessConfig):
    """A backend in one process, on this machine.

    Attributes:
        data: Where everything is kept.
        token_file: Where the token is; by default in the state directory, made when absent.
        rebuild: Make the read model anew.
    """

    data: Path = Field(default_factory=data_home)
    rebuild: bool = False
