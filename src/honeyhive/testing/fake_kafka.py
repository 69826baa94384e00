"""A Kafka in memory, as far as its clients see it: topics, partitions, groups that share them, committed offsets.

Faithful where a bus depends on it: a group member is told before it loses partitions and waited for; reading begins at
the committed offset, or where *auto_offset_reset* says; a topic has the partitions it was made with.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import IllegalStateError, UnknownTopicOrPartitionError
from aiokafka.structs import ConsumerRecord, TopicPartition

__all__ = ["FakeKafka"]


class FakeKafka:
    """Hands out clients of one Kafka in memory, under the names of aiokafka; for one event loop.

    ::

        bus = KafkaMessageBus("kafka://anywhere", clients=FakeKafka())
    """

    def __init__(self) -> None:
        self._topics: dict[str, list[list[ConsumerRecord[bytes, bytes]]]] = {}
        self._groups: dict[str, _Group] = defaultdict(_Group)
        self._news = asyncio.Condition()

    def AIOKafkaProducer(self, **_: object) -> _Producer:  # noqa: N802 - the name of what it stands for
        """Return a producer."""
        return _Producer(self)

    def AIOKafkaConsumer(  # noqa: N802 - as above
        self, *, group_id: str | None = None, auto_offset_reset: str = "latest", **_: object
    ) -> _Consumer:
        """Return a consumer."""
        return _Consumer(self, None if group_id is None else self._groups[group_id], auto_offset_reset)

    def AIOKafkaAdminClient(self, **_: object) -> _Admin:  # noqa: N802 - as above
        """Return an administrator's client."""
        return _Admin(self)

    def create(self, name: str, partitions: int) -> int:
        """Make a topic; return Kafka's error code."""
        if name in self._topics:
            return 36
        self._topics[name] = [[] for _ in range(partitions)]
        return 0

    def log(self, partition: TopicPartition) -> list[ConsumerRecord[bytes, bytes]]:
        """Return the records of a partition."""
        try:
            return self._topics[partition.topic][partition.partition]
        except (KeyError, IndexError) as error:
            raise UnknownTopicOrPartitionError(str(partition)) from error

    def partitions(self, topic: str) -> list[TopicPartition]:
        """Return the partitions of a topic."""
        return [TopicPartition(topic, number) for number in range(len(self._topics.get(topic, ())))]

    async def append(self, partition: TopicPartition, key: bytes | None, value: bytes | None) -> None:
        """Write a record and wake up those who wait for it."""
        await asyncio.sleep(0)  # a network would let others go on, too
        log = self.log(partition)
        log.append(
            ConsumerRecord(
                partition.topic,
                partition.partition,
                len(log),
                time.monotonic_ns() // 1_000_000,
                0,
                key,
                value,
                None,
                len(key or b""),
                len(value or b""),
                (),
            )
        )
        async with self._news:
            self._news.notify_all()

    async def wait_for_news(self, timeout_s: float) -> None:
        """Return when a record was written, or after *timeout_s* seconds."""
        try:
            async with asyncio.timeout(timeout_s), self._news:
                await self._news.wait()
        except TimeoutError:
            return


class _Group:
    """The members of a group, and how far it has read."""

    def __init__(self) -> None:
        self.committed: dict[TopicPartition, int] = {}
        self._members: list[_Consumer] = []
        # Keeps one rebalance from beginning before the last one is through.
        self._rebalancing = asyncio.Lock()

    async def join(self, member: _Consumer) -> None:
        async with self._rebalancing:
            await self._share([*self._members, member])

    async def leave(self, member: _Consumer) -> None:
        async with self._rebalancing:
            await self._share([each for each in self._members if each is not member])

    async def _share(self, members: list[_Consumer]) -> None:
        """Take everything from everybody who stays, then share it out anew, in turn."""
        await asyncio.gather(*[each.lose() for each in self._members if each in members])
        self._members = members
        shares: dict[_Consumer, list[TopicPartition]] = {each: [] for each in members}
        wanted = sorted({partition for each in members for partition in each.wanted()})
        for partition, member in zip(wanted, itertools.cycle(members), strict=False):
            shares[member].append(partition)
        await asyncio.gather(*[each.gain(share) for each, share in shares.items()])


class _Producer:
    def __init__(self, kafka: FakeKafka) -> None:
        self._kafka = kafka

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def partitions_for(self, topic: str) -> set[int]:
        return {each.partition for each in self._kafka.partitions(topic)}

    async def send_and_wait(
        self, topic: str, value: bytes | None = None, key: bytes | None = None, partition: int | None = None
    ) -> None:
        count = len(self._kafka.partitions(topic)) or 1
        chosen = zlib.crc32(key or b"") % count if partition is None else partition
        await self._kafka.append(TopicPartition(topic, chosen), key, value)


class _Consumer:
    def __init__(self, kafka: FakeKafka, group: _Group | None, reset: str) -> None:
        self._kafka = kafka
        self._group = group
        self._reset = reset
        self._topics: Sequence[str] = ()
        self._listener: Any = None
        self._positions: dict[TopicPartition, int] = {}

    def subscribe(self, topics: Sequence[str], listener: object = None) -> None:
        self._topics = topics
        self._listener = listener

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        self._positions = {each: self._first(each) for each in partitions}

    async def start(self) -> None:
        if self._group is not None:
            await self._group.join(self)

    async def stop(self) -> None:
        self._positions = {}
        if self._group is not None:
            await self._group.leave(self)

    def wanted(self) -> list[TopicPartition]:
        return [partition for topic in self._topics for partition in self._kafka.partitions(topic)]

    async def lose(self) -> None:
        lost = set(self._positions)
        kept, self._positions = self._positions, {}
        # While it is told, it may still commit what it has done.
        self._losing = kept
        await _call(self._listener, "on_partitions_revoked", lost)
        self._losing = {}

    async def gain(self, partitions: list[TopicPartition]) -> None:
        self._positions = {each: self._first(each) for each in partitions}
        await _call(self._listener, "on_partitions_assigned", set(partitions))

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
        found = self._fetched(partitions, max_records)
        if not found and timeout_ms:
            await self._kafka.wait_for_news(timeout_ms / 1000)
            found = self._fetched(partitions, max_records)
        return found

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        for partition, offset in offsets.items():
            if self._group is None or partition not in {**self._positions, **self._losing}:
                raise IllegalStateError(f"{partition} is not assigned to this consumer")
            self._group.committed[partition] = offset

    async def committed(self, partition: TopicPartition) -> int | None:
        return None if self._group is None else self._group.committed.get(partition)

    async def position(self, partition: TopicPartition) -> int:
        return self._positions[partition]

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        for each in partitions:
            self._positions[each] = 0

    async def seek_to_end(self, *partitions: TopicPartition) -> None:
        for each in partitions:
            self._positions[each] = len(self._kafka.log(each))

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {each: len(self._kafka.log(each)) for each in partitions}

    _losing: dict[TopicPartition, int] = {}  # noqa: RUF012 - replaced, never changed

    def _first(self, partition: TopicPartition) -> int:
        committed = None if self._group is None else self._group.committed.get(partition)
        if committed is not None:
            return committed
        return len(self._kafka.log(partition)) if self._reset == "latest" else 0

    def _fetched(
        self, partitions: Sequence[TopicPartition], max_records: int | None
    ) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
        left = max_records if max_records is not None else 1_000_000
        found: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {}
        for partition in partitions or list(self._positions):
            start = self._positions[partition]
            records = self._kafka.log(partition)[start : start + left]
            if records:
                found[partition] = records
                self._positions[partition] = start + len(records)
                left -= len(records)
        return found


class _Admin:
    def __init__(self, kafka: FakeKafka) -> None:
        self._kafka = kafka

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def create_topics(self, new_topics: Sequence[Any]) -> SimpleNamespace:
        errors = [(each.name, self._kafka.create(each.name, each.num_partitions), None) for each in new_topics]
        return SimpleNamespace(topic_errors=errors)


async def _call(listener: object, name: str, partitions: set[TopicPartition]) -> None:
    if listener is not None:
        answer = getattr(listener, name)(partitions)
        if inspect.isawaitable(answer):
            await answer
