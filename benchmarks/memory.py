"""What a burst costs in memory and in spans: peak memory beside the promised budget, and how many spans were lost.

    python benchmarks/memory.py    fails above the budget, or if one of 100,000 spans is lost

Each case is a process of its own with default settings, everything on, and a backend that accepts. Memory is the growth
of the resident set over what it is after a first span was delivered.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from parts.sink import sink

MIB = 1 << 20
BUDGET_MIB = 32 + 4 + 8
"""The queue, one batch and one segment, as promised."""
SLACK_MIB = 16
"""What the interpreter's and the system's allocators keep for later, and the HTTP stack."""

Calls = Callable[[], int]
"""Makes spans, and returns how many."""

Case = Callable[[], Calls]
"""Makes the values to be traced, which are the program's own memory, and returns the calls."""


def main(arguments: list[str]) -> int:
    """Run every case, print a table, and return 1 where a promise is broken."""
    if arguments:
        print(*run(CASES[arguments[0]]))
        return 0
    if sys.platform != "linux":
        print("NOT MEASURED: the peak of a process is told in /proc, which only Linux has")
        return 0
    broken = False
    print(f"{'':28}   spans     lost  peak MiB  at most")
    with sink() as address:
        for name in CASES:
            spans, lost, peak = measure(name, address)
            failed = peak > BUDGET_MIB + SLACK_MIB or (lost > 0 and name in LOSSLESS)
            broken |= failed
            print(f"{name:28} {spans:7,} {lost:8,}  {peak:8.1f}  {BUDGET_MIB} + {SLACK_MIB}{'  -- TOO MUCH' * failed}")
    return int(broken)


def measure(name: str, address: str) -> tuple[int, int, float]:
    """Run one case in a fresh process: how many spans, how many lost, and MiB of growth."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": address, "XDG_STATE_HOME": folder}
        for setting in ("HH_API_KEY", "HH_API_URL"):
            environment.pop(setting, None)
        command = [sys.executable, __file__, name]
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        spans, lost, peak = answer.stdout.split()
        return int(spans), int(lost), float(peak)


def run(case: Case) -> tuple[int, int, float]:
    """Do the same in this process."""
    from honeyhive import HoneyHiveTracer, trace

    tracer = HoneyHiveTracer.init(project="bench", console=False)
    trace(lambda: None)()
    assert tracer.flush()
    calls = case()
    before = resident("VmRSS")
    forget_peak()
    spans = calls()
    tracer.flush()
    return spans, tracer.statistics().lost, (resident("VmHWM") - before) / MIB


def flat_out(count: int) -> Case:
    """Return a case of *count* calls with two scalars."""

    def case() -> Calls:
        from honeyhive import trace

        @trace
        def call(number: int, text: str) -> int:
            return number

        def calls() -> int:
            for number in range(count):
                call(number, "text")
            return count

        return calls

    return case


def large_values() -> Calls:
    """Call thirty times with a text of 50 MB and a list of texts that is as large."""
    from honeyhive import trace

    @trace
    def call(text: str, items: list[str]) -> int:
        return len(text)

    text = "x" * 50_000_000
    items = [text[number : number + 50_000] for number in range(1000)]

    def calls() -> int:
        for _ in range(30):
            call(text, items)
        return 30

    return calls


def resident(field: str) -> int:
    """Bytes of this process's memory: ``VmRSS`` now, ``VmHWM`` at most so far."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def forget_peak() -> None:
    """Measure the peak from now on."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")


CASES: dict[str, Case] = {
    "100,000 spans flat out": flat_out(100_000),
    "1,000,000 spans flat out": flat_out(1_000_000),
    "30 calls with 50 MB": large_values,
}
LOSSLESS = frozenset({"100,000 spans flat out"})

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
