"""WebSocket connections of a service: who is connected, in which rooms, and how all of them are told something.

A process holds its own connections. What is broadcast goes through a relay, which brings it to every process of the
service, also from workers and schedulers, which hold no connection at all::

    worker: use_ws_manager().broadcast("done") -> relay -> HTTP process 1 -> its connections
                                                        -> HTTP process 2 -> its connections
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from honeyhive.models.state import State
from honeyhive.runtime.execution import Execution

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from starlette.websockets import WebSocket

__all__ = ["Frame", "LocalRelay", "RedisRelay", "SocketConnection", "SocketManager", "SocketRelay", "Sockets"]

_NORMAL: Final = 1000
_TRY_AGAIN_LATER: Final = 1013


@dataclass(frozen=True, slots=True)
class Frame:
    """What connections are told.

    Attributes:
        data: Text or bytes; they arrive as what they are.
        room: Only connections in this room are told; all if ``None``.
    """

    data: str | bytes
    room: str | None = None

    def to_json(self) -> str:
        """Return what travels between processes."""
        if isinstance(self.data, str):
            return json.dumps({"room": self.room, "text": self.data})
        return json.dumps({"room": self.room, "bytes": base64.b64encode(self.data).decode()})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the frame that `to_json` wrote."""
        fields = json.loads(text)
        return cls(fields["text"] if "text" in fields else base64.b64decode(fields["bytes"]), fields["room"])


Deliver = Callable[[Frame], None]


class SocketRelay(Protocol):
    """Brings frames to every process of a service, in the order in which one process has sent them.

    Does not guarantee that a frame arrives: a process that is not connected at the moment misses it, as a client does
    that is not connected.
    """

    async def send(self, frame: Frame) -> None:
        """Bring *frame* to all processes, this one included."""

    async def run(self, deliver: Deliver) -> None:
        """Call *deliver* with every frame, until cancelled."""


class LocalRelay:
    """Brings frames to this process only: for services with one process."""

    def __init__(self) -> None:
        self._deliver: Deliver | None = None

    async def send(self, frame: Frame) -> None:
        """Bring *frame* to this process."""
        if self._deliver is not None:
            self._deliver(frame)

    async def run(self, deliver: Deliver) -> None:
        """Call *deliver* with every frame, until cancelled."""
        self._deliver = deliver
        try:
            await anyio.sleep_forever()
        finally:
            self._deliver = None


class RedisRelay:
    """Brings frames to every process through a channel of Redis.

    A lost connection is opened again; what is sent meanwhile is missed.

    Args:
        redis: A client, which stays yours.
        channel: The channel, the same in every process of the service.
        pause_s: How long to wait before a lost connection is opened again, in seconds.
    """

    def __init__(self, redis: Redis, *, channel: str = "honeyhive:sockets", pause_s: float = 0.5) -> None:
        self._redis: Any = redis
        self._channel = channel
        self._pause_s = pause_s

    async def send(self, frame: Frame) -> None:
        """Bring *frame* to all processes."""
        await self._redis.publish(self._channel, frame.to_json())

    async def run(self, deliver: Deliver) -> None:
        """Call *deliver* with every frame, until cancelled."""
        from redis.exceptions import ConnectionError as LostConnectionError

        while True:
            try:
                await self._listen(deliver)
            except LostConnectionError:
                await anyio.sleep(self._pause_s)

    async def _listen(self, deliver: Deliver) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as listener:
            await listener.subscribe(self._channel)
            async for message in listener.listen():
                deliver(Frame.from_json(message["data"]))


@dataclass(slots=True, eq=False)
class SocketConnection:
    """One connection, from its acceptance to its end.

    Attributes:
        rooms: The rooms it is in.
    """

    rooms: set[str]
    _waiting: MemoryObjectSendStream[str | bytes] = field(repr=False)
    _drop: Callable[[], None] = field(repr=False)

    def send(self, data: str | bytes) -> None:
        """Tell this connection *data*, in turn; a client that does not keep up is disconnected (code 1013)."""
        try:
            self._waiting.send_nowait(data)
        except anyio.WouldBlock:
            self._drop()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            # It has just ended.
            pass


class SocketManager:
    """Knows the connections of this process and reaches those of all, between entering and leaving it.

    Args:
        relay: Brings frames to the other processes.
        backlog: How many frames may wait for one client before it is disconnected.
    """

    def __init__(self, relay: SocketRelay, *, backlog: int = 256) -> None:
        self._relay = relay
        self._backlog = backlog
        self._connections: set[SocketConnection] = set()
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._relay.run, self.deliver)
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)

    @property
    def connections(self) -> frozenset[SocketConnection]:
        """The connections that this process holds at the moment."""
        return frozenset(self._connections)

    async def broadcast(self, data: str | bytes, *, room: str | None = None) -> None:
        """Tell all connections of the service, or those in *room*, in whatever process they are."""
        await self._relay.send(Frame(data, room))

    @asynccontextmanager
    async def connected(self, socket: WebSocket, *, rooms: Iterable[str] = ()) -> AsyncGenerator[SocketConnection]:
        """Accept *socket* and let it be told what is broadcast, as long as the block lasts.

        The block reads from the socket and ends when the client is gone. A client that does not keep up is
        disconnected; the block is cancelled then.
        """
        if self._tasks is None:
            raise RuntimeError("the socket manager is not running; enter it first, as the interceptor Sockets does")
        await socket.accept()
        sender, receiver = anyio.create_memory_object_stream[str | bytes](self._backlog)
        with anyio.CancelScope() as block:
            connection = SocketConnection(set(rooms), sender, block.cancel)
            written = anyio.Event()
            self._tasks.start_soon(_write, receiver, socket, written)
            self._connections.add(connection)
            try:
                async with sender:
                    yield connection
            finally:
                self._connections.discard(connection)
            await written.wait()
        if socket.client_state.name == socket.application_state.name == "CONNECTED":
            await socket.close(_TRY_AGAIN_LATER if block.cancelled_caught else _NORMAL)

    def deliver(self, frame: Frame) -> None:
        """Tell the connections of this process; for relays."""
        for connection in self.connections:
            if frame.room is None or frame.room in connection.rooms:
                connection.send(frame.data)


class SocketsState(State):
    """What `Sockets` puts into the scope."""

    manager: SocketManager


class Sockets:
    """The interceptor behind `use_ws_manager`.

    Args:
        relay: Brings broadcasts to the other processes of the service; to this one only if not given.
        backlog: How many frames may wait for one client before it is disconnected.
    """

    def __init__(self, relay: SocketRelay | None = None, *, backlog: int = 256) -> None:
        self._manager = SocketManager(relay or LocalRelay(), backlog=backlog)
        self._state = SocketsState(manager=self._manager)

    async def __aenter__(self) -> Self:
        await self._manager.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._manager.__aexit__(*error)

    def intercept(self, _: Execution) -> AbstractAsyncContextManager[SocketsState]:
        """Let the execution reach the connections."""
        return nullcontext(self._state)


async def _write(waiting: MemoryObjectReceiveStream[str | bytes], socket: WebSocket, written: anyio.Event) -> None:
    from starlette.websockets import WebSocketDisconnect

    try:
        async with waiting:
            async for data in waiting:
                await (socket.send_text(data) if isinstance(data, str) else socket.send_bytes(data))
    except (WebSocketDisconnect, RuntimeError):
        # The client is gone; the block that reads from the socket notices by itself.
        pass
    finally:
        written.set()
