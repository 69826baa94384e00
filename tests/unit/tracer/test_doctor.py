"""What the doctor says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from honeyhive.cli import main
from honeyhive.exceptions import APIConnectionError
from honeyhive.models.wire import ServerFile, server_file_path
from honeyhive.tracer.doctor import Finding, Level, examine


class Answer(NamedTuple):
    status: int


def faults(findings: list[Finding]) -> list[str]:
    return [finding.subject for finding in findings if finding.level is Level.FAULT]


def answering(status: int) -> object:
    return lambda _url, _headers: Answer(status)


def run_server_at(address: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken")
    ServerFile(address, str(token), 1).write(server_file_path())


def test_without_a_backend_it_says_how_to_start_one() -> None:
    findings = list(examine({}))

    assert ["backend"] == faults(findings)
    assert any("honeyhive serve" in finding.fix for finding in findings)


def test_with_a_backend_that_takes_spans_nothing_stands_in_the_way(tmp_path: Path) -> None:
    run_server_at("http://127.0.0.1:1", tmp_path)
    seen: list[tuple[str, Mapping[str, str]]] = []

    def ask(url: str, headers: Mapping[str, str]) -> Answer:
        seen.append((url, headers))
        return Answer(200)

    assert [] == faults(list(examine({}, ask=ask)))  # type: ignore[arg-type]
    assert [("http://127.0.0.1:1/v1/traces", {"authorization": "Bearer t0ken"})] == seen


@pytest.mark.parametrize("status, subject", [(401, "key"), (404, "backend"), (503, "backend")])
def test_each_refusal_is_told_for_what_it_is(status: int, subject: str) -> None:
    findings = list(examine({"HH_API_KEY": "k"}, ask=answering(status)))  # type: ignore[arg-type]

    assert [subject] == faults(findings)


@pytest.mark.parametrize(
    "environ, setting",
    [
        ({"HH_API_KEY": "k"}, "HH_API_URL"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
def test_an_address_where_nobody_is_shows_the_reason_and_what_to_check(environ: dict[str, str], setting: str) -> None:
    def refuse(_url: str, _headers: Mapping[str, str]) -> Answer:
        raise APIConnectionError("refused")

    (fault,) = [each for each in examine(environ, ask=refuse) if each.level is Level.FAULT]  # type: ignore[arg-type]

    assert "refused" in fault.text
    assert setting in fault.fix
    assert "KEY" not in fault.fix


@pytest.mark.parametrize(
    "environ, subject",
    [
        ({"HH_DISABLE_TRACING": "true"}, "recording"),
        ({"OTEL_SDK_DISABLED": "true"}, "recording"),
        ({"HH_SAMPLE_RATE": "0"}, "sampling"),
        ({"HH_API_URL": "nonsense"}, "settings"),
    ],
)
def test_settings_that_keep_traces_away_are_faults(environ: dict[str, str], subject: str) -> None:
    assert subject in faults(list(examine({"HH_API_KEY": "k", **environ}, ask=answering(200))))  # type: ignore[arg-type]


def test_variables_that_nobody_reads_are_pointed_out() -> None:
    environ = {"HH_PROJEKT": "x", "SESSION_NAME": "y", "HH_SERVER_KEEP_DAYS": "7"}
    texts = [f"{f.text} {f.fix}" for f in examine(environ)]

    assert any("HH_PROJEKT" in text and "HH_PROJECT" in text for text in texts)
    assert any("SESSION_NAME" in text and "HH_SESSION_NAME" in text for text in texts)
    assert not any("HH_SERVER" in text for text in texts)


def test_the_command_exits_with_one_where_something_is_wrong() -> None:
    result = CliRunner().invoke(main, ["doctor"])

    assert 1 == result.exit_code
    assert "FAULT  backend" in result.output


def test_config_show_prints_values_and_sources_with_keys_masked() -> None:
    result = CliRunner(env={"HH_API_KEY": "abcdefghijklmnopqrstuvwxyz", "HH_PROJECT": "shop"}).invoke(
        main, ["config", "show"]
    )

    assert 0 == result.exit_code
    assert "abcd*** (26 characters)" in result.output
    assert "abcdefgh" not in result.output
    assert "environment HH_PROJECT" in result.output
