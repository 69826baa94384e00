"""A bus on NATS JetStream: one stream, a subject for each partition, a durable pull consumer for each group and partition."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

from honeyhive.events.buses.broker import Broker, BuriedLetter, Deliver, Hear, Parcel, Topology
from honeyhive.events.buses.engine import EngineMessageBus
from honeyhive.events.buses.partitions import Leases, Outstanding, PartitionShare, first_of
from honeyhive.exceptions import ConfigurationError

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription
    from nats.js import JetStreamContext
    from nats.js.kv import KeyValue

__all__ = ["NATSBroker", "NATSMessageBus"]

_logger = logging.getLogger("honeyhive.events")

_BATCH = 100
_FREE = b"-"
_ANSWER_S = 5.0
_SHORT_REPLY = 9

Take: TypeAlias = "Callable[[Msg], Awaitable[None]]"
"""What takes a message that was pulled; waits while there is too much to do."""


class NATSMessageBus(EngineMessageBus):
    """A bus on NATS 2.9 or newer with JetStream; messages live in a stream until every group has handled them.

    Its *url* is ``nats://[user:password@]host[:port]``, or ``tls://``, several separated by commas; all else is as for every
    `EngineMessageBus`.
    """

    @staticmethod
    def _broker_at(url: str, topology: Topology) -> Broker:
        return NATSBroker(url, topology)


class NATSBroker(Broker):
    """JetStream, as one process of a group uses it.

    Args:
        url: Where NATS is.
        topology: The stream and the group.
    """

    system = "nats"

    def __init__(self, url: str, topology: Topology) -> None:
        from nats import errors

        self.topology = topology
        self.errors = (errors.Error, OSError, TimeoutError)
        self._servers = [each.strip() for each in url.split(",")]
        self._client: Client | None = None
        self._publisher: _Publisher | None = None
        self._in_hand: set[_NATSDelivery] = set()
        self._left_over: list[Msg] = []
        self._reconnected = asyncio.Event()

    async def connect(self, *, consuming: bool) -> None:
        import nats

        if self._client is None:
            async with asyncio.timeout(_ANSWER_S):
                self._client = await nats.connect(
                    self._servers,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.1,
                    connect_timeout=2,
                    error_cb=_tell,
                    reconnected_cb=self._note_reconnection,
                )
            self._publisher = await _Publisher.on(self._client)
        await self._make_stream()
        if consuming:
            await self._make_consumers()

    def send(self, parcel: Parcel) -> Awaitable[None]:
        headers = {"Nats-Msg-Id": parcel.id, "Content-Type": "application/cloudevents+json"}
        return self._sending.publish(self._subject(parcel.partition), parcel.body, headers)

    async def consume(self, deliver: Deliver, stopping: asyncio.Event) -> None:
        leases = await NATSLeases.on(self._stream, self.topology)

        async def read(partition: int, revoked: asyncio.Event) -> None:
            await self._read(partition, revoked, deliver)

        interval_s = self.topology.lease_s / 4
        share = PartitionShare(leases, self.topology.partitions, read, interval_s, self._give_back)
        keeping = asyncio.create_task(self._keep_in_hand())
        try:
            await share.run(stopping)
        finally:
            keeping.cancel()

    async def broadcast(self, body: bytes) -> None:
        if not self._connected.is_connected:
            raise ConnectionError("not connected to NATS")
        await self._connected.publish(self._broadcasts, body)

    async def listen(self, hear: Hear, begun: Callable[[], None]) -> None:
        async def receive(message: Msg) -> None:
            hear(message.data)

        client = self._connected
        subscription = await client.subscribe(self._broadcasts, cb=receive)
        try:
            await client.flush()
            begun()
            await asyncio.Event().wait()  # the client itself connects again, and subscribes again
        finally:
            with contextlib.suppress(*unreachable()):
                await subscription.unsubscribe()

    async def bury(self, letter: bytes) -> None:
        await self._sending.publish(self._graveyard, letter)

    async def letters(self, limit: int) -> Sequence[BuriedLetter]:
        from nats.js.errors import NotFoundError

        letters: list[BuriedLetter] = []
        following = 1
        while len(letters) < limit:
            try:
                found = await self._stream.get_msg(self._graveyard, seq=following, subject=self._graveyard, next=True)
            except NotFoundError:
                break
            letters.append(BuriedLetter(found.seq, found.data or b""))
            following = (found.seq or 0) + 1
        return letters

    async def discard(self, handle: Any) -> None:
        await self._stream.delete_msg(self._graveyard, handle)

    async def aclose(self) -> None:
        client, self._client, self._publisher = self._client, None, None
        if client is not None:
            await client.close()

    @property
    def _connected(self) -> Client:
        if self._client is None:
            raise ConnectionError("not connected to NATS")
        return self._client

    @property
    def _sending(self) -> _Publisher:
        if self._publisher is None:
            raise ConnectionError("not connected to NATS")
        return self._publisher

    @property
    def _stream(self) -> JetStreamContext:
        return self._connected.jetstream(timeout=_ANSWER_S)

    @property
    def _graveyard(self) -> str:
        return f"{self.topology.name}-{self.topology.group}-dead"

    @property
    def _broadcasts(self) -> str:
        # Not below the name: what is there is stored.
        return f"{self.topology.name}-broadcast"

    @property
    def _ack_wait_s(self) -> float:
        """How long after the last sign of life what a process has in hand is handed out again, in seconds."""
        return self.topology.lease_s / 2

    def _subject(self, partition: int) -> str:
        return f"{self.topology.name}.{partition}"

    def _consumer(self, partition: int) -> str:
        return f"{self.topology.group}-{partition}"

    async def _note_reconnection(self) -> None:
        self._reconnected.set()
        self._reconnected = asyncio.Event()

    async def _make_stream(self) -> None:
        """Make the stream, and see to it that all buses of this name agree on the number of partitions."""
        from nats.js.api import RetentionPolicy
        from nats.js.errors import NotFoundError

        name, wanted = self.topology.name, f"{self.topology.partitions} partitions"
        try:
            found = (await self._stream.stream_info(name)).config.description
        except NotFoundError:
            await self._stream.add_stream(
                name=name, description=wanted, subjects=[f"{name}.*"], retention=RetentionPolicy.INTEREST
            )
            return
        if found != wanted:
            raise ConfigurationError(
                f"the stream {name!r} has {found}, not {wanted}; say partitions=..., or use another name"
            )

    async def _make_consumers(self) -> None:
        from nats.js.api import AckPolicy, DeliverPolicy

        await self._stream.add_stream(name=self._graveyard, subjects=[self._graveyard])
        for partition in range(self.topology.partitions):
            await self._stream.add_consumer(
                self.topology.name,
                durable_name=self._consumer(partition),
                filter_subject=self._subject(partition),
                deliver_policy=DeliverPolicy.NEW,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=self._ack_wait_s,
                max_ack_pending=10_000,
            )

    async def _read(self, partition: int, revoked: asyncio.Event, deliver: Deliver) -> None:
        """Deliver what comes until the partition is *revoked*."""
        outstanding = Outstanding()
        patience_s = min(1.0, self.topology.lease_s / 8)
        pull = _Pull(self._connected, self.topology.name, self._consumer(partition), patience_s)

        def hand_out(message: Msg) -> Awaitable[None]:
            outstanding.add()
            return deliver(_NATSDelivery(message, outstanding, self._in_hand))

        await pull.start()
        try:
            for message in await self._left_behind(partition, pull, revoked):
                await hand_out(message)
            await pull.pass_on(hand_out, revoked, self._reconnected)
        finally:
            self._left_over += await pull.stop()
        await outstanding.wait_for_none()
        await self._give_back_what_is_left_over()

    async def _left_behind(self, partition: int, pull: _Pull, revoked: asyncio.Event) -> list[Msg]:
        """Return, in order, what was handed out to whoever read before and was not acknowledged, and what came meanwhile.

        The server hands such messages out again when they are due, in any order and among new ones. So everything is
        collected until nothing is in the hands of others any more.
        """
        clock, until_s = asyncio.get_running_loop(), self._ack_wait_s * 1.5
        began = clock.time()
        collected: list[Msg] = []
        while not revoked.is_set() and clock.time() - began < until_s:
            consumer = await self._stream.consumer_info(self.topology.name, self._consumer(partition))
            ours = len(collected) + sum(each.message.subject == self._subject(partition) for each in self._in_hand)
            missing = (consumer.num_ack_pending or 0) - ours
            if missing <= 0:
                break
            collected += await pull.some(missing, revoked, self._reconnected)
        return sorted(collected, key=_position)

    async def _give_back(self) -> None:
        """Have everything that is not acknowledged handed out again, in order."""
        self._left_over += [delivery.message for delivery in self._in_hand]
        self._in_hand.clear()
        await self._give_back_what_is_left_over()

    async def _give_back_what_is_left_over(self) -> None:
        messages, self._left_over = self._left_over, []
        for message in sorted(messages, key=_position):
            with contextlib.suppress(*unreachable()):
                await message.nak()

    async def _keep_in_hand(self) -> None:
        """Say of what is not acknowledged yet that we are still at it."""
        while True:
            await asyncio.sleep(self.topology.lease_s / 8)
            for delivery in list(self._in_hand):
                await delivery.keep()


class _Publisher:
    """Sends to JetStream, any number of messages at once; all answers come to one inbox.

    Args:
        client: The connection.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._numbers = itertools.count()
        # In the order in which they were sent, and so in that in which their time is over.
        self._unanswered: dict[str, _Answer] = {}
        self._loop = asyncio.get_running_loop()
        self._expiry: asyncio.TimerHandle | None = None

    @classmethod
    async def on(cls, client: Client) -> Self:
        """Return what sends over *client* and hears the answers."""
        publisher = cls(client)
        await client.subscribe(f"{publisher._inbox}.*", cb=publisher._receive)
        return publisher

    async def publish(self, subject: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Return when JetStream has a message safe.

        Raises:
            nats.errors.Error: It refused, or did not answer in time.
        """
        reply = f"{self._inbox}.{next(self._numbers)}"
        answer = self._loop.create_future()
        self._unanswered[reply] = _Answer(answer, self._loop.time() + _ANSWER_S)
        if self._expiry is None:
            self._expiry = self._loop.call_later(_ANSWER_S, self._expire)
        try:
            await self._client.publish(subject, body, reply, headers)
            await answer
        finally:
            del self._unanswered[reply]

    async def _receive(self, message: Msg) -> None:
        expected = self._unanswered.get(message.subject)
        if expected is None or expected.future.done():
            return
        if message.data and (b'"error"' not in message.data or "error" not in json.loads(message.data)):
            expected.future.set_result(None)
        else:
            expected.future.set_exception(_refusal(message.data))

    def _expire(self) -> None:
        """Give up on what was not answered in time, and look again when the next one's time is over."""
        from nats.errors import TimeoutError as NoAnswer

        self._expiry = None
        for future, until_s in self._unanswered.values():
            if until_s > self._loop.time():
                self._expiry = self._loop.call_at(until_s, self._expire)
                break
            if not future.done():
                future.set_exception(NoAnswer())


class _Answer(NamedTuple):
    """What JetStream is to say of a message.

    Attributes:
        future: Done when it has been said.
        until_s: When it must have been said, by the event loop's clock.
    """

    future: asyncio.Future[None]
    until_s: float


def _refusal(answer: bytes) -> Exception:
    """Return what JetStream has refused a message with in *answer*, which is empty where nobody listens."""
    from nats.js.errors import APIError, NoStreamResponseError

    return APIError(**json.loads(answer)["error"]) if answer else NoStreamResponseError()


class _Pull:
    """Asks a pull consumer for messages, a batch at a time. First they are collected, then passed on as they come.

    Args:
        client: The connection.
        stream: The stream.
        consumer: The durable consumer.
        patience_s: How long a request stands, in seconds.
    """

    def __init__(self, client: Client, stream: str, consumer: str, patience_s: float) -> None:
        self._client = client
        self._requests = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._request = json.dumps({"batch": _BATCH, "expires": round(patience_s * 1e9)}).encode()
        self._inbox = client.new_inbox()
        self._patience_s = patience_s
        self._collected: deque[Msg] = deque()
        self._take: Take | None = None
        self._is_passing = False
        self._failed = asyncio.Event()
        self._failure: Exception | None = None
        self._news = asyncio.Event()
        self._expected = 0
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begin to receive."""
        self._subscription = await self._client.subscribe(self._inbox, cb=self._receive)

    async def stop(self) -> list[Msg]:
        """Receive no more; return what was collected and neither asked for nor passed on.

        A request that still stands would have the server shuffle what is handed out again: so its end is awaited.
        """
        self._take = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s * 2):
                while self._expected > 0:
                    self._news.clear()
                    await self._news.wait()
        if self._subscription is not None:
            with contextlib.suppress(*unreachable()):
                await self._subscription.unsubscribe()
        return list(self._collected)

    async def some(self, most: int, revoked: asyncio.Event, reconnected: asyncio.Event) -> list[Msg]:
        """Collect messages and return them, at most so many; fewer if no more came for now."""
        found: list[Msg] = []
        while len(found) < most and (message := await self._next(revoked, reconnected)) is not None:
            found.append(message)
        return found

    async def pass_on(self, take: Take, revoked: asyncio.Event, reconnected: asyncio.Event) -> None:
        """Call *take* with each message, one after the other, until *revoked*; returns when its last call has."""
        while self._collected:
            await take(self._collected.popleft())
        self._take = take
        while not (revoked.is_set() or self._failed.is_set()):
            if self._expected <= 0:
                await self._ask()
            self._news.clear()
            await first_of(revoked, reconnected, self._failed, timeout_s=self._patience_s * 2)
            if not self._is_passing:
                self._forget_unanswered()
        self._take = None
        while self._is_passing:
            self._news.clear()
            await self._news.wait()
        if self._failure is not None:
            raise self._failure

    async def _next(self, revoked: asyncio.Event, reconnected: asyncio.Event) -> Msg | None:
        """Return the next message; ``None`` if none came for now, or the partition is *revoked*."""
        if self._collected:
            return self._collected.popleft()
        self._news.clear()
        if self._expected <= 0:
            await self._ask()
        await first_of(revoked, reconnected, self._news, timeout_s=self._patience_s * 2)
        if not revoked.is_set():
            self._forget_unanswered()
        return self._collected.popleft() if self._collected else None

    def _forget_unanswered(self) -> None:
        """Expect nothing of a request if nothing came: a server that restarted has forgotten it."""
        if not self._news.is_set():
            self._expected = 0

    async def _receive(self, message: Msg) -> None:
        if message.headers and "Status" in message.headers and not message.data:
            self._expected = 0
        else:
            self._expected -= 1
            if self._take is None:
                self._collected.append(message)
            else:
                self._is_passing = True
                try:
                    await self._take(message)
                except Exception as error:
                    # The client only tells of it; who reads the partition raises it, and all begins anew.
                    self._take, self._failure = None, error
                    self._failed.set()
                    raise
                finally:
                    self._is_passing = False
                    self._news.set()
        self._news.set()
        if self._expected <= 0 and self._take is not None:
            await self._ask()

    async def _ask(self) -> None:
        await self._client.publish(self._requests, self._request, reply=self._inbox)
        self._expected = _BATCH


class NATSLeases(Leases):
    """Who is alive, and who reads which partition, in keys that expire.

    Args:
        stream: The connection to JetStream.
        bucket: The keys.
        topology: The stream and the group.
    """

    def __init__(self, stream: JetStreamContext, bucket: KeyValue, topology: Topology) -> None:
        self._stream = stream
        self._bucket = bucket
        self._topology = topology
        self._revisions: dict[int, int] = {}

    @classmethod
    async def on(cls, stream: JetStreamContext, topology: Topology) -> Self:
        """Return the leases of a group, with the bucket made if there is none."""
        bucket = await stream.create_key_value(bucket=_bucket(topology), ttl=topology.lease_s, history=1)
        return cls(stream, bucket, topology)

    async def check_in(self) -> int:
        group, name = self._topology.group, _bucket(self._topology)
        await self._bucket.put(f"{group}.member.{self._topology.member}", b"")
        found = await self._stream.stream_info(f"KV_{name}", subjects_filter=f"$KV.{name}.{group}.member.*")
        return len(found.state.subjects or ())

    async def acquire(self, partition: int) -> bool:
        from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

        key = self._lease(partition)
        try:
            entry = await self._bucket.get(key)
        except KeyNotFoundError:
            entry = None
        if entry is not None and entry.value not in {_FREE, self._holder}:
            return False
        try:
            if entry is None:
                self._revisions[partition] = await self._bucket.create(key, self._holder)
            else:
                self._revisions[partition] = await self._bucket.update(key, self._holder, last=entry.revision)
        except KeyWrongLastSequenceError:
            return False
        return True

    async def renew(self, partition: int) -> bool:
        from nats.js.errors import KeyWrongLastSequenceError

        try:
            self._revisions[partition] = await self._bucket.update(
                self._lease(partition), self._holder, last=self._revisions[partition]
            )
        except KeyWrongLastSequenceError:
            return False
        return True

    async def release(self, partition: int) -> None:
        await self._bucket.update(self._lease(partition), _FREE, last=self._revisions.pop(partition))

    async def check_out(self) -> None:
        name = _bucket(self._topology)
        await self._stream.purge_stream(
            f"KV_{name}", subject=f"$KV.{name}.{self._topology.group}.member.{self._topology.member}"
        )

    @property
    def _holder(self) -> bytes:
        return self._topology.member.encode()

    def _lease(self, partition: int) -> str:
        return f"{self._topology.group}.lease.{partition}"


class _NATSDelivery:
    """A message that was pulled for this group: a `Delivery`."""

    __slots__ = ("_in_hand", "_outstanding", "body", "count", "message")

    def __init__(self, message: Msg, outstanding: Outstanding, in_hand: set[_NATSDelivery]) -> None:
        self.body = message.data
        self.count = _deliveries_of(message.reply)
        self.message = message
        self._outstanding = outstanding
        self._in_hand = in_hand
        in_hand.add(self)

    def ack(self) -> Awaitable[None]:
        self._in_hand.discard(self)
        self._outstanding.remove()
        return self.message.ack()

    async def keep(self) -> None:
        """Ask for more time."""
        with contextlib.suppress(*unreachable()):
            await self.message.in_progress()


def _deliveries_of(reply: str) -> int:
    """Return how often a message was handed out; what it is acknowledged to tells, in one of two forms."""
    tokens = reply.split(".")
    return int(tokens[4] if len(tokens) == _SHORT_REPLY else tokens[6])


def _position(message: Msg) -> int:
    """Return the place of *message* in the stream."""
    return message.metadata.sequence.stream


def _bucket(topology: Topology) -> str:
    return f"{topology.name}-leases"


def unreachable() -> tuple[type[Exception], ...]:
    from nats.errors import Error

    return (Error, OSError, TimeoutError)


async def _tell(error: Exception) -> None:
    _logger.info("NATS: %s", error)
