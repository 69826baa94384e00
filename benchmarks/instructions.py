"""Instructions that a traced call costs its own thread, as a ratio to an empty span of the OpenTelemetry SDK.

    python benchmarks/instructions.py    fails above the promised limits; needs valgrind

Counted by callgrind: unlike time, the figures do not depend on how busy the machine is. All cases run in one
process, one after the other. Before and after each it asks for its parent's process id, which nothing else does,
and at each such call callgrind puts down what it has counted since the last one.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from time import sleep

from parts.callgrind import counted
from parts.promises import kept

CALLS = 2_000
WARM_UP = 200
YARDSTICK = "an empty span of the SDK"
CHILD = "--counted"

PROMISED = {
    "start_as_current_span, our provider": 0.20,
    "@trace, nothing captured": 0.16,
    "@trace, two scalars and a result": 0.20,
    "@trace, 2 KB chat": 0.35,
}
"""At most this many empty OpenTelemetry spans."""

SHOWN = ("@trace, two scalars by keyword and a result, in a span",)
"""What has no limit of its own."""

CASES = (YARDSTICK, *PROMISED, *SHOWN)


def main(arguments: list[str]) -> int:
    """Count and print a table; return 1 where a promise is broken."""
    if arguments == [CHILD]:
        run()
    if shutil.which("valgrind") is None:
        print("NOT MEASURED: instructions are counted by valgrind, which is not installed")
        return 0
    counts = dict(zip(CASES, counts_of_cases(), strict=True))
    unit = counts.pop(YARDSTICK)
    print(f"{YARDSTICK}: {unit / CALLS:,.0f} instructions\n")
    return int(not kept({case: count / unit for case, count in counts.items()}, PROMISED))


def counts_of_cases() -> list[int]:
    """Return the instructions of the main thread in each case, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        return counted(__file__, [CHILD], folder, len(CASES))


def run() -> None:
    """Make the calls of every case, and end at once without sending anything."""
    from parts.calls import calls

    yardstick, measured = calls()
    works = {YARDSTICK: yardstick, **measured}
    for case in CASES:
        works[case](WARM_UP)
    for case in CASES:
        sleep(0.5)  # lets the exporters catch up
        gc.collect()
        gc.freeze()  # what is left of earlier cases is not to be visited in later ones
        os.getppid()
        works[case](CALLS)
        os.getppid()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
