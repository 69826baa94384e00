"""A bus on RabbitMQ: one exchange, and a quorum queue for each group and partition, read by one process at a time."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from honeyhive.events.buses.broker import Broker, BuriedLetter, Deliver, Delivery, Hear, Parcel, Topology
from honeyhive.events.buses.engine import EngineMessageBus
from honeyhive.events.buses.partitions import Leases, Outstanding, PartitionShare, first_of
from honeyhive.exceptions import ConfigurationError

if TYPE_CHECKING:
    from aio_pika.abc import (
        AbstractChannel,
        AbstractConnection,
        AbstractExchange,
        AbstractIncomingMessage,
    )
    from pamqp.common import FieldTable

__all__ = ["RabbitMQBroker", "RabbitMQMessageBus"]

_ANSWER_S = 10.0
_LOOK_S = 1.0
_PREFETCH = 100
_ALL = 1_000_000
_BACKLOG = 10_000

# A bus gives a message up much earlier; this one holds also where no process lives long enough to do so.
_DELIVERY_LIMIT = 100


class RabbitMQMessageBus(EngineMessageBus):
    """A bus on RabbitMQ 3.8 or newer; each group has quorum queues of its own.

    Its *url* is ``amqp://[user:password@]host[:port][/virtual host]``, or ``amqps://`` with TLS; *name* is that of the
    exchange. That a process has died RabbitMQ notices by itself: four times in *lease_s* seconds the processes look whether
    the work is shared fairly. All else is as for every `EngineMessageBus`.
    """

    @staticmethod
    def _broker_at(url: str, topology: Topology) -> Broker:
        return RabbitMQBroker(url, topology)


class RabbitMQBroker(Broker):
    """RabbitMQ, as one process of a group uses it.

    Args:
        url: Where RabbitMQ is.
        topology: The exchange and the group.
    """

    system = "rabbitmq"

    def __init__(self, url: str, topology: Topology) -> None:
        from aio_pika import exceptions

        self.topology = topology
        self.errors = (exceptions.AMQPError, exceptions.ChannelInvalidStateError, OSError, TimeoutError)
        self._url = url
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._broadcasts: AbstractExchange | None = None
        self._is_settled = False
        # Keeps publishers and readers from each making a connection of their own.
        self._connecting = asyncio.Lock()

    async def connect(self, *, consuming: bool) -> None:
        await self._connected()
        if consuming:
            await self._make_queues()

    async def send(self, parcel: Parcel) -> None:
        from aio_pika import DeliveryMode, Message

        await self._connected()
        message = Message(
            parcel.body,
            content_type="application/cloudevents+json",
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=parcel.id,
        )
        if self._exchange is not None:
            await self._exchange.publish(message, str(parcel.partition), mandatory=False, timeout=_ANSWER_S)

    async def consume(self, deliver: Deliver, stopping: asyncio.Event) -> None:
        leases = RabbitMQLeases(await self._connected(), self.topology)

        async def read(partition: int, revoked: asyncio.Event) -> None:
            await leases.held[partition].read(revoked, deliver)

        try:
            await PartitionShare(leases, self.topology.partitions, read, self.topology.lease_s / 4).run(stopping)
        finally:
            await leases.close()

    async def broadcast(self, body: bytes) -> None:
        from aio_pika import Message

        await self._connected()
        if self._broadcasts is not None:
            message = Message(body, content_type="application/cloudevents+json")
            await self._broadcasts.publish(message, "", mandatory=False, timeout=_ANSWER_S)

    async def listen(self, hear: Hear, begun: Callable[[], None]) -> None:
        async def receive(message: AbstractIncomingMessage) -> None:
            hear(message.body)

        async with (await self._connected()).channel() as channel:
            closed = asyncio.Event()
            channel.close_callbacks.add(lambda *_: closed.set())
            # A process that stands still must not have the engine keep more and more for it.
            limits: FieldTable = {"x-max-length": _BACKLOG, "x-overflow": "drop-head"}
            queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments=limits)
            await queue.bind(_broadcasts(self.topology))
            await queue.consume(receive, no_ack=True)
            begun()
            await closed.wait()
            raise ConnectionError("RabbitMQ has closed the channel")

    async def bury(self, letter: bytes) -> None:
        from aio_pika import DeliveryMode, Message

        await self._connected()
        message = Message(letter, delivery_mode=DeliveryMode.PERSISTENT, message_id=secrets.token_hex(16))
        if self._channel is not None:
            await self._channel.default_exchange.publish(message, graveyard(self.topology), timeout=_ANSWER_S)

    async def letters(self, limit: int) -> Sequence[BuriedLetter]:
        # What a channel has taken and not acknowledged goes back to its place when the channel is closed.
        async with (await self._connected()).channel() as channel:
            return [_letter(message) for message in await self._taken(channel, limit)]

    async def discard(self, handle: Any) -> None:
        async with (await self._connected()).channel() as channel:
            for message in await self._taken(channel, _ALL):
                if message.message_id == handle:
                    await message.ack()

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connected(self) -> AbstractConnection:
        if (connection := self._alive()) is not None:
            return connection
        async with self._connecting:
            return self._alive() or await self._connected_anew()

    def _alive(self) -> AbstractConnection | None:
        """Return the connection, if it and the channel over it are in order."""
        if self._is_settled and self._connection is not None and self._channel is not None:
            return None if self._connection.is_closed or self._channel.is_closed else self._connection
        return None

    async def _connected_anew(self) -> AbstractConnection:
        import aio_pika
        from aio_pika import ExchangeType

        self._is_settled = False
        if self._connection is not None:
            await self._connection.close()
        self._connection = await aio_pika.connect(self._url, timeout=_ANSWER_S)
        self._channel = await self._connection.channel()
        self._exchange = await self._channel.declare_exchange(self.topology.name, durable=True)
        self._broadcasts = await self._channel.declare_exchange(
            _broadcasts(self.topology), ExchangeType.FANOUT, durable=True
        )
        await self._settle_partitions(self._connection)
        self._is_settled = True
        return self._connection

    async def _settle_partitions(self, connection: AbstractConnection) -> None:
        """See to it that all buses of this name agree on the number of partitions: otherwise keys would lose their order.

        A queue that is never used notes it: RabbitMQ refuses to declare the same one with another length.
        """
        from aio_pika.exceptions import ChannelPreconditionFailed

        name, wanted = self.topology.name, self.topology.partitions
        channel = await connection.channel()
        try:
            await channel.declare_queue(f"{name}.partitions", durable=True, arguments={"x-max-length": wanted})
        except ChannelPreconditionFailed as error:
            raise ConfigurationError(
                f"the exchange {name!r} does not have {wanted} partitions; say partitions=..., or use another name "
                f"({error})"
            ) from error
        await channel.close()

    async def _make_queues(self) -> None:
        """Make the queues of the group; bound to the exchange, they hold what is published from here on."""
        async with (await self._connected()).channel() as channel:
            await channel.declare_queue(graveyard(self.topology), durable=True)
            for partition in range(self.topology.partitions):
                queue = await channel.declare_queue(
                    queue_name(self.topology, partition),
                    durable=True,
                    arguments={
                        "x-queue-type": "quorum",
                        "x-delivery-limit": _DELIVERY_LIMIT,
                        "x-dead-letter-exchange": "",
                        "x-dead-letter-routing-key": graveyard(self.topology),
                    },
                )
                await queue.bind(self.topology.name, str(partition))

    async def _taken(self, channel: AbstractChannel, limit: int) -> list[AbstractIncomingMessage]:
        """Take the oldest letters out of the queue, at most *limit*."""
        queue = await channel.declare_queue(graveyard(self.topology), durable=True)
        taken: list[AbstractIncomingMessage] = []
        while len(taken) < limit and (message := await queue.get(fail=False)) is not None:
            taken.append(message)
        return taken


class RabbitMQLeases(Leases):
    """Who is alive, and who reads which partition: whose connection holds an exclusive queue that stands for it.

    That the consumers of quorum queues can be exclusive is no help: two that come at once can both be (seen with 3.10).

    Args:
        connection: The connection; all leases end with it.
        topology: The exchange and the group.

    Attributes:
        held: What reads the partitions that are ours.
    """

    def __init__(self, connection: AbstractConnection, topology: Topology) -> None:
        self._connection = connection
        self._topology = topology
        self._roll_call: AbstractChannel | None = None
        self.held: dict[int, _QueueReader] = {}

    async def check_in(self) -> int:
        if self._roll_call is None:
            self._roll_call = await self._connection.channel()
            queue = await self._roll_call.declare_queue(self._members, auto_delete=True)
            await queue.consume(_nothing)
        queue = await self._roll_call.declare_queue(self._members, auto_delete=True)
        return queue.declaration_result.consumer_count or 1

    async def acquire(self, partition: int) -> bool:
        from aiormq.exceptions import ChannelLockedResource

        channel = await self._connection.channel()
        try:
            await channel.declare_queue(self._lease(partition), exclusive=True)
        except ChannelLockedResource:
            return False
        await channel.set_qos(prefetch_count=_PREFETCH)
        reader = self.held[partition] = _QueueReader(channel)
        await reader.start(queue_name(self._topology, partition))
        return True

    async def renew(self, partition: int) -> bool:
        return not self.held[partition].is_closed

    async def release(self, partition: int) -> None:
        await self.held.pop(partition).close()
        async with self._connection.channel() as channel:
            await channel.queue_delete(self._lease(partition))

    async def check_out(self) -> None:
        if self._roll_call is not None:
            await self._roll_call.close()
            self._roll_call = None

    async def close(self) -> None:
        """Read nothing any more."""
        for partition in list(self.held):
            await self.held.pop(partition).close()

    @property
    def _members(self) -> str:
        return f"{self._topology.name}.{self._topology.group}.members"

    def _lease(self, partition: int) -> str:
        return f"{self._topology.name}.{self._topology.group}.{partition}.lease"


class _QueueReader:
    """Reads one queue over a channel of its own; what is not acknowledged when it closes goes back to its place.

    Args:
        channel: The channel, which this closes.
    """

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._arrived: deque[AbstractIncomingMessage] = deque()
        self._news = asyncio.Event()
        channel.close_callbacks.add(self._wake_up)

    @property
    def is_closed(self) -> bool:
        """Whether nothing will come any more."""
        return self._channel.is_closed

    async def start(self, queue: str) -> None:
        """Begin to receive what is in *queue*."""
        found = await self._channel.get_queue(queue, ensure=False)
        await found.consume(self._receive)

    async def read(self, revoked: asyncio.Event, deliver: Deliver) -> None:
        """Deliver what comes until the partition is *revoked*."""
        outstanding, watching = Outstanding(), asyncio.create_task(self._watch(revoked))
        try:
            while not revoked.is_set():
                self._news.clear()
                if self._arrived:
                    outstanding.add()
                    await deliver(_RabbitMQDelivery(self._arrived.popleft(), outstanding))
                elif self.is_closed:
                    raise ConnectionError("RabbitMQ has closed the channel")
                else:
                    await self._news.wait()
        finally:
            watching.cancel()
        # To cease to be the consumer now would let in the next one before what it must not overtake is acknowledged.
        await outstanding.wait_for_none()

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def _watch(self, revoked: asyncio.Event) -> None:
        """Have `read` look now and then whether the channel is closed, and when *revoked*."""
        while not revoked.is_set():
            await first_of(revoked, timeout_s=_LOOK_S)
            self._news.set()

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        self._arrived.append(message)
        self._news.set()

    def _wake_up(self, *_: object) -> None:
        self._news.set()


class _RabbitMQDelivery(Delivery):
    """A message that was read for this group."""

    def __init__(self, message: AbstractIncomingMessage, outstanding: Outstanding) -> None:
        earlier = message.headers.get("x-delivery-count", 0)
        self.body = message.body
        self.count = 1 + (earlier if isinstance(earlier, int) else 0)
        self._message = message
        self._outstanding = outstanding

    async def ack(self) -> None:
        await self._message.ack()
        self._outstanding.remove()


def queue_name(topology: Topology, partition: int) -> str:
    """Return the name of the queue that holds a partition for a group."""
    return f"{topology.name}.{topology.group}.{partition}"


def graveyard(topology: Topology) -> str:
    """Return the name of the queue that holds the dead letters of a group."""
    return f"{topology.name}.{topology.group}.dead"


def _broadcasts(topology: Topology) -> str:
    """Return the name of the exchange that broadcasts go through."""
    return f"{topology.name}.broadcast"


def _letter(message: AbstractIncomingMessage) -> BuriedLetter:
    reason = message.headers.get("x-first-death-reason")
    return BuriedLetter(message.message_id, message.body, f"RabbitMQ gave it up: {reason!s}" if reason else "")


async def _nothing(_: AbstractIncomingMessage) -> None:
    """Handle what comes to the queue that only counts the members: nothing."""
