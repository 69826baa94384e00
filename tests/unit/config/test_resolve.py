"""Where a setting's value comes from, and what becomes of values that cannot be used."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive.config import Settings, TracerSettings, resolve
from honeyhive.config.models import TracerConfig
from honeyhive.exceptions import ConfigurationError

WHOLE_KEY = "hh_ingst_" + "a" * 24 + "_" + "b" * 64


def test_keywords_and_settings_are_the_same_list() -> None:
    assert {declared.name for declared in fields(Settings)} == set(get_type_hints(TracerSettings))


def test_every_setting_says_what_it_means_and_has_a_variable_of_ours() -> None:
    for declared in fields(Settings):
        assert declared.metadata["meaning"]
        assert all(name.startswith("HH_") for name in declared.metadata["env"])


@pytest.mark.parametrize(
    "keywords, configs, environ, expected",
    [
        ({"source": "k"}, [TracerConfig(source="c")], {"HH_SOURCE": "e"}, ("k", "keyword")),
        ({}, [TracerConfig(source="c")], {"HH_SOURCE": "e"}, ("c", "config")),
        ({}, [{"source": "m"}], {"HH_SOURCE": "e"}, ("m", "config")),
        ({}, [], {"HH_SOURCE": " e "}, ("e", "environment HH_SOURCE")),
        ({"source": "  "}, [], {}, ("dev", "default")),
        ({"source": None}, [], {"HH_SOURCE": "e"}, ("e", "environment HH_SOURCE")),
    ],
)
def test_the_nearest_source_wins(keywords: Any, configs: Any, environ: Any, expected: tuple[str, str]) -> None:
    resolved = resolve(keywords, environ, configs=configs)

    assert expected == (resolved.settings.source, str(resolved.sources["source"]))


def test_our_variables_come_before_opentelemetrys_and_bare_names_are_never_read() -> None:
    environ = {"HH_SERVICE_NAME": "ours", "OTEL_SERVICE_NAME": "theirs", "SESSION_NAME": "bare", "RUN_ID": "bare"}

    settings = resolve({}, environ).settings

    assert ("ours", None, None) == (settings.service_name, settings.session_name, settings.run_id)


@pytest.mark.parametrize(
    "variable, text, name, value",
    [
        ("HH_DISABLE_TRACING", "yes", "disable_tracing", True),
        ("OTEL_SDK_DISABLED", "true", "disable_tracing", True),
        ("HH_CAPTURE", "off", "capture", False),
        ("HH_SAMPLE_RATE", "0.25", "sample_rate", 0.25),
        ("HH_MAX_EVENTS", "7", "max_events", 7),
        ("HH_OTLP_HEADERS", '{"a": "b"}', "otlp_headers", {"a": "b"}),
        ("HH_REDACT_KEYS", "one, two", "redact_keys", ("one", "two")),
        ("HH_SPAN_NAME_FILTERS", '{"exclude": ["db."]}', "span_name_filters", {"exclude": ["db."]}),
    ],
)
def test_the_environment_is_read_by_type(variable: str, text: str, name: str, value: object) -> None:
    assert value == getattr(resolve({}, {variable: text}).settings, name)


@pytest.mark.parametrize(
    "variable, text, name",
    [
        ("HH_SAMPLE_RATE", "lots", "sample_rate"),
        ("HH_SAMPLE_RATE", "7", "sample_rate"),
        ("HH_MAX_EVENTS", "-1", "max_events"),
        ("HH_CAPTURE", "perhaps", "capture"),
        ("HH_OTLP_HEADERS", "a=b", "otlp_headers"),
        ("HH_PRESSURE", "explode", "pressure"),
        ("HH_API_URL", "ftp://example", "server_url"),
        ("HH_SESSION_ID", "mine", "session_id"),
        ("HH_PROJECT", "a/b", "project"),
        ("HH_API_KEY", "hh_ingst_short", "api_key"),
    ],
)
def test_a_bad_value_of_the_environment_is_a_problem_and_with_strict_an_error(
    variable: str, text: str, name: str
) -> None:
    resolved = resolve({}, {variable: text})

    assert [name] == [problem.setting for problem in resolved.problems]
    with pytest.raises(ConfigurationError):
        resolve({"strict": True}, {variable: text})


def test_a_problem_never_repeats_a_key() -> None:
    (problem,) = resolve({"api_key": "hh_ingst_verysecretpart"}, {}).problems

    assert "verysecret" not in problem.text


def test_a_whole_typed_key_is_taken_as_it_is() -> None:
    assert () == resolve({"api_key": WHOLE_KEY}, {}).problems


def test_a_bad_address_sends_nothing_rather_than_to_a_default_cloud() -> None:
    settings = resolve({"api_key": "key", "server_url": "nonsense"}, {}).settings

    assert (None, False) == (settings.server_url, settings.otlp_enabled)


@pytest.mark.parametrize(
    "keywords, says",
    [
        ({"projct": "x"}, "did you mean project"),
        ({"max_events": "3"}, "max_events must be int, not str"),
        ({"mask": 3}, "mask must be"),
        ({"inputs": []}, "inputs must be Mapping"),
        ({"cache_ttl": 3}, "keeps no cache"),
    ],
)
def test_a_programmers_mistake_raises_and_names_the_fix(keywords: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        resolve(keywords, {})


@given(st.dictionaries(st.sampled_from(["HH_SAMPLE_RATE", "HH_API_URL", "HH_INPUTS", "HH_MAX_LINKS"]), st.text()))
def test_no_environment_makes_it_fail(environ: dict[str, str]) -> None:
    assert isinstance(resolve({}, environ).settings, Settings)
