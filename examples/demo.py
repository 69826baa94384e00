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
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from local_backend import BackendError, LocalBackend
from model_server import ModelServer

AGENT = Path(__file__).with_name("agent.py")
AGENT_LIMIT_S = 60.0


class AgentError(Exception):
    """The traced program failed; the message says how."""


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="demo", description="Run a traced agent and show its trace.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep all data in this folder")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as opened:
            home = options.data or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="honeyhive-demo-")))
            backend = opened.enter_context(LocalBackend(home))
            models = opened.enter_context(ModelServer())
            show(backend, models.base_url)
    except (AgentError, BackendError) as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def show(backend: LocalBackend, model_address: str) -> None:
    """Trace the agent, print what arrived, and serve it while somebody looks."""
    print(f"The backend runs at {backend.address}")
    earlier = frozenset(trace["trace_id"] for trace in backend.traces())

    say(f"A traced program runs: {AGENT.name}")
    run_agent({**backend.environment, "OPENAI_BASE_URL": model_address})

    say("Its trace\n")
    trace = backend.wait_for_trace(besides=earlier)
    print(backend.command("traces", "show", trace["trace_id"]).rstrip())

    say("The same in a browser\n")
    print(backend.page(f"/traces/{trace['trace_id']}"))
    if sys.stdout.isatty():
        print("\nCtrl-C ends the demo.", flush=True)
        with suppress(KeyboardInterrupt):
            backend.serve()
    else:
        print("\nThis is no terminal: nobody is looking, so the backend ends here.")


def run_agent(environment: Mapping[str, str]) -> None:
    """Run the traced program to its end; its output is the demo's.

    Raises:
        AgentError: It failed, or did not end in time.
    """
    try:
        code = subprocess.run([sys.executable, AGENT], env=environment, check=False, timeout=AGENT_LIMIT_S).returncode
    except subprocess.TimeoutExpired as error:
        raise AgentError(f"{AGENT.name} did not end within {AGENT_LIMIT_S:.0f} s.") from error
    if code != 0:
        raise AgentError(f"{AGENT.name} ended with exit code {code}; its error stands above.")


def say(heading: str) -> None:
    """Print a heading."""
    print(f"\n== {heading}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
