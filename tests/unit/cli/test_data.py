"""What is kept, and forgetting it, on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from honeyhive.cli import main
from kept_data import Kept

Run = Callable[..., Result]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """A backend's data with three spans: of the first, second and third second of 2026."""
    kept = Kept(tmp_path / "data")
    for name in ("one", "two", "three"):
        kept.span(name)
    kept.log_record("and a line")
    kept.project()
    yield kept
    kept.close()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return lambda *arguments: CliRunner().invoke(main, ["data", *arguments, "--data", str(tmp_path / "data")])


def test_what_is_kept_is_told_beside_a_running_backend_and_without_one(kept: Kept, run: Run) -> None:
    beside = run("size").output.splitlines()
    kept.close()
    without = run("size").output.splitlines()

    first = f"{datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC).astimezone():%Y-%m-%d %H:%M:%S}"
    assert beside[0] == f"{kept.data}, where a backend is running"
    assert without[0] == str(kept.data)
    assert [line.split()[0] for line in without[1:]] == ["journal", "index", "oldest", "newest", "spans"]
    assert without[3] == f"oldest   accepted {first}"
    assert without[5] == "spans    3"


def test_what_was_accepted_before_is_forgotten(kept: Kept, run: Run) -> None:
    kept.close()

    would = run("forget", "--before", "2026-01-01T00:00:03+00:00", "--dry-run")
    assert kept.names() == {"one", "two", "three"}
    done = run("forget", "--before", "2026-01-01T00:00:03+00:00")

    assert would.output == "2 spans, 0 log records and 0.0 MB of the journal would go\n"
    assert done.output == "2 spans, 0 log records and 0.0 MB of the journal are forgotten\n"
    assert kept.names() == {"three"}
    assert "0 spans" in run("forget", "--before", "2026-01-01T00:00:03+00:00").output


def test_everything_is_forgotten_and_its_bytes_are_gone(kept: Kept, run: Run) -> None:
    kept.close()

    assert run("forget", "--before", "2026-02-01").exit_code == 0

    assert kept.names() == set()
    assert run("size").output.splitlines()[-1] == "nothing is indexed"
    files = b"".join(path.read_bytes() for path in kept.data.rglob("*") if path.is_file())
    assert b"and a line" not in files


def test_an_index_that_is_missing_is_made_first(kept: Kept, run: Run) -> None:
    kept.close()
    for path in kept.data.glob("index.sqlite*"):
        path.unlink()

    assert run("forget", "--before", "2026-01-01T00:00:02+00:00").output.startswith("1 span, 0 log records")

    assert kept.names() == {"two", "three"}


def test_a_running_backend_forgets_by_itself(kept: Kept, run: Run) -> None:
    refused = run("forget", "--before", "2026-02-01")

    assert refused.exit_code == 1
    assert "A backend is running on" in refused.output
    assert "honeyhive serve --keep-days" in refused.output
    assert run("forget", "--before", "2026-02-01", "--dry-run").output.startswith("3 spans, 1 log record and")
    assert len(kept.names()) == 3


@pytest.mark.parametrize(
    "before, said",
    [("yesterday", "write it as 2026-11-25T14:30"), ("9999-01-01", "still to come"), ("", "is not a time")],
)
def test_a_moment_that_makes_no_sense_is_refused(kept: Kept, run: Run, before: str, said: str) -> None:
    kept.close()

    refused = run("forget", "--before", before)

    assert refused.exit_code != 0
    assert said in refused.output
    assert len(kept.names()) == 3


@pytest.mark.parametrize("arguments", [("size",), ("forget", "--before", "2026-01-01")])
def test_a_directory_without_a_journal_is_named(run: Run, arguments: tuple[str, ...]) -> None:
    refused = run(*arguments)

    assert refused.exit_code == 1
    assert "There is no journal in" in refused.output


@pytest.mark.parametrize(
    "option, value", [("--keep-days", "0"), ("--keep-days", "-1"), ("--keep-gb", "0.001"), ("--keep-days", "nan")]
)
def test_a_backend_that_could_keep_nothing_does_not_start(option: str, value: str) -> None:
    refused = CliRunner().invoke(main, ["serve", "--port", "0", option, value])

    assert refused.exit_code != 0
    assert re.search(f"{option}|Nothing can be kept for nan", refused.output)


@pytest.mark.parametrize("name, value", [("HH_SERVER_KEEP_DAYS", "0"), ("HH_SERVER_KEEP_GB", "0.001")])
def test_the_environment_is_checked_alike(name: str, value: str) -> None:
    refused = CliRunner().invoke(main, ["serve", "--port", "0"], env={name: value})

    assert refused.exit_code == 1
    assert name in refused.output
