"""Programs that export to a collector."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Wait until a condition holds; fail after *within_s* seconds."""

    def wait(condition: Callable[[], bool], within_s: float = 20.0) -> None:
        deadline, pause = time.monotonic() + within_s, threading.Event()
        while not condition():
            assert time.monotonic() < deadline, "it did not come true in time"
            pause.wait(0.01)

    return wait


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@dataclass
class Program:
    """A finished process."""

    code: int
    output: str
    errors: str
    took_s: float


PREAMBLE = """
import os, signal, sys, threading, time
from opentelemetry.sdk.trace import TracerProvider
from honeyhive.tracer.export import Destination, PipelineSettings, pipeline_for, process_statistics
from honeyhive.tracer.export.batch import BatchSpanProcessor

settings = PipelineSettings(request_timeout_s=float(os.environ.get("REQUEST_TIMEOUT", "10")))
pipeline = pipeline_for(Destination.remote(os.environ["COLLECTOR"], key="hh_secret"), settings)
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(BatchSpanProcessor(pipeline=pipeline))
tracer = provider.get_tracer("program")

def work(*names):
    for name in names:
        with tracer.start_as_current_span(name):
            pass

def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, process_statistics()
        time.sleep(0.01)

def adopted(count):
    statistics = process_statistics()
    return statistics.adopted == count and not statistics.spooled
"""


@pytest.fixture
def run(collector: Any, tmp_path: Path) -> Callable[..., Program]:
    """Run a program of a few lines in a process of its own; programs of one test share their spool."""

    def run_program(lines: str, python: str = sys.executable, **environment: str) -> Program:
        script = tmp_path / "program.py"
        script.write_text(PREAMBLE + textwrap.dedent(lines))
        known = {**os.environ, "COLLECTOR": collector.url, "XDG_STATE_HOME": str(tmp_path), **environment}
        started = time.monotonic()
        done: Any = subprocess.run(
            [python, "-Wignore::DeprecationWarning", script],
            env=known,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Program(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    return run_program
