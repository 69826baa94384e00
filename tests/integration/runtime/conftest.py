"""Processes of services."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from services import RunProcess, Start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start processes of services that lie in ``tmp_path``; whatever still runs is killed."""
    started: list[RunProcess] = []

    def run(*arguments: str, **environ: str) -> RunProcess:
        started.append(RunProcess(tmp_path, f"process-{len(started)}", arguments, environ))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.stop(signal.SIGKILL)
        assert each.process.stdin is not None
        each.process.stdin.close()
