"""Where spans go: a HoneyHive service, any OTLP backend, or the backend on this machine.

The first that applies: an API key (to the service, or to ``server_url``), an address
given for OTLP (ours before OpenTelemetry's), the local backend. A bad address never falls
back to a cloud: the spans wait in the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import unquote

from honeyhive.config.settings import DEFAULT_SERVER_URL, Settings

__all__ = ["Backend", "BackendKind", "choose_backend"]


class BackendKind(Enum):
    """What answers at the other end."""

    HONEYHIVE = "honeyhive"
    OTLP = "otlp"
    LOCAL = "local"
    NONE = "none"
    """Nothing is sent; spans are kept."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One destination. ``headers`` and ``key`` never appear in its repr."""

    kind: BackendKind
    base_url: str = ""
    """Address of the REST API, without a trailing slash; empty unless there is one."""
    traces_url: str = ""
    """Full address for OTLP traces; empty for the local backend, which is looked up."""
    protocol: str = "http/protobuf"
    key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def speaks_rest(self) -> bool:
        """Whether sessions and events can be told to it beside spans."""
        return self.kind in {BackendKind.HONEYHIVE, BackendKind.LOCAL}


def choose_backend(settings: Settings, environ: Mapping[str, str]) -> Backend:
    """Decide where spans of a tracer with *settings* go."""
    key = settings.ingestion_api_key or settings.api_key or ""
    if settings.test_mode:
        return Backend(BackendKind.NONE)
    if not settings.otlp_enabled:
        return Backend(BackendKind.NONE, settings.server_url or "", key=key)
    headers = dict(settings.otlp_headers or {})
    if key:
        own = {"authorization": f"Bearer {key}", "x-source": settings.source}
        if settings.otlp_endpoint and not settings.server_url:
            # Whoever names an address for spans has not asked for anything to go to the default service.
            return Backend(
                BackendKind.OTLP, "", settings.otlp_endpoint, settings.otlp_protocol, key, {**own, **headers}
            )
        base = settings.server_url or DEFAULT_SERVER_URL
        traces = settings.otlp_endpoint or f"{base}/opentelemetry/v1/traces"
        return Backend(BackendKind.HONEYHIVE, base, traces, settings.otlp_protocol, key, {**own, **headers})
    endpoint = settings.otlp_endpoint or _otel_endpoint(environ, settings.otlp_protocol)
    if endpoint:
        headers = {**_otel_headers(environ), **headers}
        return Backend(BackendKind.OTLP, "", endpoint, settings.otlp_protocol, _secret(headers), headers)
    if settings.server_url:
        traces = f"{settings.server_url}/opentelemetry/v1/traces"
        return Backend(BackendKind.HONEYHIVE, settings.server_url, traces, settings.otlp_protocol, "", headers)
    return Backend(BackendKind.LOCAL)


def _otel_endpoint(environ: Mapping[str, str], protocol: str) -> str:
    """Return the address as the OTLP exporter specification reads it: the general one gets a path."""
    own = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
    if own:
        return own
    general = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    if not general or protocol == "grpc":
        return general
    return f"{general.rstrip('/')}/v1/traces"


def _otel_headers(environ: Mapping[str, str]) -> dict[str, str]:
    text = environ.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or environ.get("OTEL_EXPORTER_OTLP_HEADERS") or ""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {unquote(name).strip().lower(): unquote(value).strip() for name, _, value in pairs if name.strip()}


def _secret(headers: Mapping[str, str]) -> str:
    """Return what tells one account from another among the headers, for the name of the spool."""
    return "\n".join(f"{name}={value}" for name, value in sorted(headers.items()))
