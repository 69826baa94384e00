"""Counting the instructions of a script's main thread, between its calls of ``os.getppid``, which nothing else makes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

__all__ = ["counted"]

_TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


def counted(
    script: str, arguments: list[str], folder: str, cases: int, environ: dict[str, str] | None = None
) -> list[int]:
    """Run *script* under callgrind and return the instructions of each case, in their order.

    Args:
        script: Calls ``os.getppid()`` before and after each case.
        arguments: What it is given.
        folder: Where the counts are put down, and the state of what runs.
        cases: How many there are.
        environ: What its environment has besides ours.
    """
    valgrind = ["valgrind", "--tool=callgrind", "--separate-threads=yes", "--dump-before=getppid"]
    subprocess.run(
        [*valgrind, f"--callgrind-out-file={folder}/counts", sys.executable, script, *arguments],
        env={**os.environ, "PYTHONHASHSEED": "0", "XDG_STATE_HOME": folder, **(environ or {})},
        stderr=subprocess.DEVNULL,
        check=True,
    )
    # The parts are numbered from 1; those with odd numbers are what came between the cases.
    parts = [Path(folder, f"counts.{2 * number}-01") for number in range(1, cases + 1)]
    return [int(_TOTAL.findall(part.read_text())[-1]) for part in parts]
