"""Which service a client talks to, and with which key.

The one place where keywords, the environment and the discovery file of the backend on this machine come together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from honeyhive.config import resolve
from honeyhive.config.resolve import Problem
from honeyhive.config.settings import DEFAULT_SERVER_URL
from honeyhive.exceptions import MissingApiKeyError
from honeyhive.models.wire import ServerFile, server_file_path

__all__ = ["ClientSettings", "Secret", "Target", "client_settings"]


class Secret(str):
    """Text that does not show in reprs, so that tools which print local variables do not print keys."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a call goes, and the key that opens the door there."""

    address: str
    key: Secret


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What a client was told, by keyword or environment. Keys do not show in its repr."""

    api_key: Secret | None
    ingestion_api_key: Secret | None
    data_plane_api_key: Secret | None
    server_url: str | None
    """As configured; ``None`` for the default service or the backend on this machine."""
    project: str | None
    timeout: float
    strict: bool
    test_mode: bool
    verbose: bool
    problems: tuple[Problem, ...] = ()
    """What was wrong with the environment's values, if it was not reason enough to stop."""

    def target(self, key_kind: str) -> Target:
        """Return where a call goes that needs a key of *key_kind*: project, ingestion or data_plane.

        Raises:
            MissingApiKeyError: There is no such key, and no backend of this machine to do without one.
        """
        key = self._key(key_kind)
        if key is not None:
            return Target(self.server_url or DEFAULT_SERVER_URL, key)
        local = ServerFile.read(server_file_path())
        if local is not None and self.server_url in {None, local.address.rstrip("/")}:
            token = _token_of(local)
            if token is not None:
                return Target(local.address.rstrip("/"), token)
        raise MissingApiKeyError(_MISSING[key_kind], key_kind=key_kind)

    @property
    def address(self) -> str:
        """Where calls go: as configured; with a key the default service, without one the backend on this machine.

        Empty where that does not run.
        """
        if self.server_url is not None:
            return self.server_url
        if self.secrets():
            return DEFAULT_SERVER_URL
        local = ServerFile.read(server_file_path())
        return "" if local is None else local.address.rstrip("/")

    def secrets(self) -> tuple[Secret, ...]:
        """Return all keys, longest first: what must not show in any text."""
        keys = (self.api_key, self.ingestion_api_key, self.data_plane_api_key)
        return tuple(sorted({key for key in keys if key}, key=len, reverse=True))

    def _key(self, kind: str) -> Secret | None:
        if kind == "ingestion":
            return self.ingestion_api_key or self.api_key
        if kind == "data_plane":
            return self.data_plane_api_key or self.api_key
        return self.api_key


_HOW_ELSE = "or run `honeyhive serve` to have a backend on this machine, which needs none"
_MISSING: Mapping[str, str] = {
    "project": f"this call needs a project's API key: give api_key or set HH_API_KEY, {_HOW_ELSE}",
    "ingestion": f"this call needs an API key: give api_key or set HH_API_KEY, {_HOW_ELSE}",
    "data_plane": f"this call needs an API key: give api_key or set HH_API_KEY, {_HOW_ELSE}",
}


def client_settings(keywords: Mapping[str, Any], environ: Mapping[str, str]) -> ClientSettings:
    """Resolve the settings of a client.

    Args:
        keywords: What the program gave; ``None`` counts as not given.
        environ: Usually ``os.environ``.

    Raises:
        ConfigurationError: A keyword has the wrong type; or, with strict, a value cannot be used.
    """
    given = {name: value for name, value in keywords.items() if value is not None}
    data_plane_key = given.pop("data_plane_api_key", None) or environ.get("HH_DATA_PLANE_API_KEY")
    resolved = resolve(given, environ)
    settings = resolved.settings
    ours = tuple(problem for problem in resolved.problems if problem.setting in _OURS)
    return ClientSettings(
        api_key=_secret(settings.api_key),
        ingestion_api_key=_secret(settings.ingestion_api_key),
        data_plane_api_key=_secret(data_plane_key),
        server_url=settings.server_url,
        project=settings.project,
        timeout=settings.timeout,
        strict=settings.strict,
        test_mode=settings.test_mode,
        verbose=settings.verbose,
        problems=ours,
    )


_OURS = {"api_key", "ingestion_api_key", "server_url", "project", "timeout"}


def _secret(key: str | None) -> Secret | None:
    key = (key or "").strip()
    return Secret(key) if key else None


def _token_of(server: ServerFile) -> Secret | None:
    try:
        return _secret(Path(server.token_file).read_text("utf-8"))
    except (OSError, UnicodeError):
        return None
