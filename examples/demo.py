"""From a traced program to its trace on screen: what ``python3 dev.py demo`` runs.

Starts the embedded backend and a small model server, runs the traced agent of
``agent.py`` against both as a program of its own, waits for its trace, prints it
as a tree, and says where a browser shows it. On a terminal it keeps serving until
Ctrl-C; otherwise it ends.

It keeps to itself: free ports of 127.0.0.1, a temporary folder for all data, no
settings taken over from the environment. ``--data DIR`` keeps the data.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic
from typing import Self

from model_server import ModelServer

from honeyhive.models.wire import ServerFile

AGENT = Path(__file__).with_name("agent.py")
START_LIMIT_S = 30.0
AGENT_LIMIT_S = 60.0
TRACE_LIMIT_S = 30.0
STOP_LIMIT_S = 10.0
PAUSE_S = 0.1
FOREIGN_SETTINGS = ("HH_", "HONEYHIVE_", "OTEL_", "OPENAI_")


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="demo", description="Run a traced agent and show its trace.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep all data in this folder")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as opened:
            home = options.data or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="honeyhive-demo-")))
            backend = opened.enter_context(Backend(home.resolve()))
            models = opened.enter_context(ModelServer())
            show(backend, models.base_url)
    except DemoError as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def show(backend: Backend, model_address: str) -> None:
    """Trace the agent, print what arrived, and serve it while somebody looks."""
    say(f"The backend runs at {backend.address}")
    before = set(backend.trace_ids())

    say(f"A traced program runs: {AGENT.name}")
    run_agent({**backend.environment, "OPENAI_BASE_URL": model_address})

    say("Its trace")
    trace_id = backend.wait_for_trace(before)
    print(backend.honeyhive("traces", "show", trace_id).rstrip())

    say("The same in a browser")
    print(f"{backend.login_address(trace_id)}")
    if sys.stdout.isatty():
        print("\nCtrl-C ends the demo.", flush=True)
        with suppress(KeyboardInterrupt):
            backend.serve()
    else:
        print("\nThis is no terminal, so the backend ends here.")


def run_agent(environment: Mapping[str, str]) -> None:
    """Run the traced program to its end; its output is the demo's.

    Raises:
        DemoError: It failed or did not end in time.
    """
    try:
        code = subprocess.run([sys.executable, AGENT], env=environment, check=False, timeout=AGENT_LIMIT_S).returncode
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"{AGENT.name} did not end within {AGENT_LIMIT_S:.0f} s.") from error
    if code != 0:
        raise DemoError(f"{AGENT.name} ended with exit code {code}; its error stands above.")


class Backend:
    """``honeyhive serve`` as a child process, with everything it keeps in one folder.

    Args:
        home: The folder; it is created if need be.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._log = home / "serve.log"
        self.environment = private_environment(home)

    def __enter__(self) -> Self:
        self._home.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command("serve", "--port", "0", "--data", str(self._home / "data")),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._file = self._wait_until_it_serves()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def address(self) -> str:
        """Where it listens."""
        return self._file.address

    def login_address(self, trace_id: str) -> str:
        """Where a browser shows the trace; the token behind the ``#`` lets it in."""
        token = Path(self._file.token_file).read_text("ascii").strip()
        return f"{self.address}/traces/{trace_id}#token={token}"

    def serve(self) -> None:
        """Wait until it ends, which by itself it does not.

        Raises:
            DemoError: It ended.
        """
        self._process.wait()
        raise DemoError(f"the backend ended.\n{self._said()}")

    def honeyhive(self, *arguments: str) -> str:
        """Run a ``honeyhive`` command against the backend and return what it prints.

        Raises:
            DemoError: The command failed.
        """
        done = subprocess.run(
            self._command(*arguments), env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise DemoError(f"honeyhive {' '.join(arguments)} failed.\n{done.stderr or done.stdout}")
        return done.stdout

    def trace_ids(self) -> list[str]:
        """The traces that have arrived whole, the newest first."""
        listed = json.loads(self.honeyhive("traces", "list", "--json"))
        return [trace["trace_id"] for trace in listed]

    def wait_for_trace(self, before: set[str]) -> str:
        """Wait for a trace that was not there *before*, and return its id.

        Raises:
            DemoError: None came in time.
        """
        deadline = monotonic() + TRACE_LIMIT_S
        while monotonic() < deadline:
            for trace_id in self.trace_ids():
                if trace_id not in before:
                    return trace_id
            self._pause()
        raise DemoError(f"no trace arrived within {TRACE_LIMIT_S:.0f} s.\n{self._said()}")

    def _wait_until_it_serves(self) -> ServerFile:
        """Wait for the discovery file, which a backend writes when it can be asked."""
        path = self._home / "state" / "honeyhive" / "server.json"
        deadline = monotonic() + START_LIMIT_S
        while monotonic() < deadline:
            found = ServerFile.read(path)
            if found and found.pid == self._process.pid:
                return found
            self._pause()
        raise DemoError(f"the backend did not start within {START_LIMIT_S:.0f} s.\n{self._said()}")

    def _pause(self) -> None:
        """Wait a moment; raises DemoError if the backend ends meanwhile."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PAUSE_S)
            raise DemoError(f"the backend ended with exit code {self._process.returncode}.\n{self._said()}")

    def _said(self) -> str:
        """The end of its log."""
        lines = self._log.read_text("utf-8", "replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-15:])

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @staticmethod
    def _command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "honeyhive.cli", *arguments]


def private_environment(home: Path) -> dict[str, str]:
    """The environment for the demo's programs: its own folders, loopback without proxy, nobody's settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_SETTINGS)}
    return {
        **own,
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_STATE_HOME": str(home / "state"),
    }


def say(heading: str) -> None:
    """Print a heading."""
    print(f"\n== {heading}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
