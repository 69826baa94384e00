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


def rate() -> float:
    """Return how many events a second go to one handler."""
    bus, handled = InMemoryMessageBus(), []
    bus.subscribe(Placed, handled.append)
    for _ in range(1_000):
        bus.publish(Placed(order="tea"))
    began = process_time()
    for _ in range(COUNT):
        bus.publish(Placed(order="tea"))
    return COUNT / (process_time() - began)


def main() -> None:
    """Print the rates per second as it comes, which writes to the log, and with all logging switched off."""
    as_it_comes = rate()
    logging.disable(logging.CRITICAL)
    print(json.dumps({"as_it_comes": as_it_comes, "without_logging": rate()}))


if __name__ == "__main__":
    main()
