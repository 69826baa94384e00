"""A tick ledger in Redis."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from honeyhive.runtime.ledgers.interface import Claim

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisTickLedger"]

# A schedule is one hash of its ticks, "owner attempt lease_until_ms" or "done at_ms", and a sorted set of the ticks in it.
# Each script is one step for Redis, so no two schedulers see the same tick free; its clock alone measures leases.
_NOW_MS: Final = """
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
"""
_CLAIM: Final = (
    _NOW_MS
    + """
local ticks, order, tick, owner = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local attempt = 1
local before = redis.call('HGET', ticks, tick)
if before then
    if before:match('^done ') then return 0 end
    local _, former, until_ms = before:match('^(%S+) (%d+) (%-?%d+)$')
    if tonumber(until_ms) >= now_ms then return 0 end
    attempt = tonumber(former) + 1
end
redis.call('HSET', ticks, tick, string.format('%s %d %d', owner, attempt, now_ms + tonumber(ARGV[3])))
redis.call('ZADD', order, tick, tick)
return attempt
"""
)
_RENEW: Final = (
    _NOW_MS
    + """
local owner, attempt = (redis.call('HGET', KEYS[1], ARGV[1]) or ''):match('^(%S+) (%d+) ')
if owner ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%s %d %d', owner, attempt, now_ms + tonumber(ARGV[3])))
return 1
"""
)
_FINISH: Final = (
    _NOW_MS
    + """
local ticks, order = KEYS[1], KEYS[2]
local owner = (redis.call('HGET', ticks, ARGV[1]) or ''):match('^(%S+) ')
if owner ~= ARGV[2] then return 0 end
redis.call('HSET', ticks, ARGV[1], string.format('done %d', now_ms))
for _, old in ipairs(redis.call('ZRANGEBYSCORE', order, '-inf', '(' .. ARGV[1], 'LIMIT', 0, 10)) do
    local done_ms = (redis.call('HGET', ticks, old) or ''):match('^done (%d+)$')
    if done_ms and tonumber(done_ms) < now_ms - tonumber(ARGV[3]) * 1000 then
        redis.call('HDEL', ticks, old)
        redis.call('ZREM', order, old)
    end
end
return 1
"""
)
_ABANDONED: Final = (
    _NOW_MS
    + """
local left = {}
local entries = redis.call('HGETALL', KEYS[1])
for at = 1, #entries, 2 do
    local until_ms = entries[at + 1]:match(' %d+ (%-?%d+)$')
    if until_ms and tonumber(until_ms) < now_ms then table.insert(left, entries[at]) end
end
return left
"""
)


class RedisTickLedger:
    """Keeps the ticks in Redis, under keys that begin with *prefix*. As durable as that Redis is.

    Args:
        redis: A client, which stays yours.
        prefix: Tells apart services that share a Redis.
        remember_s: For how long a finished tick is remembered, in seconds.
    """

    def __init__(self, redis: Redis, *, prefix: str = "honeyhive:ticks:", remember_s: float = 86_400.0) -> None:
        self._redis: Any = redis
        self._prefix = prefix
        self._remember_s = remember_s

    async def claim(self, schedule: str, tick: datetime, lease_s: float) -> Claim | None:
        """Return the right to run *tick*, or ``None`` if it is done or another has it."""
        owner = uuid4().hex
        attempt = await self._run(_CLAIM, schedule, _seconds(tick), owner, int(lease_s * 1000))
        return Claim(schedule, tick, owner, attempt) if attempt else None

    async def renew(self, claim: Claim, lease_s: float) -> bool:
        """Keep *claim* for *lease_s* seconds from now; false if it is lost."""
        return bool(await self._run(_RENEW, claim.schedule, _seconds(claim.tick), claim.owner, int(lease_s * 1000)))

    async def finish(self, claim: Claim) -> bool:
        """Mark the tick of *claim* as done; false if the claim was lost before."""
        return bool(await self._run(_FINISH, claim.schedule, _seconds(claim.tick), claim.owner, self._remember_s))

    async def last(self, schedule: str) -> datetime | None:
        """Return the newest tick of *schedule* that anyone has claimed, or ``None``."""
        newest = await self._redis.zrange(self._keys(schedule)[1], -1, -1)
        return datetime.fromtimestamp(int(newest[0]), UTC) if newest else None

    async def abandoned(self, schedules: Collection[str]) -> list[tuple[str, datetime]]:
        """Return the ticks of *schedules* that were claimed, are not done, and whose lease has run out."""
        return [
            (schedule, datetime.fromtimestamp(int(tick), UTC))
            for schedule in schedules
            for tick in await self._run(_ABANDONED, schedule)
        ]

    async def _run(self, script: str, schedule: str, *arguments: object) -> Any:
        return await self._redis.eval(script, 2, *self._keys(schedule), *arguments)

    def _keys(self, schedule: str) -> tuple[str, str]:
        # The braces keep both keys on one node of a cluster.
        return f"{self._prefix}{{{schedule}}}", f"{self._prefix}{{{schedule}}}:order"


def _seconds(tick: datetime) -> int:
    return int(tick.timestamp())
