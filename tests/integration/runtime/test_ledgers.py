"""Tick ledgers on real engines keep the contract that all keep."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from engines import Engine
from honeyhive.exceptions import ConfigurationError
from honeyhive.runtime import RedisTickLedger, SqlTickLedger
from honeyhive.testing.ledger_contracts import TICK, check_ledger

pytestmark = pytest.mark.anyio


async def test_postgresql_keeps_the_contract(postgres_server: Engine) -> None:
    url = postgres_server.url.replace("postgresql://", "postgresql+asyncpg://")
    async with SqlTickLedger(url) as ledger:
        await check_ledger(ledger)


async def test_any_number_of_processes_may_make_the_table_at_once(postgres_server: Engine) -> None:
    url = postgres_server.url.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE IF EXISTS honeyhive_ticks"))
    ledgers = [SqlTickLedger(url) for _ in range(12)]

    await asyncio.gather(*(ledger.__aenter__() for ledger in ledgers))

    assert await ledgers[0].claim("often", TICK, 60) is not None
    await asyncio.gather(*(ledger.__aexit__(None, None, None) for ledger in ledgers))
    await engine.dispose()


async def test_redis_keeps_the_contract(redis_server: Engine) -> None:
    async with Redis.from_url(redis_server.url) as redis:
        await check_ledger(RedisTickLedger(redis, prefix="contract:"))


async def test_redis_forgets_old_ticks_but_the_newest(redis_server: Engine) -> None:
    """Remembered for less than no time, a tick is forgotten as soon as a newer one is finished."""
    async with Redis.from_url(redis_server.url) as redis:
        ledger = RedisTickLedger(redis, prefix="forgets:", remember_s=-1)
        for tick in (TICK, TICK.replace(hour=13)):
            claim = await ledger.claim("often", tick, 60)
            assert claim is not None
            await ledger.finish(claim)

        assert TICK.replace(hour=13) == await ledger.last("often")
        assert await redis.hkeys("forgets:{often}") == [b"%d" % TICK.replace(hour=13).timestamp()]


async def test_other_databases_are_refused() -> None:
    engine = create_async_engine("sqlite+aiosqlite://")
    engine.dialect.name = "mysql"

    with pytest.raises(ConfigurationError, match="PostgreSQL and SQLite, not with mysql"):
        SqlTickLedger(engine)
    await engine.dispose()
