"""``honeyhive serve`` as a child process, with everything it keeps in one folder; for the demo and for tests.

    with LocalBackend(folder) as backend:
        subprocess.run([sys.executable, "program.py"], env=backend.environment)
        trace = backend.wait_for_trace()

Programs that run in ``backend.environment`` find it by themselves.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Self

import httpx

from honeyhive.models.wire import ServerFile

START_LIMIT_S = 30.0
TRACE_LIMIT_S = 20.0
ANSWER_LIMIT_S = 10.0
STOP_LIMIT_S = 10.0
PAUSE_S = 0.05
FOREIGN_SETTINGS = ("HH_", "HONEYHIVE_", "OTEL_", "OPENAI_")


class BackendError(Exception):
    """The backend does not do what it should; the message says what, and the end of its log."""


class LocalBackend:
    """A backend on a free port of 127.0.0.1 while the ``with`` block lasts.

    Args:
        home: The folder for its data, state and log; created if need be. The data
            is still there when a backend is started on the folder again.
    """

    def __init__(self, home: Path) -> None:
        self._home = home.resolve()
        self._log = self._home / "serve.log"
        self.environment = private_environment(self._home)

    def __enter__(self) -> Self:
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            log = self._log.open("wb")
        except OSError as error:
            raise BackendError(f"the folder {self._home} cannot be used: {error.strerror}") from error
        with log:
            self._process = subprocess.Popen(
                [*self._honeyhive(), "serve", "--port", "0"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._found = self._wait_until_found()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def address(self) -> str:
        """Where it listens, such as ``http://127.0.0.1:41837``."""
        return self._found.address

    def page(self, path: str) -> str:
        """What to open in a browser to see *path*: the token behind the ``#`` lets it in and stays out of logs."""
        return f"{self.address}{path}#token={self._token()}"

    def serve(self) -> None:
        """Wait until the backend ends, which by itself it does not.

        Raises:
            BackendError: It ended.
        """
        self._process.wait()
        raise self._error("the backend ended")

    def command(self, *arguments: str) -> str:
        """Run ``honeyhive`` with *arguments* beside the backend and return what it prints.

        Raises:
            BackendError: The command failed.
        """
        done = subprocess.run(
            [*self._honeyhive(), *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise BackendError(f"honeyhive {' '.join(arguments)} failed:\n{done.stderr or done.stdout}")
        return done.stdout

    def get(self, path: str, **parameters: str) -> Any:
        """Ask the backend's REST API; everything it has accepted so far is in the answer.

        Raises:
            BackendError: No answer, or not a good one.
        """
        headers = {"Authorization": f"Bearer {self._token()}"}
        try:
            answer = httpx.get(
                f"{self.address}{path}",
                params={**parameters, "wait": "1"},
                headers=headers,
                timeout=ANSWER_LIMIT_S,
                trust_env=False,
            ).raise_for_status()
        except httpx.HTTPError as error:
            raise self._error(f"asking for {path} failed: {error}") from error
        return answer.json()

    def traces(self, **wanted: str) -> list[Any]:
        """The traces that are there, oldest first; *wanted* may name a ``project``."""
        listed = self.get("/v1/traces", **wanted)["traces"]
        return [self.get(f"/v1/traces/{trace['trace_id']}") for trace in reversed(listed)]

    def wait_for_trace(self, *, besides: frozenset[str] = frozenset(), **wanted: str) -> Any:
        """Wait for a trace that is none of the ids *besides* and has all its parents, and return it.

        Raises:
            BackendError: None came in time.
        """
        deadline = monotonic() + TRACE_LIMIT_S
        while monotonic() < deadline:
            for trace in self.traces(**wanted):
                if trace["trace_id"] not in besides and not any(span["is_orphan"] for span in trace["span_list"]):
                    return trace
            self.pause()
        raise self._error(f"no whole trace arrived within {TRACE_LIMIT_S:.0f} s")

    def pause(self) -> None:
        """Wait a moment before looking again.

        Raises:
            BackendError: The backend ended meanwhile.
        """
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(PAUSE_S)
            raise self._error(f"the backend ended with exit code {code}")

    def _wait_until_found(self) -> ServerFile:
        """Wait for the file by which programs find a backend; it is there as soon as the port is open."""
        path = self._home / "state" / "honeyhive" / "server.json"
        deadline = monotonic() + START_LIMIT_S
        while monotonic() < deadline:
            found = ServerFile.read(path)
            if found and found.pid == self._process.pid:
                return found
            self.pause()
        raise self._error(f"the backend did not start within {START_LIMIT_S:.0f} s")

    def _token(self) -> str:
        return Path(self._found.token_file).read_text("ascii").strip()

    def _error(self, what: str) -> BackendError:
        lines = self._log.read_text("utf-8", "replace").splitlines()[-15:]
        return BackendError("\n  ".join([f"{what}; its last words:", *lines]))

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @staticmethod
    def _honeyhive() -> list[str]:
        return [sys.executable, "-m", "honeyhive.cli"]


def private_environment(home: Path) -> dict[str, str]:
    """An environment with its own folders in *home*, without anybody's settings, and no proxy before loopback."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_SETTINGS)}
    return {
        **own,
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_STATE_HOME": str(home / "state"),
    }
