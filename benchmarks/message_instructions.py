"""Instructions of the main thread for each message through NATS: the bare client, the bus, a worker with five interceptors.

    python benchmarks/message_instructions.py    shows; needs valgrind and nats-server

The same ways as in `benchmarks/runtime_messages.py`, counted by callgrind as in `benchmarks/instructions.py`: unlike rates
the figures hardly depend on how busy the machine is. What the threads of the export do is not in them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

import runtime_messages
from parts.callgrind import counted
from parts.sink import sink
from runtime_messages import Nats, bare, bus_alone, ours

CHILD = "--counted"
MESSAGES = 300
WAYS = {"bare client": bare, "bus alone": bus_alone, "traced handler": ours}


def run(url: str) -> None:
    """Send the messages each way, twice, and end at once."""
    from honeyhive import HoneyHiveTracer

    HoneyHiveTracer(project="bench")
    runtime_messages.MESSAGES = MESSAGES
    for way in WAYS.values():
        asyncio.run(way(url))
    for way in WAYS.values():
        asyncio.run(way(url))
    os._exit(0)


def counts_of_ways(url: str, address: str, folder: str) -> list[float]:
    """Return the instructions for each message each way, the second time."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": address}
    counts = counted(__file__, [CHILD, url], folder, 2 * len(WAYS), environ)
    return [count / MESSAGES for count in counts[len(WAYS) :]]


def main(arguments: list[str]) -> int:
    """Count and print a table."""
    if arguments[:1] == [CHILD]:
        run(arguments[1])
    if shutil.which("valgrind") is None or Nats.find() is None:
        print("NOT MEASURED: valgrind or nats-server is not on this machine")
        return 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, sink() as address:
        engine = Nats(Path(folder))
        engine.start()
        try:
            counts = dict(zip(WAYS, counts_of_ways(engine.url, address, folder), strict=True))
        finally:
            engine.stop()
    for name, count in counts.items():
        print(f"{name:15} {count:10,.0f} instructions, {count / counts['bare client']:.2f} of the bare client's")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
