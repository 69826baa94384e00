"""A worker in a process of its own: handles events, slowly if told so, and writes each one down when it is done.

python bus_worker.py BUS URL NAME LOG
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass

from opentelemetry.trace import format_trace_id, get_current_span

import honeyhive.events
from honeyhive.events import Event
from honeyhive.testing import TestableTracer


@dataclass(frozen=True, kw_only=True)
class Step(Event, type="test.step", key="order_id"):
    order_id: str
    number: int


async def main(bus_class: str, url: str, name: str, log: str) -> None:
    TestableTracer(test_mode=True)
    bus = getattr(honeyhive.events, bus_class)(url, name=name, group="workers", partitions=4, lease_s=1)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def handle(event: Step) -> None:
        await asyncio.sleep(0.002)
        trace = format_trace_id(get_current_span().get_span_context().trace_id)
        os.write(file, f"{os.getpid()} {event.order_id} {event.number} {trace}\n".encode())

    bus.subscribe(Step, handle)
    async with bus:
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
