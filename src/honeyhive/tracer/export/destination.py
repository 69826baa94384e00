"""Where spans go: an address with its credentials, or the backend on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from honeyhive.config import Backend, BackendKind
from honeyhive.models.wire import LOCAL, destination_id

__all__ = ["Destination"]

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Destination:
    """One backend, as one user of it; equal destinations share a queue, a spool folder and a connection.

    Use the constructors `remote`, `local` and `unusable`. No secret shows in the representation.
    """

    id: str
    """Name of the spool folder; nothing can be read from it."""
    traces_url: str = ""
    """Where requests are posted; empty if the address is looked up (local) or not known (unusable)."""
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS, repr=False, hash=False)
    """Sent with every request; may hold the key."""
    rest_url: str = ""
    """Base of the REST API, without a trailing slash; empty if the backend has none."""
    usable: bool = True
    """False if nothing can be sent for a wrong setting: spans wait in the spool until it is mended."""

    @classmethod
    def remote(
        cls, traces_url: str, *, key: str = "", headers: Mapping[str, str] = _NO_HEADERS, rest_url: str = ""
    ) -> Destination:
        """Describe an OTLP/HTTP endpoint.

        Args:
            traces_url: The full URL that takes ``POST`` requests, path included.
            key: Sent as ``Authorization: Bearer``, unless *headers* bring their own authorization.
            headers: Sent as they are.
            rest_url: Base of the REST API, where the backend has one.
        """
        sent = {name.lower(): value for name, value in headers.items()}
        if key:
            sent.setdefault("authorization", f"Bearer {key}")
        return cls(_identity(traces_url, key, headers), traces_url, MappingProxyType(sent), rest_url.rstrip("/"))

    @classmethod
    def local(cls) -> Destination:
        """Describe the backend on this machine, found by its discovery file whenever it runs."""
        return cls(LOCAL)

    @classmethod
    def unusable(cls, traces_url: str, *, key: str = "", headers: Mapping[str, str] = _NO_HEADERS) -> Destination:
        """Describe an endpoint that cannot be used as it is configured: its spans are kept, not sent."""
        return cls(_identity(traces_url, key, headers), usable=False)

    @classmethod
    def of(cls, backend: Backend) -> Destination:
        """Describe the backend that the settings chose."""
        if backend.kind is BackendKind.LOCAL:
            return cls.local()
        if backend.kind is BackendKind.NONE:
            return cls.unusable(backend.traces_url or backend.base_url, key=backend.key)
        return cls.remote(
            backend.traces_url,
            # Elsewhere the headers say who sends, and what they hold is no bearer token.
            key=backend.key if backend.kind is BackendKind.HONEYHIVE else "",
            headers=backend.headers,
            rest_url=backend.base_url if backend.speaks_rest else "",
        )

    @property
    def is_local(self) -> bool:
        """Whether this is the backend on this machine."""
        return self.id == LOCAL


def _identity(traces_url: str, key: str, headers: Mapping[str, str]) -> str:
    """Tell users of one address apart by key, or by the headers that stand in for one."""
    return destination_id(traces_url, key or "\n".join(f"{name.lower()}:{headers[name]}" for name in sorted(headers)))
