"""What the buses on Redis, NATS and RabbitMQ have in common: an address, a name, and a place in a group."""

from __future__ import annotations

from abc import abstractmethod
from typing import Unpack

from honeyhive.events.buses.broker import Broker, Topology, new_member
from honeyhive.events.buses.brokered import BrokerMessageBus, BusOptions

__all__ = ["EngineMessageBus"]


class EngineMessageBus(BrokerMessageBus):
    """A bus that is told where its engine is, and who it is there.

    Args:
        url: Where the engine is.
        name: The stream; buses of the same name reach one another.
        group: Who shares the work: each message goes to one process of each group.
        member: The name of this process within the group; made of host, process and chance by default.
        partitions: How many processes can share the work at most; the same for all buses of that name, for good.
        lease_s: How long after its last sign of life the work of a process goes to others, in seconds.
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
        **options: Unpack[BusOptions],
    ) -> None:
        topology = Topology(name, group, member or new_member(), partitions, lease_s)
        super().__init__(self._broker_at(url, topology), **options)

    @staticmethod
    @abstractmethod
    def _broker_at(url: str, topology: Topology) -> Broker:
        """Return the engine at *url*, as this process uses it."""
