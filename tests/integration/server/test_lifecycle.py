"""Starting and stopping: found, alone on its data, gone without a trace of itself."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from honeyhive.models.wire import ServerFile, server_file_path

SERVE = [sys.executable, "-m", "honeyhive.cli", "serve"]


def refused(*arguments: str) -> str:
    done = subprocess.run([*SERVE, *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_is_found_by_its_file_which_names_no_secret(server: Any) -> None:
    found = ServerFile.read(server_file_path())

    assert found is not None
    assert found.address == server.address
    assert server.token not in server_file_path().read_text()
    assert Path(found.token_file).stat().st_mode & 0o777 == 0o600
    assert httpx.get(f"{found.address}/healthz", trust_env=False).json() == {"status": "ok"}


def test_it_prints_the_address_and_the_login_link_once(server: Any, eventually: Any) -> None:
    link = f"{server.address}/login#token={server.token}"

    eventually(lambda: link in server.output())  # it answers a moment before it says so

    assert server.output().count(server.token) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_asked_and_takes_its_file_along(server: Any, number: int) -> None:
    with server.client() as client:
        client.get("/v1/traces")

        assert server.stop(number) == 0

    assert ServerFile.read(server_file_path()) is None


def test_it_is_ready_within_two_seconds(stopped_server: Any) -> None:
    begun = time.monotonic()

    stopped_server.start()

    assert httpx.get(f"{stopped_server.address}/healthz", trust_env=False).status_code == 200
    # The promise is two seconds on a quiet machine; this bound only catches something grossly wrong.
    assert time.monotonic() - begun < 20


def test_it_answers_on_ipv6_too_where_there_is_one(server: Any) -> None:
    port = httpx.URL(server.address).port
    try:
        socket.create_connection(("::1", port or 0), timeout=2).close()
    except OSError:
        pytest.skip("this machine has no [::1]")

    assert httpx.get(f"http://[::1]:{port}/healthz", trust_env=False).status_code == 200


def test_a_second_one_on_the_same_data_is_refused(server: Any) -> None:
    said = refused("--port", "0", "--data", str(server.data))

    assert f"{server.address} (process {server.process.pid})" in said
    assert "--data" in said


def test_a_port_in_use_is_told_with_the_fix(server: Any, tmp_path: Path) -> None:
    port = httpx.URL(server.address).port

    assert "--port" in refused("--port", str(port), "--data", str(tmp_path / "other"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_are_let_in_only_with_a_token_of_ones_own(tmp_path: Path, host: str) -> None:
    assert "--token-file" in refused("--host", host, "--port", "0", "--data", str(tmp_path))


def test_a_data_directory_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert "--data" in refused("--port", "0", "--data", str(tmp_path / "file" / "below"))


def test_a_state_directory_that_cannot_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))

    assert "XDG_STATE_HOME" in refused("--port", "0", "--data", str(tmp_path / "data"))


def test_an_index_that_cannot_be_opened_is_told_and_nobody_is_told_to_come(tmp_path: Path) -> None:
    (tmp_path / "data" / "index.sqlite").mkdir(parents=True, mode=0o700)
    (tmp_path / "data").chmod(0o700)

    said = subprocess.run(
        [*SERVE, "--port", "0", "--data", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert said.returncode == 1
    assert "ready" not in said.stdout
    assert "its store failed" in said.stderr.splitlines()[-1]
    assert server_file_path().exists() is False


def test_the_journal_is_for_its_owner_only(server: Any) -> None:
    assert (server.data / "journal").stat().st_mode & 0o077 == 0
    assert (server.data / "index.sqlite").stat().st_mode & 0o077 == 0
