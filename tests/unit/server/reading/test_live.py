"""The live tail: what reaches the bus of what has become readable."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from honeyhive.events import Message
from honeyhive.server.reading.live import SpansReadable, Teller
from honeyhive.server.records.rows import Row, rows_of_request

pytestmark = pytest.mark.anyio

Rows = Callable[[int], list[Row]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def rows(
    make_span: Callable[..., Span], request_with: Callable[..., ExportTraceServiceRequest]
) -> Callable[[int], list[Row]]:
    """Make so many rows."""
    return lambda count: list(rows_of_request(request_with(*(make_span(number + 1) for number in range(count)))))


class _StallingBus:
    """Takes a message when told to."""

    def __init__(self) -> None:
        self.offered: asyncio.Queue[SpansReadable] = asyncio.Queue()
        self.takes = asyncio.Semaphore(0)

    def listen(self, message_type: type[Message], handler: object) -> Any: ...

    async def broadcast(self, message: SpansReadable) -> None:
        self.offered.put_nowait(message)
        await self.takes.acquire()


async def test_what_a_stalling_bus_does_not_take_is_counted_and_not_piled_up(rows: Rows) -> None:
    bus = _StallingBus()
    teller = Teller(bus)
    async with teller.at_work():
        teller.tell(rows(1))
        await bus.offered.get()

        for _ in range(50):
            teller.tell(rows(30))
        bus.takes.release()
        message = await bus.offered.get()

        assert (len(json.loads(message.spans)), message.omitted) == (100, 1_400)
        bus.takes.release()
    assert bus.offered.empty()


async def test_what_is_told_after_work_is_told_to_nobody(rows: Rows) -> None:
    bus = _StallingBus()
    teller = Teller(bus)
    async with teller.at_work():
        pass

    teller.tell(rows(1))

    assert bus.offered.empty()
