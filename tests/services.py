"""Processes of services under test, started with ``honeyhive run``."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from honeyhive.utils import SystemClock

CLOCK = SystemClock()


class RunProcess:
    """One ``honeyhive run``, with what it has printed.

    Attributes:
        log: File with everything it has printed, on both streams.
    """

    def __init__(self, folder: Path, name: str, arguments: tuple[str, ...], environ: dict[str, str]) -> None:
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "honeyhive.cli", "run", *arguments],
                cwd=folder,
                env={**os.environ, **environ},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text("utf-8")

    def wait_for(self, pattern: str, *, count: int = 1, longest_s: float = 20.0) -> list[str]:
        """Wait until *pattern* stands in the output at least *count* times; return what its group has matched."""
        deadline = CLOCK.monotonic() + longest_s
        while len(found := re.findall(pattern, self.output)) < count:
            assert CLOCK.monotonic() < deadline, f"no {pattern!r} within {longest_s} s:\n{self.output}"
            assert self.process.poll() is None, f"it has ended:\n{self.output}"
            CLOCK.sleep(0.02)
        return found

    def address(self) -> str:
        """Wait until it serves HTTP, and return where."""
        return self.wait_for(r"http is ready at (http://\S+)")[0]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Tell it to stop and return its exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)
        return self.wait()

    def wait(self, longest_s: float = 20.0) -> int:
        """Wait until it has ended and return its exit code."""
        try:
            return self.process.wait(longest_s)
        finally:
            if self.process.stdin is not None:
                self.process.stdin.close()


Start: TypeAlias = Callable[..., RunProcess]
"""Starts a process with these arguments, and keywords for its environment."""
