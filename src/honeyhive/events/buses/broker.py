"""What an engine must be able to do so that a bus can stand on it.

An engine keeps messages in partitions. A message goes to the partition that its key selects, and a partition is read by
one process of a group at a time: so messages with the same key stay in order, however many processes share the work.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

from honeyhive.exceptions import ConfigurationError

__all__ = ["Broker", "BuriedLetter", "Deliver", "Delivery", "Hear", "Parcel", "Topology", "new_member"]


def new_member() -> str:
    """Return a name for this process that no other process of the group has."""
    host = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:50]
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Topology:
    """Which stream a bus is about, and who shares its work.

    Attributes:
        name: The stream; buses of the same name reach one another.
        group: Who shares the work: each message goes to one process of each group.
        member: This process within the group.
        partitions: How many there are; the same for all buses of that name.
        lease_s: How long after its last sign of life a process loses its partitions to others, in seconds.
    """

    name: str
    group: str
    member: str
    partitions: int
    lease_s: float

    def __post_init__(self) -> None:
        for what in ("name", "group", "member"):
            value = getattr(self, what)
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", value):
                raise ConfigurationError(
                    f"{what} is {value!r}; write letters, digits, hyphens and underscores, at most 100"
                )
        if self.partitions < 1:
            raise ConfigurationError(f"partitions is {self.partitions}; there is at least 1")
        if self.lease_s <= 0:
            raise ConfigurationError(f"lease_s is {self.lease_s}; it must be more than zero seconds")

    def partition_of(self, key: str) -> int:
        """Return the partition that *key* selects; the same in every process and every release."""
        return zlib.crc32(key.encode()) % self.partitions


class Parcel(NamedTuple):
    """A message on its way to an engine.

    Attributes:
        id: The message's id; engines that can use it to recognise a repetition.
        key: What selects the partition.
        partition: The partition.
        body: The message as the JSON of a CloudEvent.
    """

    id: str
    key: str
    partition: int
    body: bytes


class Delivery(Protocol):
    """A message that an engine has handed out and will hand out again unless it is acknowledged.

    Attributes:
        body: What was sent.
        count: How often it was handed out, this time included, as far as the engine knows.
    """

    body: bytes
    count: int

    def ack(self) -> Awaitable[None]:
        """Say that it need not be handed out again."""
        ...


@dataclass(frozen=True, slots=True)
class BuriedLetter:
    """A dead letter as an engine keeps it.

    Attributes:
        handle: What the engine knows it by.
        body: What was buried.
        reason: Why the engine itself has put it there; empty for what a bus has buried.
    """

    handle: Any
    body: bytes
    reason: str = ""


Deliver: TypeAlias = Callable[[Delivery], Awaitable[None]]
"""What an engine gives deliveries to, those of a partition in order; waits while there is too much to do."""


Hear: TypeAlias = Callable[[bytes], None]
"""What an engine gives broadcasts to, in order; never waits."""


class Broker(Protocol):
    """An engine, as one process of a group uses it. For one event loop of asyncio.

    Attributes:
        system: What OpenTelemetry calls it.
        topology: The stream and the group.
        errors: What its methods raise when the engine cannot be reached; each may then be called again.
    """

    system: str
    topology: Topology
    errors: tuple[type[Exception], ...]

    async def connect(self, *, consuming: bool) -> None:
        """Connect and make what must exist; with *consuming*, what is sent from here on reaches this group."""
        ...

    def send(self, parcel: Parcel) -> Awaitable[None]:
        """Return when the engine has *parcel* safe."""
        ...

    async def consume(self, deliver: Deliver, stopping: asyncio.Event) -> None:
        """Deliver what comes until *stopping* is set; then return when all that was delivered is acknowledged."""
        ...

    async def broadcast(self, body: bytes) -> None:
        """Return when *body* is on its way to all who listen at this moment, behind what was broadcast here before."""
        ...

    async def listen(self, hear: Hear, begun: Callable[[], None]) -> None:
        """Call *hear* with what is broadcast, until cancelled; call *begun* when nothing is missed from here on.

        A connection that is lost may be an error: then this is called again.
        """
        ...

    async def bury(self, letter: bytes) -> None:
        """Keep a dead letter of this group."""
        ...

    async def letters(self, limit: int) -> Sequence[BuriedLetter]:
        """Return the oldest dead letters of this group, at most *limit*; they stay."""
        ...

    async def discard(self, handle: Any) -> None:
        """Forget the dead letter that has *handle*."""
        ...

    async def aclose(self) -> None:
        """Disconnect. What is not acknowledged will be handed out again, here or elsewhere."""
        ...
