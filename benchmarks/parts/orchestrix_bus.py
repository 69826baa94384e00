"""What orchestrix 0.1.0 does of what `benchmarks/buses.py` measures; run by the Python of an environment that has it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from time import process_time

from orchestrix.core.messaging.message import Event
from orchestrix.infrastructure.memory.bus import InMemoryMessageBus

COUNT = 20_000


@dataclass(frozen=True, kw_only=True)
class Placed(Event):
    """The same event."""

    order: str


def main() -> None:
    """Publish events to one handler, without logging; print the rate per second."""
    logging.disable(logging.CRITICAL)
    bus, handled = InMemoryMessageBus(), []
    bus.subscribe(Placed, handled.append)
    for _ in range(1_000):
        bus.publish(Placed(order="tea"))
    began = process_time()
    for _ in range(COUNT):
        bus.publish(Placed(order="tea"))
    print(json.dumps({"publish": COUNT / (process_time() - began)}))


if __name__ == "__main__":
    main()
