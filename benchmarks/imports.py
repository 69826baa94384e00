"""What an import costs, beside the bare interpreter and OpenTelemetry's own tracing.

    python benchmarks/imports.py    fails above the promised limits

CPU time is compared as a ratio within this one run: each import in fresh
processes, taking turns, so that the machine's mood touches all of them alike.
"""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

BARE = "pass"
PACKAGE = "import honeyhive"
OPENTELEMETRY = "import opentelemetry.sdk.trace"
TRACER = "from honeyhive import HoneyHiveTracer, trace"
ROUNDS = 15

MOST_MODULES_OF_PACKAGE = 30
MOST_MODULES_BEYOND_OPENTELEMETRY = 60
MOST_TIMES_OPENTELEMETRY = 1.5

PROBE = """
import sys, time
started = time.process_time_ns()
{statement}
print(time.process_time_ns() - started, len(sys.modules))
"""


class Cost(NamedTuple):
    """What one import took: CPU time in milliseconds, and modules loaded in total."""

    milliseconds: float
    modules: int


def main() -> int:
    """Print the table; return 1 if a limit is passed."""
    costs = measure([BARE, PACKAGE, OPENTELEMETRY, TRACER])
    for statement, cost in costs.items():
        print(f"{cost.milliseconds:8.1f} ms CPU  {cost.modules:5} modules  {statement}")
    checks = [
        check("modules of the package", costs[PACKAGE].modules - costs[BARE].modules, MOST_MODULES_OF_PACKAGE),
        check(
            "modules beyond OpenTelemetry",
            costs[TRACER].modules - costs[OPENTELEMETRY].modules,
            MOST_MODULES_BEYOND_OPENTELEMETRY,
        ),
        check(
            "times OpenTelemetry's CPU",
            costs[TRACER].milliseconds / costs[OPENTELEMETRY].milliseconds,
            MOST_TIMES_OPENTELEMETRY,
        ),
    ]
    return int(not all(checks))


def measure(statements: list[str]) -> dict[str, Cost]:
    """Return the least cost of each statement over several rounds: what is above it, the machine added."""
    rounds = [[cost_of(statement) for statement in statements] for _ in range(ROUNDS)]
    return {statement: min(costs) for statement, costs in zip(statements, zip(*rounds, strict=True), strict=True)}


def cost_of(statement: str) -> Cost:
    """Run *statement* in a fresh interpreter and return what it cost."""
    probe = PROBE.format(statement=statement)
    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    nanoseconds, modules = answer.stdout.split()
    return Cost(int(nanoseconds) / 1e6, int(modules))


def check(what: str, measured: float, most: float) -> bool:
    """Print one promise and whether it holds."""
    holds = measured <= most
    print(f"{measured:8.2f} {what}, at most {most}{'' if holds else '  -- TOO MUCH'}")
    return holds


if __name__ == "__main__":
    sys.exit(main())
