"""Instructions that a traced call costs its own thread, as a ratio to an empty span of the OpenTelemetry SDK.

    python benchmarks/instructions.py    fails above the promised limits; needs valgrind

Counted by callgrind: unlike time, the figures do not depend on how busy the machine is. Each case runs in
a process of its own with 2000 calls and is compared to the same process without any. Takes some minutes, in
which the sources must not change.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from parts.promises import kept

CALLS = 2_000
YARDSTICK = "an empty span of the SDK"
NOTHING = "nothing"

PROMISED = {
    "start_as_current_span, our provider": 0.24,
    "@trace, nothing captured": 0.22,
    "@trace, two scalars and a result": 0.29,
    "@trace, 2 KB chat": 0.55,
}
"""At most this many empty OpenTelemetry spans."""

_TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Count and print a table; return 1 where a promise is broken."""
    if arguments:
        run(arguments[0])
    if shutil.which("valgrind") is None:
        print("NOT MEASURED: instructions are counted by valgrind, which is not installed")
        return 0
    nothing = count(NOTHING)
    unit = count(YARDSTICK) - nothing
    print(f"{YARDSTICK}: {unit / CALLS:,.0f} instructions\n")
    return int(not kept({name: (count(name) - nothing) / unit for name in PROMISED}, PROMISED))


def count(case: str) -> int:
    """Return the instructions of the main thread of a process that makes the calls of *case*."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                "--separate-threads=yes",
                f"--callgrind-out-file={folder}/counts",
                sys.executable,
                __file__,
                case,
            ],
            env={**os.environ, "PYTHONHASHSEED": "0", "XDG_STATE_HOME": folder},
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return int(_TOTAL.findall(Path(folder, "counts-01").read_text())[-1])


def run(case: str) -> None:
    """Make the calls of *case*, and end at once without sending anything."""
    from parts.calls import calls

    yardstick, measured = calls()
    works = {YARDSTICK: yardstick, **measured}
    for work in works.values():
        work(1)
    if case != NOTHING:
        works[case](CALLS)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
