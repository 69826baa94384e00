"""A bus on a real Redis."""

from __future__ import annotations

import asyncio
import functools
import uuid

import pytest
from redis.asyncio import Redis

from honeyhive.events import Event, RedisMessageBus
from honeyhive.testing import BusContract
from honeyhive.testing.bus_contracts import Heard, eventually


class Noted(Event, key="page"):
    """Says that something was noted."""

    page: str
    number: int


class TestRedisMessageBus(BusContract):
    @pytest.fixture
    def open_bus(self, redis_server):
        return functools.partial(RedisMessageBus, redis_server.url, partitions=4, lease_s=1)

    @pytest.fixture
    def restart_engine(self, redis_server):
        return redis_server.restart

    async def test_any_number_may_publish_at_once_and_a_key_stays_in_order(self, redis_server):
        """A client has a hundred connections at most, and what goes over different ones may overtake."""
        bus, numbers, complete = RedisMessageBus(redis_server.url, name=f"test-{uuid.uuid4().hex}"), [], asyncio.Event()

        async def note(event: Noted) -> None:
            numbers.append(event.number)
            if len(numbers) == 300:
                complete.set()

        bus.subscribe(Noted, note)
        async with bus:
            await asyncio.gather(*(bus.publish(Noted(page="one", number=number)) for number in range(300)))
            await complete.wait()

        assert list(range(300)) == numbers

    async def test_a_redis_that_does_not_answer_is_left_and_broadcasts_are_heard_again(self, redis_server, caplog):
        bus = RedisMessageBus(redis_server.url, name=f"test-{uuid.uuid4().hex}", lease_s=0.1)
        heard = Heard()
        bus.listen(Noted, heard)

        async with bus, Redis.from_url(redis_server.url) as redis:
            await redis.execute_command("CLIENT", "PAUSE", 500)
            await eventually(lambda: any("Redis has not answered for 0.1 seconds" in line for line in caplog.messages))
            while not heard.messages:
                await bus.broadcast(Noted(page="one", number=1))
                await asyncio.sleep(0.01)

        assert {1} == set(heard.numbers)
