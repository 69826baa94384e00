"""Publishing what was saved: the relay of an outbox.

An event that is published after it was saved is lost when the process dies in between; one that is published before may
be of something that never came to be. A relay reads what is committed and publishes it, each message at least once and
in order, for as long as it takes::

    with Projector(StoreSource(store), Relay(bus, FileCheckpoints("relay.json"))):
        ...

The store itself is the outbox of its events. Messages that are no events wait in `honeyhive.events.SQLOutbox`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from honeyhive.events.bus import MessageBus
from honeyhive.events.checkpoints import AsyncCheckpoints, Checkpoints
from honeyhive.events.following import Sink
from honeyhive.events.messages import Message
from honeyhive.events.steps import Steps, run, run_async
from honeyhive.events.store import RecordedEvent
from honeyhive.exceptions import PublishError, StoreUnavailableError

__all__ = ["AsyncRelay", "Relay"]


def _all(_: Message) -> bool:
    return True


class _Relaying:
    """What blocking and asynchronous relays have in common: all but the waiting."""

    def __init__(
        self,
        name: str,
        bus: MessageBus,
        checkpoints: Checkpoints | AsyncCheckpoints,
        wanted: Callable[[Message], bool],
    ) -> None:
        self.name = name
        self._bus = bus
        self._checkpoints = checkpoints
        self._wanted = wanted
        self._published: int | None = None

    def position(self) -> Steps[int | None]:
        self._published = yield self._checkpoints.load(self.name)
        return self._published

    def apply(self, records: Sequence[RecordedEvent]) -> Steps[None]:
        try:
            for record in records:
                if self._published is None or record.position > self._published:
                    yield from self._publish(record)
                    self._published = record.position
        except Exception:
            # What was published before the failure is not published again for that.
            yield self._checkpoints.save(self.name, self._published)
            raise
        yield self._checkpoints.save(self.name, self._published)

    def _publish(self, record: RecordedEvent) -> Steps[None]:
        for message in record.events:
            if self._wanted(message):
                yield self._bus.publish(message)

    def move(self, position: int | None) -> Steps[None]:
        self._published = position
        yield self._checkpoints.save(self.name, position)


class Relay(Sink[RecordedEvent, int]):
    """Publishes what a store has saved, as a sink of the projection engine.

    A handler that fails on a bus in memory makes its message one that is passed over and told, a broker that is away one
    that is tried again until it is taken.

    Args:
        bus: Where to publish.
        checkpoints: Where to keep how far it is.
        name: Under which name; two relays of one store have two.
        wanted: Tells which messages to publish; all by default.
    """

    outages: tuple[type[Exception], ...] = (PublishError, StoreUnavailableError, OSError)

    def __init__(
        self,
        bus: MessageBus,
        checkpoints: Checkpoints,
        *,
        name: str = "relay",
        wanted: Callable[[Message], bool] = _all,
    ) -> None:
        self._relaying = _Relaying(name, bus, checkpoints, wanted)

    @property
    def name(self) -> str:
        """What it is called in reports, and under which its position is kept."""
        return self._relaying.name

    def open(self) -> object:
        return None

    def position(self) -> int | None:
        return run(self._relaying.position())

    def apply(self, records: Sequence[RecordedEvent]) -> object:
        return run(self._relaying.apply(records))

    def bury(self, record: RecordedEvent, error: Exception) -> object:  # noqa: ARG002 -- the engine has told it
        return run(self._relaying.move(record.position))

    def reset(self) -> object:
        return run(self._relaying.move(None))

    def close(self) -> object:
        return None


class AsyncRelay(Sink[RecordedEvent, int]):
    """`Relay` for an asynchronous bus, a sink of `honeyhive.events.AsyncProjector`.

    Args:
        bus: Where to publish.
        checkpoints: Where to keep how far it is.
        name: Under which name; two relays of one store have two.
        wanted: Tells which messages to publish; all by default.
    """

    outages: tuple[type[Exception], ...] = (PublishError, StoreUnavailableError, OSError)

    def __init__(
        self,
        bus: MessageBus,
        checkpoints: AsyncCheckpoints | Checkpoints,
        *,
        name: str = "relay",
        wanted: Callable[[Message], bool] = _all,
    ) -> None:
        self._relaying = _Relaying(name, bus, checkpoints, wanted)

    @property
    def name(self) -> str:
        """What it is called in reports, and under which its position is kept."""
        return self._relaying.name

    def open(self) -> object:
        return None

    async def position(self) -> int | None:
        return await run_async(self._relaying.position())

    async def apply(self, records: Sequence[RecordedEvent]) -> Any:
        await run_async(self._relaying.apply(records))

    async def bury(self, record: RecordedEvent, error: Exception) -> Any:  # noqa: ARG002 -- the engine has told it
        await run_async(self._relaying.move(record.position))

    async def reset(self) -> Any:
        await run_async(self._relaying.move(None))

    def close(self) -> object:
        return None
