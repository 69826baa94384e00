"""What capturing, rendering and redacting a value cost, as ratios to ``json.dumps`` of the same value in the same run.

Run it with ``python benchmarks/capture.py``. Times are CPU time of the measuring thread in microseconds, the best of
several rounds, with all cases interleaved so that a busy machine is busy for all of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from honeyhive.utils.capture import capture
from honeyhive.utils.redact import Redactor
from honeyhive.utils.render import render

ROUNDS = 9
ROUND_NS = 2_000_000

VALUES: dict[str, object] = {
    "scalar": 5,
    "small dict": {"a": 1, "b": "x", "c": [1, 2]},
    "2 KB chat": [{"role": "user", "content": f"message {n} " + "word " * 35} for n in range(11)],
    "20 KB chat": [{"role": "user", "content": f"message {n} " + "word " * 350} for n in range(11)],
    "1536 floats": [n * 0.001 for n in range(1536)],
}


def cost_us(work: Callable[[], object]) -> float:
    """Return the CPU time of one call, from about two milliseconds of calls."""
    calls = 0
    start = time.thread_time_ns()
    while time.thread_time_ns() - start < ROUND_NS:
        for _ in range(10):
            work()
        calls += 10
    return (time.thread_time_ns() - start) / calls / 1000


def cases(value: object, redactor: Redactor) -> dict[str, Callable[[], object]]:
    """Return what is measured for one value, ``json.dumps`` first."""
    captured = capture(value)
    text = render(captured)
    return {
        "json.dumps": lambda: json.dumps(value),
        "capture": lambda: capture(value),
        "render": lambda: render(captured),
        "redact": lambda: redactor.attribute("honeyhive_inputs.value", text),
    }


def main() -> None:
    """Measure and print one line per value."""
    redactor = Redactor()
    names = ["json.dumps", "capture", "render", "redact"]
    print(f"{'':12}" + "".join(f"{name:>20}" for name in names))
    for title, value in VALUES.items():
        works = cases(value, redactor)
        rounds = [[cost_us(work) for work in works.values()] for _ in range(ROUNDS)]
        best = [min(column) for column in zip(*rounds, strict=True)]
        print(f"{title:12}" + "".join(f"{cost:9.2f} us ({cost / best[0]:5.2f})" for cost in best))


if __name__ == "__main__":
    main()
