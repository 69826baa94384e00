"""WebSocket connections of a service: who is connected, in which rooms, and how all of them are told something.

A process holds its own connections. What is broadcast goes over the service's bus to every process, also from workers
and schedulers, which hold no connection at all::

    worker: use_ws_manager().broadcast("done") -> bus -> HTTP process 1 -> its connections
                                                      -> HTTP process 2 -> its connections
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self

import anyio
import anyio.from_thread
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from honeyhive.events import Broadcaster, InMemoryMessageBus, Message, MessageBus
from honeyhive.events.buses.delivery import runs_event_loop
from honeyhive.exceptions import DeclarationError
from honeyhive.models.state import State
from honeyhive.runtime.execution import Execution
from honeyhive.runtime.interceptors import Given

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["BusRelay", "Frame", "LocalRelay", "SocketConnection", "SocketManager", "SocketRelay", "Sockets"]

_NORMAL: Final = 1000
_TRY_AGAIN_LATER: Final = 1013
_FAREWELL_S: Final = 1.0
"""How long a client has to take what still waits for it, and again to take the reason why it is disconnected."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What connections are told.

    Attributes:
        data: Text or bytes; they arrive as what they are.
        room: Only connections in this room are told; all if ``None``.
    """

    data: str | bytes
    room: str | None = None


class FrameSent(Message, type="honeyhive.socket_frame", traced=False):
    """A frame on its way from one process to all: no step of the work that sends it, so it stays out of traces."""

    room: str | None
    text: str | None = None
    binary: bytes | None = None

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """Return the message that brings *frame*."""
        if isinstance(frame.data, str):
            return cls(room=frame.room, text=frame.data)
        return cls(room=frame.room, binary=frame.data)

    @property
    def frame(self) -> Frame:
        """What was sent."""
        return Frame(self.text or "" if self.binary is None else self.binary, self.room)


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


class BusRelay:
    """Brings frames to every process through a bus, as broadcasts.

    Args:
        bus: Lives in the event loop of the process, and stays yours.
    """

    def __init__(self, bus: Broadcaster) -> None:
        self._bus = bus

    async def send(self, frame: Frame) -> None:
        """Bring *frame* to all processes.

        Raises:
            PublishError: The engine cannot be reached now.
        """
        sent = self._bus.broadcast(FrameSent.of(frame))
        if inspect.isawaitable(sent):
            await sent

    async def run(self, deliver: Deliver) -> None:
        """Call *deliver* with every frame, until cancelled."""

        async def hear(message: FrameSent) -> None:
            deliver(message.frame)

        listener = self._bus.listen(FrameSent, hear)
        try:
            await anyio.sleep_forever()
        finally:
            listener.cancel()


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


class _Sent:
    """What has been sent already may be awaited too."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield  # makes it a generator, which is what Python awaits


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

    def broadcast(self, data: str | bytes, *, room: str | None = None) -> Awaitable[None]:
        """Tell all connections of the service, or those in *room*, in whatever process they are.

        On a worker thread, where plain methods run, it need not be awaited and blocks instead.
        """
        frame = Frame(data, room)
        if runs_event_loop():
            return self._relay.send(frame)
        anyio.from_thread.run(self._relay.send, frame)
        return _Sent()

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
            writing = _Writing()
            self._tasks.start_soon(writing.write, receiver, socket)
            self._connections.add(connection)
            try:
                async with sender:
                    yield connection
                with anyio.move_on_after(_FAREWELL_S):
                    await writing.is_done.wait()
            finally:
                self._connections.discard(connection)
                writing.scope.cancel()
        if socket.client_state.name == socket.application_state.name == "CONNECTED":
            with anyio.move_on_after(_FAREWELL_S):
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

    Declared as a class, ``interceptors=[Sockets]``, it is given the bus that the service provides, and broadcasts reach
    the connections of all its processes. An instance without a bus, ``Sockets()``, reaches those of its own process.

    Args:
        bus: Brings broadcasts to the other processes of the service.
        relay: Brings them in another way.
        backlog: How many frames may wait for one client before it is disconnected.

    Raises:
        DeclarationError: The bus cannot broadcast.
    """

    def __init__(self, bus: MessageBus | None = None, relay: SocketRelay | None = None, *, backlog: int = 256) -> None:
        self._manager = SocketManager(relay or _relay_over(bus), backlog=backlog)
        self._given = Given(SocketsState(manager=self._manager))

    async def __aenter__(self) -> Self:
        await self._manager.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._manager.__aexit__(*error)

    def intercept(self, _: Execution) -> AbstractAsyncContextManager[object]:
        """Let the execution reach the connections."""
        return self._given


def _relay_over(bus: MessageBus | None) -> SocketRelay:
    if bus is None or isinstance(bus, InMemoryMessageBus):
        # Such a bus reaches its own process only, too, and calls nothing inside an event loop.
        return LocalRelay()
    if not isinstance(bus, Broadcaster):
        raise DeclarationError(
            f"Sockets: a {type(bus).__name__} does not broadcast; give it the methods of Broadcaster, or declare "
            "Sockets(relay=...), with LocalRelay() where there is one process only"
        )
    return BusRelay(bus)


class _Writing:
    """Tells one client what waits for it.

    Attributes:
        scope: Ends it, when cancelled, in the midst of what the client does not take.
        is_done: Set when there is nothing more to tell.
    """

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.is_done = anyio.Event()

    async def write(self, waiting: MemoryObjectReceiveStream[str | bytes], socket: WebSocket) -> None:
        """Tell *socket* all of *waiting*, until that is closed."""
        from starlette.websockets import WebSocketDisconnect

        try:
            with self.scope:
                async with waiting:
                    async for data in waiting:
                        await (socket.send_text(data) if isinstance(data, str) else socket.send_bytes(data))
        except (WebSocketDisconnect, RuntimeError):
            # The client is gone; the block that reads from the socket notices by itself.
            pass
        finally:
            self.is_done.set()
