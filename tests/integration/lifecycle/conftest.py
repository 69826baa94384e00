"""Programs that trace as users' programs do, in processes of their own, to a collector on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PREAMBLE = """
import os, signal, sys, threading, time

import honeyhive
from honeyhive import HoneyHiveTracer, trace
from honeyhive.tracer.export import process_statistics

SPOOLED_S = 0.5

def init(url=os.environ["COLLECTOR"], key="hh_key", **settings):
    return HoneyHiveTracer.init(api_key=key, project="tests", otlp_endpoint=url,
                                skip_backend_session_creation=True, **settings)

def work(*names):
    for name in names:
        trace(event_name=name)(lambda: None)()

def flush(millis=20_000):
    return honeyhive.flush(timeout_millis=millis)

def wait_until(condition, within_s=20):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, process_statistics()
        time.sleep(0.01)

def adopted(count):
    statistics = process_statistics()
    return statistics.adopted == count and not statistics.spooled

def balanced():
    s = process_statistics()
    return s.finished + s.adopted == s.delivered + s.spooled + s.in_memory + s.lost + s.dropped.get("sampled", 0)
"""


@dataclass
class Program:
    """A process that runs, or has ended."""

    process: subprocess.Popen[str]
    code: int | None = None
    output: str = ""
    errors: str = ""

    def line(self) -> str:
        """Wait for the next line it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def end(self, within_s: float = 60) -> Program:
        """Wait until it ends."""
        self.output, self.errors = self.process.communicate(timeout=within_s)
        self.code = self.process.returncode
        return self


@pytest.fixture
def start(collector: Any, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start a program of a few lines; programs of one test share their spool. What still runs is killed."""
    started: list[Program] = []

    def start_program(lines: str, *arguments: str, python: tuple[str, ...] = (sys.executable,), **env: str) -> Program:
        script = tmp_path / f"program{len(started)}.py"
        script.write_text(PREAMBLE + textwrap.dedent(lines))
        known = {**os.environ, "COLLECTOR": collector.url, "XDG_STATE_HOME": str(tmp_path), **env}
        process = subprocess.Popen(
            [*python, str(script), *arguments],
            env=known,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(Program(process))
        return started[-1]

    yield start_program
    for program in started:
        if program.process.poll() is None:
            os.killpg(program.process.pid, signal.SIGKILL)
            program.process.communicate()


@pytest.fixture
def run(start: Callable[..., Program]) -> Callable[..., Program]:
    """Run such a program to its end."""
    return lambda *arguments, **options: start(*arguments, **options).end()


@pytest.fixture
def recover(run: Callable[..., Program], collector: Any) -> Callable[[int], None]:
    """Start once more, as after a crash, and wait until *count* spans of dead processes are delivered."""

    def start_again(count: int) -> None:
        program = run(f"init(); work('again'); assert flush(); wait_until(lambda: adopted({count}))")
        assert (program.code, program.errors) == (0, "")

    return start_again
