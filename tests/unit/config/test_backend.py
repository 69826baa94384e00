"""Which backend the settings mean."""

from __future__ import annotations

from typing import Any

import pytest

from honeyhive.config import BackendKind, choose_backend, resolve
from honeyhive.config.settings import DEFAULT_SERVER_URL


def chosen(keywords: dict[str, Any], environ: dict[str, str] | None = None) -> Any:
    return choose_backend(resolve(keywords, environ or {}).settings, environ or {})


@pytest.mark.parametrize(
    "keywords, environ, kind, url",
    [
        ({}, {}, BackendKind.LOCAL, ""),
        ({"api_key": "k"}, {}, BackendKind.HONEYHIVE, f"{DEFAULT_SERVER_URL}/opentelemetry/v1/traces"),
        ({"api_key": "k", "server_url": "http://h:1/"}, {}, BackendKind.HONEYHIVE, "http://h:1/opentelemetry/v1/traces"),
        ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, BackendKind.OTLP, "http://c:4318/v1/traces"),
        ({}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/x"}, BackendKind.OTLP, "http://c/x"),
        ({"otlp_endpoint": "http://own/v1"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, BackendKind.OTLP, "http://own/v1"),
        ({"api_key": "k"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, BackendKind.HONEYHIVE, f"{DEFAULT_SERVER_URL}/opentelemetry/v1/traces"),
        ({"api_key": "k", "test_mode": True}, {}, BackendKind.NONE, ""),
        ({"api_key": "k", "server_url": "nonsense"}, {}, BackendKind.NONE, ""),
    ],
)  # fmt: skip
def test_the_first_that_applies_is_chosen(keywords: Any, environ: Any, kind: BackendKind, url: str) -> None:
    backend = chosen(keywords, environ)

    assert (kind, url) == (backend.kind, backend.traces_url)


def test_an_address_for_spans_alone_never_brings_in_the_default_service() -> None:
    backend = chosen({"api_key": "k", "otlp_endpoint": "http://own/v1/traces"})

    assert ("", "http://own/v1/traces", False) == (backend.base_url, backend.traces_url, backend.speaks_rest)
    assert "Bearer k" == backend.headers["authorization"]


def test_the_key_travels_in_a_header_and_shows_nowhere() -> None:
    backend = chosen({"api_key": "very-secret", "ingestion_api_key": "write-only"})

    assert "Bearer write-only" == backend.headers["authorization"]
    assert "secret" not in repr(backend)
    assert "write-only" not in repr(backend)


def test_opentelemetrys_headers_are_read_as_the_specification_says() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "X-Key=a%20b, other=1,bad"}

    assert {"x-key": "a b", "other": "1"} == dict(chosen({}, environ).headers)
