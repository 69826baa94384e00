"""Sessions and the index on the command line, without a running backend."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from honeyhive.cli import main
from honeyhive.journal import Journal
from honeyhive.models.wire import RecordKind
from honeyhive.server import jsontext
from honeyhive.server.storage.log import IngestLog
from honeyhive.testing import ManualClock

Run = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a session that grew over three minutes, one event a minute."""
    clock = ManualClock(start_ns=round(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()) * 10**9)
    tmp_path.joinpath("data").mkdir()
    with Journal(tmp_path / "data" / "journal", keep=True) as journal:
        log = IngestLog(journal, on_append=lambda: None, on_failure=lambda _: None, clock=clock)
        for number in range(3):
            event = {"event_id": f"e{number}", "session_id": "s", "event_type": "tool", "event_name": f"step {number}"}
            body = {"event": {**event, "start_time": 1_000 + number, "end_time": 1_000 + number}}
            log.append(RecordKind.REST, jsontext.dumps({"method": "POST", "path": "/events", "body": body}))
            clock.advance(60)
    return tmp_path / "data"


@pytest.fixture
def run(data: Path) -> Run:
    return lambda group, *arguments: CliRunner().invoke(
        main, [group, *(["--data", str(data)] if group == "sessions" else []), *arguments]
    )


def test_the_index_is_made_anew_and_read_again(run: Run, data: Path) -> None:
    before = run("sessions", "show", "s")

    rebuilt = run("data", "rebuild", "--data", str(data))

    assert "honeyhive serve" in before.output
    assert f"3 records are projected into {data / 'index.sqlite'}\n" == rebuilt.output
    assert ["session s", "tool step 0  0 ms", "tool step 1  0 ms", "tool step 2  0 ms"] == run(
        "sessions", "show", "s"
    ).output.splitlines()


def test_a_session_is_shown_as_it_was(run: Run) -> None:
    """It needs the journal only, so the index may be missing."""
    result = run("sessions", "show", "s", "--at", "2026-01-01T12:01:30+00:00")

    assert ["session s", "tool step 0  0 ms", "tool step 1  0 ms"] == result.output.splitlines()


def test_a_moment_before_the_session_shows_none(run: Run) -> None:
    moment = (datetime(2026, 1, 1, 12, tzinfo=UTC) - timedelta(seconds=1)).isoformat()

    result = run("sessions", "show", "s", "--at", moment)

    assert 1 == result.exit_code
    assert "There is no session s at 2026-01-01" in result.output


def test_what_is_no_time_is_refused(run: Run) -> None:
    result = run("sessions", "show", "s", "--at", "yesterday")

    assert 2 == result.exit_code
    assert "2026-11-25T14:30" in result.output


def test_sessions_are_listed(run: Run, data: Path) -> None:
    run("data", "rebuild", "--data", str(data))

    listed = run("sessions", "list")
    as_json = run("sessions", "list", "--json")

    assert ["SESSION", "s"] == [line.split()[0] for line in listed.output.splitlines()]
    assert ["s"] == [session["session_id"] for session in json.loads(as_json.output)["sessions"]]


def test_an_unknown_data_directory_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["data", "rebuild", "--data", str(tmp_path)])

    assert 1 == result.exit_code
    assert "--data" in result.output
