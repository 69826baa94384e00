"""What a backend can be told: environment variables that begin with ``HH_SERVER_``, and options of ``honeyhive serve``."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from honeyhive.config.settings import declared_env
from honeyhive.exceptions import ConfigurationError
from honeyhive.models.wire import DEFAULT_PORT
from honeyhive.runtime.configuration import environment_name, read_config
from honeyhive.server.home import data_home

__all__ = ["PREFIX", "BackendConfig", "ClusterConfig", "LocalConfig", "read_local_config"]

PREFIX: Final = "HH_SERVER_"


class BackendConfig(BaseModel):
    """What every backend can be told.

    Attributes:
        token_file: Where the token is.
        hosts: Further names by which the backend may be addressed, separated by commas.
        anonymous_ingest: Take spans and events without the token.
        keep_days: How long everything is kept, in days; for ever if ``None``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_file: Path | None = None
    hosts: tuple[str, ...] = ()
    anonymous_ingest: bool = False
    keep_days: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @field_validator("hosts", mode="before")
    @classmethod
    def _separated(cls, value: object) -> object:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @property
    def keep_s(self) -> float | None:
        """How long everything is kept, in seconds."""
        return None if self.keep_days is None else self.keep_days * 86_400


class LocalConfig(BackendConfig):
    """A backend in one process, on this machine. Without a token file it makes a token of its own.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        data: Where everything is kept.
        rebuild: Make the read model anew.
        keep_gb: How much is kept, in gigabytes of 1,000,000,000 bytes, 0.016 or more: journal and index together.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65_535)
    data: Path = Field(default_factory=data_home)
    rebuild: bool = False
    keep_gb: float | None = Field(default=None, ge=0.016, allow_inf_nan=False)

    @property
    def keep_bytes(self) -> int | None:
        """How much is kept, in bytes."""
        return None if self.keep_gb is None else int(self.keep_gb * 1e9)


class ClusterConfig(BackendConfig):
    """A backend of several processes, on any number of machines, which are all told the same.

    Attributes:
        database_url: The PostgreSQL database in which everything is kept, ``postgresql://user@host/name``.
        bus_url: What carries messages: ``amqp://`` (RabbitMQ), ``nats://`` or ``redis://``.
        token_file: Where the token is.
    """

    database_url: SecretStr
    bus_url: SecretStr
    token_file: Path


def read_local_config(environ: Mapping[str, str]) -> LocalConfig:
    """Return what *environ* tells a backend in one process.

    Raises:
        ConfigurationError: A value is wrong, or a name that begins with ``HH_SERVER_`` is none of a setting.
    """
    known = _names(LocalConfig)
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known and name not in declared_env():
            raise ConfigurationError(f"{name} is set, {_instead(name, known)}")
    return read_config(LocalConfig, environ, prefix=PREFIX)


def _instead(name: str, known: Collection[str]) -> str:
    if name in _names(ClusterConfig):
        return "which is for a backend of several processes. Run: honeyhive run honeyhive.server.cluster:backend http"
    bare = [each.removeprefix(PREFIX) for each in known]
    near = difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1)
    meant = f"Did you mean {PREFIX}{near[0]}?" if near else f"There are {', '.join(sorted(known))}."
    return f"but no setting of the backend has that name. {meant}"


def _names(config: type[BackendConfig]) -> set[str]:
    return {environment_name(config, field, PREFIX) for field in config.model_fields}
