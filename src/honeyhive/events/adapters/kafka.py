"""A bus on Kafka: one topic, whose partitions Kafka itself shares among the processes of a group.

Built, not proved: tested against a fake of the client, never against a real Kafka.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Unpack

from honeyhive.events.buses.broker import Broker, BuriedLetter, Deliver, Delivery, Hear, Parcel, Topology, new_member
from honeyhive.events.buses.brokered import BrokerMessageBus, BusOptions
from honeyhive.events.buses.partitions import Outstanding
from honeyhive.exceptions import ConfigurationError

if TYPE_CHECKING:
    from aiokafka.structs import ConsumerRecord, TopicPartition

__all__ = ["KafkaBroker", "KafkaClients", "KafkaMessageBus"]

_BATCH = 100
_LOOK_MS = 500
_EXISTS_ALREADY = 36
_RETENTION_MS = "600000"

_logger = logging.getLogger("honeyhive.events")


class KafkaClients(Protocol):
    """What aiokafka offers, or a fake of it."""

    AIOKafkaProducer: Callable[..., Any]
    AIOKafkaConsumer: Callable[..., Any]
    AIOKafkaAdminClient: Callable[..., Any]


class KafkaMessageBus(BrokerMessageBus):
    """A bus on Kafka 2.4 or newer. Built, not proved: it was never tried with a real Kafka.

    Kafka keeps what was handled as long as the topic is configured to, and does not count deliveries, so *max_deliveries*
    has no effect here.

    Args:
        url: Where Kafka is: ``kafka://host[:port]``, several hosts separated by commas.
        name: The topic; buses of the same name reach one another.
        group: Who shares the work: each message goes to one process of each group.
        member: The name of this process within the group; made of host, process and chance by default.
        partitions: How many processes can share the work at most; the topic is made with so many.
        lease_s: How long after its last sign of life the work of a process goes to others, in seconds; at least what the
            brokers allow (``group.min.session.timeout.ms``).
        copies: How many brokers keep each message, if this bus makes the topic.
        clients: The client library.
        **options: As for `BrokerMessageBus`.

    Raises:
        ConfigurationError: A name cannot be used, or a number is out of its range.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "honeyhive",
        group: str = "default",
        member: str | None = None,
        partitions: int = 8,
        lease_s: float = 10.0,
        copies: int = 1,
        clients: KafkaClients | None = None,
        **options: Unpack[BusOptions],
    ) -> None:
        topology = Topology(name, group, member or new_member(), partitions, lease_s)
        super().__init__(KafkaBroker(url, topology, copies, clients), **options)


class KafkaBroker(Broker):
    """Kafka, as one process of a group uses it.

    Args:
        url: Where Kafka is.
        topology: The topic and the group.
        copies: How many brokers keep each message.
        clients: The client library; aiokafka by default.
    """

    system = "kafka"

    def __init__(self, url: str, topology: Topology, copies: int = 1, clients: KafkaClients | None = None) -> None:
        self.topology = topology
        self.errors = (*_passing_errors(), OSError, TimeoutError)
        self._copies = copies
        self._servers = url.removeprefix("kafka://").rstrip("/")
        self._clients = clients or _aiokafka()
        self._producer: Any = None
        self._consumer: Any = None
        self._progress: dict[TopicPartition, _Progress] = {}

    async def connect(self, *, consuming: bool) -> None:
        if self._producer is None:
            await self._make_topics()
            producer = self._clients.AIOKafkaProducer(
                bootstrap_servers=self._servers, client_id=self.topology.member, acks="all", enable_idempotence=True
            )
            await producer.start()
            self._producer = producer
            await self._check_partitions()
        if consuming and self._consumer is None:
            await self._join()

    async def send(self, parcel: Parcel) -> None:
        await self._connected.send_and_wait(
            self.topology.name, parcel.body, key=parcel.key.encode(), partition=parcel.partition
        )

    async def consume(self, deliver: Deliver, stopping: asyncio.Event) -> None:
        try:
            while not stopping.is_set():
                found = await self._consumer.getmany(timeout_ms=_LOOK_MS, max_records=_BATCH)
                for partition, records in found.items():
                    progress = self._progress.setdefault(partition, _Progress())
                    for record in records:
                        await deliver(_KafkaDelivery(record, progress))
                await self._commit()
            await self.finish(list(self._progress))
        finally:
            consumer, self._consumer = self._consumer, None
            await consumer.stop()

    async def broadcast(self, body: bytes) -> None:
        await self._connected.send_and_wait(self._broadcasts, body, partition=0)

    async def listen(self, hear: Hear, begun: Callable[[], None]) -> None:
        from aiokafka.structs import TopicPartition

        broadcasts = TopicPartition(self._broadcasts, 0)
        listener = self._clients.AIOKafkaConsumer(bootstrap_servers=self._servers, client_id=self.topology.member)
        await listener.start()
        try:
            listener.assign([broadcasts])
            await listener.seek_to_end(broadcasts)
            begun()
            while True:
                for record in (await listener.getmany(broadcasts, timeout_ms=_LOOK_MS)).get(broadcasts, ()):
                    hear(record.value)
        finally:
            await listener.stop()

    async def bury(self, letter: bytes) -> None:
        await self._connected.send_and_wait(self._graveyard, letter, key=secrets.token_hex(16).encode())

    async def letters(self, limit: int) -> Sequence[BuriedLetter]:
        from aiokafka.structs import TopicPartition

        grave = TopicPartition(self._graveyard, 0)
        reader = self._clients.AIOKafkaConsumer(bootstrap_servers=self._servers, auto_offset_reset="earliest")
        await reader.start()
        try:
            reader.assign([grave])
            await reader.seek_to_beginning(grave)
            end = (await reader.end_offsets([grave]))[grave]
            found: dict[bytes, BuriedLetter] = {}
            while await reader.position(grave) < end:
                for record in (await reader.getmany(grave, timeout_ms=_LOOK_MS)).get(grave, ()):
                    found.pop(record.key, None)
                    if record.value is not None:
                        found[record.key] = BuriedLetter(record.key, record.value)
            return list(found.values())[:limit]
        finally:
            await reader.stop()

    async def discard(self, handle: Any) -> None:
        # Kafka cannot delete a record; one without a value is how a compacted topic forgets a key.
        await self._connected.send_and_wait(self._graveyard, None, key=handle)

    async def aclose(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def finish(self, partitions: Sequence[TopicPartition]) -> None:
        """Return when all that was delivered of *partitions* is acknowledged, and Kafka knows."""
        for partition in partitions:
            if (progress := self._progress.get(partition)) is not None:
                await progress.outstanding.wait_for_none()
        await self._commit()
        for partition in partitions:
            self._progress.pop(partition, None)

    async def settle(self, partitions: Sequence[TopicPartition]) -> None:
        """Note where the group begins to read, where it has never read before: at what is sent from here on."""
        for partition in partitions:
            if await self._consumer.committed(partition) is None:
                await self._consumer.commit({partition: await self._consumer.position(partition)})

    @property
    def _connected(self) -> Any:
        if self._producer is None:
            raise ConnectionError("not connected to Kafka")
        return self._producer

    @property
    def _broadcasts(self) -> str:
        return f"{self.topology.name}.broadcast"

    @property
    def _graveyard(self) -> str:
        return f"{self.topology.name}.{self.topology.group}.dead"

    async def _join(self) -> None:
        """Become a member of the group, and return when the work is shared out."""
        lease_ms = round(self.topology.lease_s * 1000)
        consumer = self._clients.AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            client_id=self.topology.member,
            group_id=f"{self.topology.name}.{self.topology.group}",
            enable_auto_commit=False,
            auto_offset_reset="latest",
            session_timeout_ms=lease_ms,
            heartbeat_interval_ms=lease_ms // 3,
        )
        listener = _listener(self)
        consumer.subscribe([self.topology.name], listener=listener)
        self._consumer = consumer
        await consumer.start()
        await asyncio.wait_for(listener.shared_out.wait(), self.topology.lease_s * 3)

    async def _commit(self) -> None:
        """Tell Kafka up to where everything is acknowledged."""
        moved = {partition: each.floor for partition, each in self._progress.items() if each.has_moved()}
        if moved:
            await self._consumer.commit(moved)

    async def _make_topics(self) -> None:
        from aiokafka.admin import NewTopic

        admin = self._clients.AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        try:
            topic = NewTopic(self.topology.name, self.topology.partitions, self._copies)
            graveyard = NewTopic(self._graveyard, 1, self._copies, topic_configs={"cleanup.policy": "compact"})
            # One partition, so that what a process broadcasts stays in its order.
            broadcasts = NewTopic(self._broadcasts, 1, self._copies, topic_configs={"retention.ms": _RETENTION_MS})
            answer = await admin.create_topics([topic, graveyard, broadcasts])
            for name, code, *reason in answer.topic_errors:
                if code not in {0, _EXISTS_ALREADY}:
                    raise ConfigurationError(f"Kafka did not make the topic {name!r}: error {code} {reason}")
        finally:
            await admin.close()

    async def _check_partitions(self) -> None:
        found = len(await self._producer.partitions_for(self.topology.name))
        if found != self.topology.partitions:
            raise ConfigurationError(
                f"the topic {self.topology.name!r} has {found} partitions, not {self.topology.partitions}; say "
                f"partitions={found}, or use another name"
            )


class _Progress:
    """How far a partition is acknowledged. Kafka remembers one offset only, so all before it must be done."""

    def __init__(self) -> None:
        self.outstanding = Outstanding()
        self.floor = 0
        """The offset of the first record that is not acknowledged."""
        self._open: dict[int, None] = {}
        self._committed = 0

    def begin(self, offset: int) -> None:
        """Note that the record at *offset* is delivered."""
        if not self._open:
            self.floor = max(self.floor, offset)
        self._open[offset] = None
        self._next = offset + 1
        self.outstanding.add()

    def end(self, offset: int) -> None:
        """Note that the record at *offset* is acknowledged."""
        if offset in self._open:
            del self._open[offset]
            self.floor = next(iter(self._open), self._next)
            self.outstanding.remove()

    def has_moved(self) -> bool:
        """Tell whether there is something to commit; asking says that it will be."""
        moved, self._committed = self.floor > self._committed, self.floor
        return moved


class _KafkaDelivery(Delivery):
    """A record that was read for this group."""

    def __init__(self, record: ConsumerRecord[bytes, bytes], progress: _Progress) -> None:
        self.body = record.value or b""
        self.count = 1
        self._offset = record.offset
        self._progress = progress
        progress.begin(record.offset)

    async def ack(self) -> None:
        self._progress.end(self._offset)


def _listener(broker: KafkaBroker) -> Any:
    """Return what Kafka tells when partitions come and go; the class is made here, since its base is aiokafka's."""
    from aiokafka.abc import ConsumerRebalanceListener

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no annotations
        def __init__(self) -> None:
            self.shared_out = asyncio.Event()

        async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
            await broker.finish(list(revoked))

        async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
            await broker.settle(list(assigned))
            self.shared_out.set()

    return Listener()


def _passing_errors() -> tuple[type[Exception], ...]:
    """Return the errors that Kafka's clients call worth another try."""
    from aiokafka import errors

    kinds: list[Any] = [each for each in vars(errors).values() if isinstance(each, type)]
    return tuple(each for each in kinds if issubclass(each, errors.KafkaError) and each.retriable)


def _aiokafka() -> KafkaClients:
    import aiokafka
    from aiokafka.admin import AIOKafkaAdminClient

    class Clients:
        AIOKafkaProducer = aiokafka.AIOKafkaProducer
        AIOKafkaConsumer = aiokafka.AIOKafkaConsumer

    Clients.AIOKafkaAdminClient = AIOKafkaAdminClient  # type: ignore[attr-defined]
    return Clients()  # type: ignore[return-value]
