"""What orchestrix 0.1.0 does of what `benchmarks/stores.py` measures; run by the Python of an environment that has it.

python orchestrix_stores.py EVENTS
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from time import perf_counter

from orchestrix.core.messaging.message import Event
from orchestrix.infrastructure.memory.store import InMemoryEventStore


@dataclass(frozen=True, kw_only=True)
class Measured(Event):
    """The same event."""

    sensor: str
    value: float
    unit: str
    tags: tuple[str, ...]


def main() -> None:
    """Save events in memory one at a time, each for its version, and load them; print rates per second."""
    logging.disable(logging.CRITICAL)
    count, store = int(sys.argv[1]), InMemoryEventStore()
    made = [
        Measured(sensor="sensor-0", value=index / 7, unit="celsius", tags=("indoor", "calibrated"))
        for index in range(count)
    ]
    began = perf_counter()
    for version, event in enumerate(made):
        store.save("sensor", [event], version - 1)  # theirs counts from -1
    saved = perf_counter()
    assert len(store.load("sensor")) == count
    print(json.dumps({"save": count / (saved - began), "load": count / (perf_counter() - saved)}))


if __name__ == "__main__":
    main()
