"""The declaration of every setting.

:class:`Settings` is what the code reads: frozen, complete, typed. :class:`TracerSettings`
is the same list as keywords, so that type checkers know them; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypedDict

__all__ = ["DEFAULT_SERVER_URL", "REFUSED", "Settings", "TracerSettings", "declared_env"]

DEFAULT_SERVER_URL: Final = "https://api.dp1.us.honeyhive.ai"

REFUSED: Final[Mapping[str, str]] = {
    "requests_session": "honeyhive sends with httpx; configure proxies and certificates through the environment",
    "cache_enabled": "the tracer keeps no cache, so there is nothing to switch; remove it",
    "cache_max_size": "the tracer keeps no cache; remove it",
    "cache_ttl": "the tracer keeps no cache; remove it",
    "cache_cleanup_interval": "the tracer keeps no cache; remove it",
    "preserve_core_attributes": "HoneyHive's own attributes are always kept; remove it",
}
"""Keywords of the public SDK that have no meaning here, each with the reason."""


def setting(
    default: Any,
    meaning: str,
    *env: str,
    old_env: tuple[str, ...] = (),
    otel_env: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:
    """Declare one setting: *env* are its variables, *otel_env* OpenTelemetry's, asked after ours."""
    metadata = {"meaning": meaning, "env": env, "old_env": old_env, "otel_env": otel_env, "secret": secret}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set on a tracer. Immutable; ``dataclasses.replace`` makes a variant."""

    # -- who and where
    api_key: str | None = setting(
        None, "key of a HoneyHive project", "HH_API_KEY", old_env=("HONEYHIVE_API_KEY",), secret=True
    )
    ingestion_api_key: str | None = setting(None, "key that may only write", "HH_INGESTION_API_KEY", secret=True)
    project: str | None = setting(None, "project that spans belong to", "HH_PROJECT")
    source: str = setting("dev", "environment the program runs in, such as dev or production", "HH_SOURCE")
    server_url: str | None = setting(
        None, "address of the HoneyHive service", "HH_API_URL", old_env=("HONEYHIVE_SERVER_URL", "HH_SERVER_URL")
    )
    otlp_enabled: bool = setting(True, "false keeps every span in the journal and sends nothing", "HH_OTLP_ENABLED")
    otlp_endpoint: str | None = setting(
        None, "full address for spans, instead of the service's own", "HH_OTLP_ENDPOINT"
    )
    otlp_headers: Mapping[str, str] | None = setting(
        None, "headers sent with spans, as JSON", "HH_OTLP_HEADERS", secret=True
    )
    otlp_protocol: str = setting(
        "http/protobuf",
        "http/protobuf or grpc",
        "HH_OTLP_PROTOCOL",
        otel_env=("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"),
    )
    service_name: str | None = setting(
        None, "name of the service, for the resource", "HH_SERVICE_NAME", otel_env=("OTEL_SERVICE_NAME",)
    )
    service_version: str | None = setting(None, "version of the service, for the resource", "HH_SERVICE_VERSION")

    # -- session
    session_name: str | None = setting(None, "name of the session; the script's name by default", "HH_SESSION_NAME")
    session_id: str | None = setting(None, "join this session (a UUID) instead of starting one", "HH_SESSION_ID")
    inputs: Mapping[str, Any] | None = setting(None, "inputs of the session", "HH_INPUTS")
    metadata: Mapping[str, Any] | None = setting(None, "metadata of the session", "HH_METADATA")
    user_properties: Mapping[str, Any] | None = setting(None, "who the user is", "HH_USER_PROPERTIES")
    tags: Mapping[str, Any] | None = setting(None, "tags of the session, kept as its metadata", "HH_TAGS")
    link_carrier: Mapping[str, str] | None = setting(None, "carrier of the trace to continue", "HH_LINK_CARRIER")
    skip_backend_session_creation: bool = setting(
        False, "do not announce the session to the service", "HH_SKIP_BACKEND_SESSION_CREATION"
    )

    # -- evaluation
    is_evaluation: bool = setting(False, "the program runs inside an evaluation", "HH_IS_EVALUATION")
    run_id: str | None = setting(None, "evaluation run that spans belong to", "HH_RUN_ID")
    dataset_id: str | None = setting(None, "dataset under evaluation", "HH_DATASET_ID")
    datapoint_id: str | None = setting(None, "datapoint under evaluation", "HH_DATAPOINT_ID")
    experiment_id: str | None = setting(None, "experiment, as metadata of every span", "HH_EXPERIMENT_ID")
    experiment_name: str | None = setting(None, "its name", "HH_EXPERIMENT_NAME")
    experiment_variant: str | None = setting(None, "its variant", "HH_EXPERIMENT_VARIANT")
    experiment_group: str | None = setting(None, "its group", "HH_EXPERIMENT_GROUP")
    experiment_metadata: Mapping[str, Any] | None = setting(None, "more about it, as JSON", "HH_EXPERIMENT_METADATA")

    # -- what is recorded
    disable_tracing: bool = setting(False, "record nothing", "HH_DISABLE_TRACING", otel_env=("OTEL_SDK_DISABLED",))
    disable_http_tracing: bool = setting(
        True, "false traces outgoing HTTP calls through the installed instrumentors", "HH_DISABLE_HTTP_TRACING"
    )
    capture: bool = setting(True, "copy arguments and results onto spans", "HH_CAPTURE")
    capture_inputs: bool = setting(True, "copy arguments onto spans", "HH_CAPTURE_INPUTS")
    capture_outputs: bool = setting(True, "copy results onto spans", "HH_CAPTURE_OUTPUTS")
    capture_logs: bool = setting(
        False, "send records of Python's logging with the spans, with the ids of their trace", "HH_CAPTURE_LOGS"
    )
    sample_rate: float | None = setting(None, "share of new traces to record, 0 to 1", "HH_SAMPLE_RATE")
    sample_rates: Mapping[str, float] | None = setting(
        None, 'share by event type, such as {"tool": 0.1}', "HH_SAMPLE_RATES"
    )
    tail_sample_rate: float | None = setting(
        None, "share of finished traces to keep, beside those with errors and slow ones; 0 to 1", "HH_TAIL_SAMPLE_RATE"
    )
    tail_slow_ms: float | None = setting(
        None, "milliseconds from which a trace is slow and kept, with tail_sample_rate", "HH_TAIL_SLOW_MS"
    )
    sampler: Any = setting(None, "an OpenTelemetry sampler, instead of the rates")
    span_name_filters: Any = setting(
        None, 'which span names are recorded: {"include": [...], "exclude": [...]}', "HH_SPAN_NAME_FILTERS"
    )
    max_attributes: int = setting(
        1024,
        "attributes a span keeps",
        "HH_MAX_ATTRIBUTES",
        otel_env=("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
    )
    max_events: int = setting(1024, "events a span keeps", "HH_MAX_EVENTS", otel_env=("OTEL_SPAN_EVENT_COUNT_LIMIT",))
    max_links: int = setting(128, "links a span keeps", "HH_MAX_LINKS", otel_env=("OTEL_SPAN_LINK_COUNT_LIMIT",))
    max_span_size: int = setting(
        10 * 1024 * 1024, "bytes a span may have; larger ones are truncated", "HH_MAX_SPAN_SIZE"
    )
    redact: bool = setting(True, "replace what looks like a secret", "HH_REDACT")
    redact_keys: Sequence[str] = setting((), "more key names whose values are secret", "HH_REDACT_KEYS")
    redact_patterns: Sequence[str] = setting((), "more patterns of secrets (RE2 syntax)", "HH_REDACT_PATTERNS")
    mask: Callable[[str, object], object] | None = setting(None, "function (key, value) -> value to be exported")

    # -- how it leaves
    disable_batch: bool = setting(
        False, "send each span by itself, at once, from the export thread", "HH_DISABLE_BATCH"
    )
    max_export_batch_size: int = setting(
        512,
        "spans in one request at most",
        "HH_MAX_EXPORT_BATCH_SIZE",
        old_env=("HH_BATCH_SIZE",),
        otel_env=("OTEL_BSP_MAX_EXPORT_BATCH_SIZE",),
    )
    flush_interval: float = setting(5.0, "seconds a span waits at most before it is sent", "HH_FLUSH_INTERVAL")
    export_timeout: float = setting(
        10.0, "seconds one request may take", "HH_EXPORT_TIMEOUT", old_env=("HH_EXPORT_TIMEOUT_SECONDS",)
    )
    timeout: float = setting(
        5.0, "seconds a call of the API client may take", "HH_API_TIMEOUT", old_env=("HH_TIMEOUT",)
    )
    max_queue_bytes: int = setting(32 * 1024 * 1024, "bytes of spans that wait in memory at most", "HH_MAX_QUEUE_BYTES")
    pressure: Literal["drop", "block"] = setting(
        "drop", "when the queue is full: drop the newest, or block the caller", "HH_PRESSURE"
    )
    spool: bool = setting(True, "keep spans in a journal on disk until they are delivered", "HH_SPOOL")
    spool_dir: str | None = setting(None, "folder of the journals", "HH_SPOOL_DIR")
    spool_sync: Literal["interval", "always"] = setting(
        "interval", "fsync once a second, or at each write", "HH_SPOOL_SYNC"
    )
    spool_max_bytes: int = setting(256 * 1024 * 1024, "bytes a journal may take on disk", "HH_SPOOL_MAX_BYTES")

    # -- how it behaves
    strict: bool = setting(False, "bad values raise instead of being reported", "HH_STRICT")
    test_mode: bool = setting(False, "no disk, no network", "HH_TEST_MODE")
    verbose: bool = setting(False, "log what the tracer does", "HH_VERBOSE")
    console: bool | None = setting(
        None,
        "print each finished trace as a tree to stderr; by default at a terminal, with the local backend",
        "HH_CONSOLE",
    )
    set_global: bool = setting(False, "become OpenTelemetry's global tracer provider", "HH_SET_GLOBAL")
    instrumentors: Sequence[Any] = setting((), "OpenTelemetry instrumentors to attach to this tracer")


class TracerSettings(TypedDict, total=False):
    """The keywords of ``HoneyHiveTracer(...)`` and ``HoneyHiveTracer.init(...)``."""

    api_key: str | None
    ingestion_api_key: str | None
    project: str | None
    source: str | None
    server_url: str | None
    otlp_enabled: bool
    otlp_endpoint: str | None
    otlp_headers: Mapping[str, str] | None
    otlp_protocol: str
    service_name: str | None
    service_version: str | None
    session_name: str | None
    session_id: str | None
    inputs: Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None
    user_properties: Mapping[str, Any] | None
    tags: Mapping[str, Any] | None
    link_carrier: Mapping[str, str] | None
    skip_backend_session_creation: bool
    is_evaluation: bool
    run_id: str | None
    dataset_id: str | None
    datapoint_id: str | None
    experiment_id: str | None
    experiment_name: str | None
    experiment_variant: str | None
    experiment_group: str | None
    experiment_metadata: Mapping[str, Any] | None
    disable_tracing: bool
    disable_http_tracing: bool
    capture: bool
    capture_inputs: bool
    capture_outputs: bool
    capture_logs: bool
    sample_rate: float | None
    sample_rates: Mapping[str, float] | None
    tail_sample_rate: float | None
    tail_slow_ms: float | None
    sampler: Any
    span_name_filters: Any
    max_attributes: int
    max_events: int
    max_links: int
    max_span_size: int
    redact: bool
    redact_keys: Sequence[str]
    redact_patterns: Sequence[str]
    mask: Callable[[str, object], object] | None
    disable_batch: bool
    max_export_batch_size: int
    flush_interval: float
    export_timeout: float
    timeout: float
    max_queue_bytes: int
    pressure: Literal["drop", "block"]
    spool: bool
    spool_dir: str | None
    spool_sync: Literal["interval", "always"]
    spool_max_bytes: int
    strict: bool
    test_mode: bool
    verbose: bool
    console: bool | None
    set_global: bool
    instrumentors: Sequence[Any]


def declared_env() -> dict[str, str]:
    """Return every environment variable that is read, with the setting it belongs to."""
    from dataclasses import fields

    return {
        variable: declared.name
        for declared in fields(Settings)
        for group in ("env", "old_env", "otel_env")
        for variable in declared.metadata[group]
    }
