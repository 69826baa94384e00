"""Traces on the command line, without a running backend."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from honeyhive.cli import COMMANDS, main
from honeyhive.cli.listing import tree_lines
from honeyhive.journal import Position
from honeyhive.models.wire import ServerFile, server_file_path
from honeyhive.server.home import data_home
from honeyhive.server.index.store import Changes, Store
from honeyhive.server.records.rows import Row, row_of_event

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


@pytest.fixture
def recorded() -> Callable[..., None]:
    """Put events into the read model of a data directory."""

    def record(*events: dict[str, object], data: Path | None = None) -> None:
        folder = data or data_home()
        folder.mkdir(parents=True, exist_ok=True)
        store = Store(folder / "index.sqlite")
        store.apply([(Position("1", n), Changes(rows=[_row(event)])) for n, event in enumerate(events)])
        store.close()

    return record


def _row(event: dict[str, object]) -> Row:
    base = {"session_id": "aa", "event_id": "e", "event_type": "tool", "event_name": "work"}
    return row_of_event({**base, "start_time": 1_000, "end_time": 1_250, **event})


def test_the_beginning_of_an_id_names_a_trace_unless_two_begin_with_it(run: Run, recorded: Callable[..., None]) -> None:
    recorded({"event_id": "1", "session_id": "abc1"}, {"event_id": "2", "session_id": "abc2"})

    assert "session abc1" in run("traces", "show", "ABC1").output
    assert "More than one trace begins with abc" in run("traces", "show", "abc").output
    assert "There is no trace abe" in run("traces", "show", "abe").output


def test_a_trace_is_drawn_as_a_tree(run: Run, recorded: Callable[..., None]) -> None:
    recorded(
        {"event_id": "1", "event_name": "agent", "event_type": "chain", "end_time": 3_000},
        {
            "event_id": "2",
            "parent_id": "1",
            "event_name": "ask",
            "event_type": "model",
            "start_time": 1_100,
            "config": {"model": "m-1"},
            "metadata": {"prompt_tokens": 7, "completion_tokens": 2},
        },
        {"event_id": "3", "parent_id": "2", "event_name": "inner", "start_time": 1_150},
        {"event_id": "4", "parent_id": "1", "event_name": "look", "start_time": 1_200, "error": "boom"},
    )

    result = run("traces", "show", "aa")

    assert result.output.splitlines() == [
        "session aa",
        "chain agent  2 s",
        "├─ model ask  150 ms  m-1  7 → 2 tokens",
        "│  └─ tool inner  100 ms",
        "└─ tool look  50 ms  ✕ boom",
    ]


def test_names_cannot_move_the_cursor(run: Run, recorded: Callable[..., None]) -> None:
    recorded({"event_name": "\x1b[2Jclear\nline\r\u202e", "error": "\x07bell\x9b31m", "project": "\x1b]0;t\x07"})

    for result in (run("traces", "show", "aa"), run("traces", "list")):
        assert result.exit_code == 0
        assert not set(result.output) & set("\x1b\x07\x9b\r\u202e")


def test_a_deep_trace_stops_moving_to_the_right() -> None:
    spans = [
        {
            "event_type": "tool",
            "name": str(depth),
            "start_ns": 0,
            "end_ns": 0,
            "model": None,
            "tokens_in": None,
            "tokens_out": None,
            "error": None,
            "is_orphan": False,
            "depth": depth,
            "children": ["next"],
        }
        for depth in range(5_000)
    ]

    lines = list(tree_lines(spans))

    assert len(lines) == 5_000
    assert max(map(len, lines)) < 160
    assert lines[-1].strip().startswith("(4999) tool 4999")


def test_traces_are_listed_and_filtered(run: Run, recorded: Callable[..., None]) -> None:
    recorded(
        {"session_id": "aa", "event_id": "1", "project": "x"},
        {"session_id": "bb", "event_id": "2", "project": "y", "error": "boom"},
    )

    assert run("traces", "list").output.count("work") == 2
    assert "bb" in run("traces", "list", "--errors").output
    assert "bb" not in run("traces", "list", "--project", "x").output
    assert json.loads(run("traces", "list", "--json").output)["traces"][0]["trace_id"] == "bb"


@pytest.mark.parametrize("shape", ["jsonl", "json"])
def test_everything_is_exported(run: Run, recorded: Callable[..., None], shape: str) -> None:
    recorded({"event_id": "1", "inputs": {"q": "\u2028é"}}, {"event_id": "2"})

    output = run("traces", "export", "--format", shape).output

    spans = json.loads(output) if shape == "json" else [json.loads(line) for line in output.splitlines()]
    assert [span["event_id"] for span in spans] == ["1", "2"]
    assert spans[0]["details"]["inputs"] == {"q": "\u2028é"}


def test_an_export_of_nothing_is_an_empty_list(run: Run, recorded: Callable[..., None]) -> None:
    recorded()

    assert json.loads(run("traces", "export", "--format", "json").output) == []


def test_the_data_of_the_running_backend_are_looked_at(run: Run, recorded: Callable[..., None], tmp_path: Path) -> None:
    recorded({}, data=tmp_path / "elsewhere")
    ServerFile("http://127.0.0.1:1", "", 1, str(tmp_path / "elsewhere")).write(server_file_path())

    assert "work" in run("traces", "list").output


def test_without_data_the_fix_is_named(run: Run) -> None:
    result = run("traces", "list")

    assert result.exit_code == 1
    assert "honeyhive serve" in result.output
    assert "Traceback" not in result.output


def test_an_unknown_trace_is_said_to_be_unknown(run: Run, recorded: Callable[..., None]) -> None:
    recorded({})

    result = run("traces", "show", "\x1b[31mnope")

    assert result.exit_code == 1
    assert "\x1b" not in result.output


def test_help_names_every_command_and_loads_none(run: Run) -> None:
    code = (
        "import sys; from honeyhive.cli import main; main(['--help'], standalone_mode=False);"
        "print([m for m in sys.modules if m.startswith(('honeyhive.server', 'starlette', 'uvicorn'))])"
    )

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert all(name in output for name in COMMANDS)
    assert output.splitlines()[-1] == "[]"


def test_a_folder_cannot_be_followed(run: Run, tmp_path: Path) -> None:
    done = run("traces", "--data", str(tmp_path), "follow")

    assert done.exit_code == 2
    assert "leave --data out" in done.output
