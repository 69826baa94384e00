"""Several processes of one service: started, watched, started again when they die, ended together.

The children end with the supervisor, however it ends: each reads its standard input, which then is at its end.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final

from honeyhive.runtime.assembly import Assembly
from honeyhive.runtime.run import RunOptions, listen_for, refuse_idle
from honeyhive.utils import Clock, SystemClock

__all__ = ["Supervisor", "supervise"]

USAGE_ERROR: Final = 2
"""Exit code of a child that cannot run at all: to start it again would not help."""

_LOOK_EVERY_S: Final = 0.2
_SOON_S: Final = 5.0
"""A child that dies sooner than this after its start is started again after a pause."""
_LONGEST_PAUSE_S: Final = 10.0

_logger = logging.getLogger("honeyhive.runtime")


@dataclass(slots=True)
class _Child:
    """A place for one process, whichever it is at the moment."""

    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    start_at_s: float = 0.0
    pause_s: float = 0.0


class Supervisor:
    """Keeps *count* processes of *command* running until it is told to stop.

    Args:
        command: Program and arguments of each child.
        count: How many.
        inherit: File descriptors that the children share, such as a listening socket.
        changed: Asked again and again; when its answer changes, all children are started anew. For development.
        stop_s: How long children may take to end before they are killed, in seconds.
        clock: Passes the time.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        *,
        inherit: Sequence[int] = (),
        changed: Callable[[], object],
        stop_s: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        self._command = list(command)
        self._inherit = tuple(inherit)
        self._changed = changed
        self._stop_s = stop_s
        self._clock = clock or SystemClock()
        self._children = [_Child() for _ in range(count)]
        self._stopping = threading.Event()

    def run(self) -> int:
        """Run until SIGINT, SIGTERM, or a child that cannot run at all; return the exit code."""
        former = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        code = 0
        seen = self._changed()
        try:
            while not self._stopping.is_set():
                code = self._start_missing()
                if code:
                    break
                self._clock.wait(self._stopping, _LOOK_EVERY_S)
                if (now := self._changed()) != seen:
                    seen = now
                    _logger.warning("The code has changed: starting anew.")
                    self._end_all()
        finally:
            self._end_all()
            for number, handler in former.items():
                signal.signal(number, handler)
        return code

    def _start_missing(self) -> int:
        """Start what does not run; return the exit code of a child that cannot run, else 0."""
        for child in self._children:
            code = None if child.process is None else child.process.poll()
            if code == USAGE_ERROR:
                return code
            if code is not None:
                self._note_death(child, code)
            if child.process is None and self._clock.monotonic() >= child.start_at_s:
                self._start(child)
        return 0

    def _start(self, child: _Child) -> None:
        child.process = subprocess.Popen(self._command, stdin=subprocess.PIPE, pass_fds=self._inherit)  # noqa: S603 - our own command line
        child.started_s = self._clock.monotonic()

    def _note_death(self, child: _Child, code: int) -> None:
        now_s = self._clock.monotonic()
        soon = now_s - child.started_s < _SOON_S
        child.pause_s = min(_LONGEST_PAUSE_S, max(0.5, child.pause_s * 2)) if soon else 0.0
        child.start_at_s = now_s + child.pause_s
        child.process = None
        _logger.warning("A process has ended with code %s; the next one starts in %.1f s.", code, child.pause_s)

    def _end_all(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline_s = self._clock.monotonic() + self._stop_s
        for process in running:
            _wait_or_kill(process, max(0.0, deadline_s - self._clock.monotonic()))
        for child in self._children:
            child.process, child.start_at_s = None, 0.0

    def _stop(self, _: int, __: FrameType | None) -> None:
        self._stopping.set()


def supervise(assembly: Assembly, place: str, role: str, options: RunOptions, *, count: int, reload: bool) -> int:
    """Run *count* processes of the service at *place*; return the exit code.

    Args:
        assembly: The service.
        place: Where it is, ``package.module:name``.
        role: What each of them does, as on the command line.
        options: How each of them runs. Where one serves HTTP, all share the listening sockets.
        count: How many.
        reload: Start them anew when a Python file below the current folder changes.

    Raises:
        DeclarationError: There is nothing to do.
        ConfigurationError: Nobody can listen where they should.
    """
    refuse_idle(assembly, options.roles)
    command = [sys.executable, "-m", "honeyhive.cli", "run", place, role, "--supervised", "--of", str(count)]
    if options.host is not None:
        command += ["--host", options.host]
    if options.health_port is not None:
        command += ["--health-port", str(options.health_port)]
    with contextlib.ExitStack() as stack:
        inherit = []
        if "http" in options.roles:
            for listener in stack.enter_context(listen_for(assembly.service, options)):
                inherit.append(listener.fileno())
                command += ["--listener", str(listener.fileno())]
        changed = partial(_newest_change, Path.cwd()) if reload else _never
        return Supervisor(command, count, inherit=inherit, changed=changed).run()


def _never() -> None:
    """Tell no change."""


def _newest_change(folder: Path) -> float:
    """Return when a Python file below *folder* was last changed, in seconds since 1970; hidden folders do not count."""
    return max((path.stat().st_mtime for path in _sources(folder)), default=0.0)


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            yield from _sources(path)
        elif path.suffix == ".py":
            yield path


def _wait_or_kill(process: subprocess.Popen[bytes], longest_s: float) -> None:
    try:
        process.wait(longest_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        if process.stdin is not None:
            process.stdin.close()
