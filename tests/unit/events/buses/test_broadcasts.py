"""Broadcasts over an engine: what a listener misses that does not keep up, or has gone."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("aiokafka", reason="aiokafka is not installed: pip install honeyhive[kafka]")

from honeyhive.events import Event, KafkaMessageBus
from honeyhive.testing import FakeKafka

pytestmark = pytest.mark.anyio

WAITING = 1_000


class Ticked(Event):
    number: int


class Listener:
    """Hears nothing but the first message until it is let go."""

    def __init__(self, last: int) -> None:
        self.numbers: list[int] = []
        self.may_go_on = asyncio.Event()
        self.has_heard_last = asyncio.Event()
        self._last = last

    async def handle(self, event: Ticked) -> None:
        self.numbers.append(event.number)
        if event.number == self._last:
            self.has_heard_last.set()
        await self.may_go_on.wait()


async def test_a_listener_that_does_not_keep_up_misses_what_comes_and_the_log_says_how_much(caplog):
    slow, fast = Listener(WAITING), Listener(WAITING + 2)
    fast.may_go_on.set()
    bus = KafkaMessageBus("kafka://nowhere", clients=FakeKafka())
    for each in (slow, fast):
        bus.listen(Ticked, each)

    async with bus:
        for number in range(WAITING + 3):
            await bus.broadcast(Ticked(number=number))
        await fast.has_heard_last.wait()
        slow.may_go_on.set()
        await slow.has_heard_last.wait()

    assert list(range(WAITING + 1)) == slow.numbers
    assert list(range(WAITING + 3)) == fast.numbers
    assert f"{__name__}.Listener has missed 2 broadcasts" in caplog.messages


async def test_a_listener_that_is_cancelled_does_not_hear_what_waits_for_it():
    listener, other = Listener(2), Listener(2)
    other.may_go_on.set()
    bus = KafkaMessageBus("kafka://nowhere", clients=FakeKafka())
    subscription = bus.listen(Ticked, listener)
    bus.listen(Ticked, other)

    async with bus:
        for number in range(3):
            await bus.broadcast(Ticked(number=number))
        await other.has_heard_last.wait()
        subscription.cancel()
        listener.may_go_on.set()
        await bus.broadcast(Ticked(number=3))

    assert [0] == listener.numbers
