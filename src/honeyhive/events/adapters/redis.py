"""A bus on Redis Streams: one stream for each partition, a consumer group for each group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeAlias

from honeyhive.events.buses.broker import Broker, BuriedLetter, Deliver, Delivery, Hear, Parcel, Topology
from honeyhive.events.buses.engine import EngineMessageBus
from honeyhive.events.buses.partitions import Leases, Outstanding, PartitionShare, unless
from honeyhive.exceptions import ConfigurationError
from honeyhive.utils.guard import guard

__all__ = ["RedisBroker", "RedisMessageBus"]

Redis: TypeAlias = Any
"""The client; what its methods are annotated with depends on its release and on the protocol."""

_Command: TypeAlias = "tuple[tuple[str | bytes, ...], asyncio.Future[None]]"

_BODY = b"event"
_BATCH = 100
_LOOK_MS = 2_000

# A member counts while it has checked in within the time of a lease; Redis's own clock decides, so that all agree.
_CHECK_IN = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZADD', KEYS[1], ms, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms - ARGV[2])
return redis.call('ZCARD', KEYS[1])
"""
# What this process held before it lost the connection is still its own.
_ACQUIRE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RENEW = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0"
_RELEASE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"


class RedisMessageBus(EngineMessageBus):
    """A bus on Redis 6.2 or newer; messages live in streams until every group has handled them.

    Its *url* is ``redis://[[user:password@]host[:port][/database]``, or ``rediss://`` with TLS; all else is as for every
    `EngineMessageBus`.
    """

    @staticmethod
    def _broker_at(url: str, topology: Topology) -> Broker:
        return RedisBroker(url, topology)


class RedisBroker(Broker):
    """Redis Streams, as one process of a group uses them.

    Args:
        url: Where Redis is.
        topology: The stream and the group.
    """

    system = "redis"

    def __init__(self, url: str, topology: Topology) -> None:
        from redis import exceptions

        self.topology = topology
        self.errors = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)
        self._url = url
        self._client: Redis = None
        self._pipeline: _Pipeline | None = None
        self._trimmer = _Trimmer()

    async def connect(self, *, consuming: bool) -> None:
        from redis import asyncio as clients
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        if self._client is None:
            # The bus itself tries again, and knows how long.
            self._client = clients.Redis.from_url(self._url, protocol=2, retry=Retry(NoBackoff(), 0))
            self._pipeline = _Pipeline(self._client)
        await self._settle_partitions(self._client)
        if consuming:
            await self._make_groups(self._client)

    async def send(self, parcel: Parcel) -> None:
        await self._sending.execute("XADD", self._stream(parcel.partition), "*", _BODY, parcel.body)

    async def consume(self, deliver: Deliver, stopping: asyncio.Event) -> None:
        leases = RedisLeases(self._connected, self.topology)

        async def read(partition: int, revoked: asyncio.Event) -> None:
            await self._read(partition, revoked, deliver)

        await PartitionShare(leases, self.topology.partitions, read, self.topology.lease_s / 4).run(stopping)

    async def broadcast(self, body: bytes) -> None:
        await self._sending.execute("PUBLISH", self._channel, body)

    async def listen(self, hear: Hear, begun: Callable[[], None]) -> None:
        async with self._connected.pubsub() as channel:
            await channel.subscribe(self._channel)
            async for message in _answers(channel, self.topology.lease_s):
                if message["type"] == "subscribe":
                    begun()
                elif message["type"] == "message":
                    hear(message["data"])

    async def bury(self, letter: bytes) -> None:
        await self._connected.xadd(self._graveyard, {_BODY: letter})

    async def letters(self, limit: int) -> Sequence[BuriedLetter]:
        entries = await self._connected.xrange(self._graveyard, count=limit)
        return [BuriedLetter(entry_id, fields[_BODY]) for entry_id, fields in entries]

    async def discard(self, handle: Any) -> None:
        await self._connected.xdel(self._graveyard, handle)

    async def aclose(self) -> None:
        client, self._client, self._pipeline = self._client, None, None
        if client is not None:
            await client.aclose()

    @property
    def _connected(self) -> Redis:
        if self._client is None:
            raise ConnectionError("not connected to Redis")
        return self._client

    @property
    def _sending(self) -> _Pipeline:
        if self._pipeline is None:
            raise ConnectionError("not connected to Redis")
        return self._pipeline

    @property
    def _channel(self) -> str:
        # Channels are the same in all databases of a server, while streams are not.
        database = self._connected.connection_pool.connection_kwargs.get("db", 0)
        return f"{self.topology.name}:{database}:broadcast"

    @property
    def _graveyard(self) -> str:
        return f"{self.topology.name}:{self.topology.group}:dead"

    def _stream(self, partition: int) -> str:
        return f"{self.topology.name}:{partition}"

    async def _settle_partitions(self, client: Redis) -> None:
        """See to it that all buses of this name agree on the number of partitions: otherwise keys would lose their order."""
        name, wanted = f"{self.topology.name}:partitions", self.topology.partitions
        await client.set(name, wanted, nx=True)
        agreed = int(await client.get(name))
        if agreed != wanted:
            raise ConfigurationError(
                f"the stream {self.topology.name!r} has {agreed} partitions, not {wanted}; say partitions={agreed}, "
                "or use another name"
            )

    async def _make_groups(self, client: Redis) -> None:
        from redis.exceptions import ResponseError

        for partition in range(self.topology.partitions):
            try:
                await client.xgroup_create(self._stream(partition), self.topology.group, id="$", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def _read(self, partition: int, revoked: asyncio.Event, deliver: Deliver) -> None:
        """Deliver what was left behind by whoever read before, then what is new, until the partition is *revoked*."""
        stream, client = self._stream(partition), self._connected
        outstanding = Outstanding()

        async def hand_out(entry_id: bytes, fields: dict[bytes, bytes], count: int) -> None:
            outstanding.add()
            await deliver(_RedisDelivery(self, stream, entry_id, fields.get(_BODY, b""), count, outstanding))

        async for entry_id, fields, count in self._left_behind(stream):
            await hand_out(entry_id, fields, count)
        group, member = self.topology.group, self.topology.member
        while not revoked.is_set():
            answer = await unless(
                revoked, client.xreadgroup(group, member, {stream: ">"}, count=_BATCH, block=_LOOK_MS)
            )
            for _, entries in answer or ():
                for entry_id, fields in entries:
                    await hand_out(entry_id, fields, 1)
            await self._trimmer.trim(client, stream)
        await outstanding.wait_for_none()

    async def _left_behind(self, stream: str) -> AsyncIterator[tuple[bytes, dict[bytes, bytes], int]]:
        """Yield what was handed out before and never acknowledged, in order, with how often it was handed out."""
        client, group, member = self._connected, self.topology.group, self.topology.member
        start = b"0-0"
        while True:
            start, entries, *_ = await client.xautoclaim(
                stream, group, member, min_idle_time=0, start_id=start, count=_BATCH
            )
            kept = [(entry_id, fields) for entry_id, fields in entries if fields]
            if kept:
                pending = await client.xpending_range(
                    stream, group, min=kept[0][0], max=kept[-1][0], count=_BATCH, consumername=member
                )
                counts = {each["message_id"]: int(each["times_delivered"]) for each in pending}
                for entry_id, fields in kept:
                    yield entry_id, fields, counts.get(entry_id, 1)
            if start == b"0-0":
                return

    async def acknowledge(self, stream: str, entry_id: bytes) -> None:
        """Say that the group has done with an entry."""
        await self._sending.execute("XACK", stream, self.topology.group, entry_id)


class _Pipeline:
    """Sends the commands that come while others are under way together, in their order, over one connection.

    Args:
        client: The connection.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._waiting: list[_Command] = []
        self._sender: asyncio.Task[None] | None = None

    async def execute(self, *command: str | bytes) -> None:
        """Return when Redis has done *command*.

        Raises:
            redis.exceptions.RedisError: It refused, or could not be reached.
        """
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        await answer

    async def _send(self) -> None:
        try:
            while self._waiting:
                commands, self._waiting = self._waiting, []
                await self._send_together(commands)
        finally:
            self._sender = None

    async def _send_together(self, commands: Sequence[_Command]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for command, _ in commands:
            pipeline.execute_command(*command)
        results: list[object] = []
        with guard("send to Redis", lambda _, error: results.extend([error] * len(commands))):
            results += await pipeline.execute(raise_on_error=False)
        for (_, answer), result in zip(commands, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(None)


class RedisLeases(Leases):
    """Who is alive, and who reads which partition, in keys that expire.

    Args:
        client: The connection.
        topology: The stream and the group.
    """

    def __init__(self, client: Redis, topology: Topology) -> None:
        self._client = client
        self._prefix = f"{topology.name}:{topology.group}"
        self._member = topology.member
        self._lease_ms = round(topology.lease_s * 1000)

    async def check_in(self) -> int:
        return int(await self._client.eval(_CHECK_IN, 1, self._members, self._member, self._lease_ms))

    async def acquire(self, partition: int) -> bool:
        return bool(await self._client.eval(_ACQUIRE, 1, self._lease(partition), self._member, self._lease_ms))

    async def renew(self, partition: int) -> bool:
        return bool(await self._client.eval(_RENEW, 1, self._lease(partition), self._member, self._lease_ms))

    async def release(self, partition: int) -> None:
        await self._client.eval(_RELEASE, 1, self._lease(partition), self._member)

    async def check_out(self) -> None:
        await self._client.zrem(self._members, self._member)

    @property
    def _members(self) -> str:
        return f"{self._prefix}:members"

    def _lease(self, partition: int) -> str:
        return f"{self._prefix}:lease:{partition}"


class _RedisDelivery(Delivery):
    """An entry that was read for this group."""

    def __init__(
        self, broker: RedisBroker, stream: str, entry_id: bytes, body: bytes, count: int, outstanding: Outstanding
    ) -> None:
        self.body = body
        self.count = count
        self._broker = broker
        self._stream = stream
        self._entry_id = entry_id
        self._outstanding = outstanding

    async def ack(self) -> None:
        await self._broker.acknowledge(self._stream, self._entry_id)
        self._outstanding.remove()


class _Trimmer:
    """Takes out of a stream what all of its groups have acknowledged; nothing else is ever dropped."""

    _INTERVAL_S = 10.0

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    async def trim(self, client: Redis, stream: str) -> None:
        """Trim *stream*, but not more often than every ten seconds."""
        now = asyncio.get_running_loop().time()
        if now < self._due.get(stream, now - 1):
            return
        self._due[stream] = now + self._INTERVAL_S
        needed = [await self._oldest_needed(client, stream, group) for group in await client.xinfo_groups(stream)]
        if needed:
            await client.xtrim(stream, minid=min(needed, key=_order), approximate=True)

    async def _oldest_needed(self, client: Redis, stream: str, group: dict[str, Any]) -> bytes:
        pending = await client.xpending(stream, group["name"])
        oldest: bytes = pending["min"] or group["last-delivered-id"]
        return oldest


async def _answers(channel: Redis, silence_s: float) -> AsyncIterator[dict[str, Any]]:
    """Yield what comes over *channel*; where nothing does for *silence_s* seconds, ask whether Redis is still there.

    Raises:
        redis.exceptions.ConnectionError: It is not.
    """
    from redis.exceptions import ConnectionError as LostConnectionError

    is_asked = False
    while True:
        message = await channel.get_message(timeout=silence_s)
        if message is not None:
            is_asked = False
            yield message
        elif is_asked:
            raise LostConnectionError(f"Redis has not answered for {silence_s:g} seconds")
        else:
            await channel.ping()
            is_asked = True


def _order(entry_id: bytes) -> tuple[int, int]:
    """Return what entries are ordered by."""
    milliseconds, _, number = entry_id.partition(b"-")
    return int(milliseconds), int(number or 0)
