"""Clients of real servers, opened in a scope and used after it: what they run in the background is theirs to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from honeyhive import State, ctx

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

Condition = Callable[[], Any]


async def until(condition: Condition) -> None:
    """Let the loop run until *condition* holds; the test's own time limit ends it otherwise."""
    while not condition():  # noqa: ASYNC110 -- nobody would set an event
        await asyncio.sleep(0.005)


async def opened_in_a_scope(open_client: Callable[[], Awaitable[Any]]) -> tuple[Any, asyncio.Task[None]]:
    """Return a client that was opened in a scope which has ended, and a task of the program's own from there."""
    async with ctx.scope("request"):
        client = await open_client()
        own = asyncio.create_task(asyncio.sleep(3600))
        await asyncio.sleep(0)
    return client, own


def tasks_of(package: str) -> list[asyncio.Task[Any]]:
    """Return the tasks alive whose code lies in *package*."""
    found = []
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        if frame is not None and frame.f_globals.get("__name__", "").split(".")[0] == package:
            found.append(task)
    return found


async def test_nats_keeps_reading_pinging_and_calling_back(nats_server: Any) -> None:
    import nats

    received: list[bytes] = []

    async def connect() -> Any:
        client = await nats.connect(nats_server.url, ping_interval=0.05)

        async def take(message: Any) -> None:
            received.append(message.data)

        await client.subscribe("orders", cb=take)
        return client

    client, own = await opened_in_a_scope(connect)

    assert own.cancelled()
    assert len(tasks_of("nats")) >= 3
    await client.publish("orders", b"tea")
    await client.flush()
    await until(lambda: received)
    assert client.is_connected
    await client.close()
    await until(lambda: not tasks_of("nats"))


async def test_nats_connects_again_after_its_server_has_gone(nats_server: Any) -> None:
    import nats

    again = asyncio.Event()

    async def told() -> None:
        again.set()

    async def quiet(_error: Exception) -> None:
        """A lost connection is what this is about."""

    async def connect() -> Any:
        return await nats.connect(
            nats_server.url, reconnect_time_wait=0.05, max_reconnect_attempts=-1, reconnected_cb=told, error_cb=quiet
        )

    client, own = await opened_in_a_scope(connect)
    await asyncio.to_thread(nats_server.restart)
    await asyncio.wait_for(again.wait(), 20)

    await client.publish("orders", b"tea")
    await client.flush()
    assert own.cancelled()
    await client.close()


async def test_redis_keeps_its_pool_and_its_listener(redis_server: Any) -> None:
    import redis.asyncio as redis

    received: list[bytes] = []

    async def connect() -> Any:
        client = redis.Redis.from_url(redis_server.url, health_check_interval=1)
        await client.set("tea", "hot")
        return client

    client, own = await opened_in_a_scope(connect)

    assert own.cancelled()
    assert b"hot" == await client.get("tea")
    async with client.pubsub() as pubsub:
        async with ctx.scope("subscribe"):
            await pubsub.subscribe(orders=lambda message: received.append(message["data"]))
        await client.publish("orders", "tea")
        while not received:
            await pubsub.get_message(timeout=1)
    await client.aclose()


async def test_asyncpg_keeps_its_pool_and_its_listener(postgres_server: Any) -> None:
    import asyncpg

    received: list[str] = []

    def take(*message: Any) -> None:
        received.append(message[-1])

    async def connect() -> Any:
        pool = await asyncpg.create_pool(
            postgres_server.url, min_size=2, max_size=4, max_inactive_connection_lifetime=60
        )
        assert 1 == await pool.fetchval("select 1")
        return pool

    pool, own = await opened_in_a_scope(connect)

    assert own.cancelled()
    assert [2, 2, 2, 2] == await asyncio.gather(*(pool.fetchval("select 2") for _ in range(4)))
    async with pool.acquire() as connection:
        async with ctx.scope("listen"):
            await connection.add_listener("orders", take)
        await pool.execute("notify orders, 'tea'")
        await until(lambda: received)
        await connection.remove_listener("orders", take)
    with pytest.raises(TimeoutError):
        async with ctx.scope("slow"), asyncio.timeout(0.05):
            await pool.execute("select pg_sleep(10)")
    assert 3 == await pool.fetchval("select 3")
    await pool.close()


async def test_httpx_keeps_its_connections(collector: Any) -> None:
    async def connect() -> httpx.AsyncClient:
        client = httpx.AsyncClient(trust_env=False)
        assert 200 == (await client.post(collector.url, content=b"")).status_code
        return client

    client, own = await opened_in_a_scope(connect)

    assert own.cancelled()
    responses = await asyncio.gather(*(client.post(collector.url, content=b"") for _ in range(3)))
    assert [200, 200, 200] == [response.status_code for response in responses]
    await client.aclose()


async def test_rabbitmq_keeps_its_reader_and_its_heartbeat(rabbitmq_server: Any) -> None:
    import aio_pika

    received: list[bytes] = []

    async def connect() -> Any:
        connection = await aio_pika.connect_robust(rabbitmq_server.url, heartbeat=1)
        channel = await connection.channel()
        queue = await channel.declare_queue("orders", auto_delete=True)

        async def take(message: Any) -> None:
            async with message.process():
                received.append(message.body)

        await queue.consume(take)
        return connection, channel

    (connection, channel), own = await opened_in_a_scope(connect)

    assert own.cancelled()
    await asyncio.sleep(2.5)  # longer than the server waits for a heartbeat
    await channel.default_exchange.publish(aio_pika.Message(b"tea"), routing_key="orders")
    await until(lambda: received)
    await connection.close()


class Nats(State):
    client: Any


async def test_a_client_as_a_disposable_works_until_its_scope_has_closed_it(nats_server: Any) -> None:
    import nats

    @asynccontextmanager
    async def connection() -> AsyncIterator[Nats]:
        client = await nats.connect(nats_server.url)
        try:
            yield Nats(client=client)
        finally:
            await client.drain()

    async with ctx.scope("app", disposables=(connection(),)):
        async with ctx.scope("request"):
            subscription = await ctx.state(Nats).client.subscribe("orders")
            asyncio.create_task(asyncio.sleep(3600))
        await ctx.state(Nats).client.publish("orders", b"tea")
        message = await subscription.next_msg(5)

    assert b"tea" == message.data
    await until(lambda: not tasks_of("nats"))
