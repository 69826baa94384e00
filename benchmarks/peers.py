"""CPU that a decorated call costs its own thread, ours beside other SDKs, each in empty OpenTelemetry spans.

    python benchmarks/peers.py [--rounds 9] [--peer langfuse=PYTHON] [--peer logfire=PYTHON]

PYTHON is the interpreter of an environment that has the package. Fails where another one is cheaper than ours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from parts.sink import sink

PROGRAM = Path(__file__).with_name("parts") / "peer_calls.py"


def measured(name: str, python: str, rounds: int) -> dict[str, float]:
    """Return the ratio of each case with the SDK called *name*."""
    with sink() as address, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as state:
        done = subprocess.run(
            [python, PROGRAM, name, address, str(rounds)],
            env={**os.environ, "XDG_STATE_HOME": state},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    ratios: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return ratios


def main() -> int:
    """Measure, print a table, and return 1 where another SDK is cheaper."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    asked = parser.parse_args()
    ours = measured("honeyhive", sys.executable, asked.rounds)
    table = {"honeyhive": ours}
    for peer in asked.peer:
        name, _, python = peer.partition("=")
        table[name] = measured(name, python, asked.rounds)
    print(f"{'':12}" + "".join(f"{case:>28}" for case in ours))
    for name, ratios in table.items():
        print(f"{name:12}" + "".join(f"{ratio:28.2f}" for ratio in ratios.values()))
    return int(any(ratios[case] < ours[case] for ratios in table.values() for case in ours))


if __name__ == "__main__":
    sys.exit(main())
