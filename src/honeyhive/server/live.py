"""The live tail: what has just become readable, for those who watch.

======  ==============================  ==========================================================================
WS      ``/v1/live``                    ``{"spans": [...], "omitted": 0}`` as spans become readable, at most 100 at
                                        a time, without payloads; ``?project= &session_id= &trace_id=``
======  ==============================  ==========================================================================

A worker tells all HTTP processes, each tells those who are connected to it. Who is away misses what happens meanwhile: the
lists of ``/v1/traces`` have everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeAlias, cast

from starlette.websockets import WebSocket

from honeyhive.events import Broadcaster, Event
from honeyhive.runtime import use_ws_manager, websocket
from honeyhive.runtime.sockets import SocketConnection
from honeyhive.server import jsontext
from honeyhive.server.records import Row
from honeyhive.utils.guard import guard

__all__ = ["Live", "SpansReadable", "Teller", "Watchers"]

_MOST_SPANS: Final = 100
"""What a person can follow; the rest is counted."""
_FILTERS: Final = ("project", "session_id", "trace_id")
_UNSEEN: Final = frozenset({"details", "session_name"})

Shown: TypeAlias = Mapping[str, object]


class SpansReadable(Event):
    """Spans have become readable.

    Attributes:
        spans: JSON of a list of them; as text it crosses the bus unread.
        omitted: How many more there were.
    """

    spans: str
    omitted: int = 0


class Teller:
    """Tells all processes what has become readable.

    Args:
        bus: Brings it to them.
    """

    def __init__(self, bus: Broadcaster) -> None:
        self._bus = bus
        self._waiting: asyncio.Queue[SpansReadable] = asyncio.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None

    def tell(self, rows: Sequence[Row]) -> None:
        """Tell *rows*, while `at_work`; from any thread."""
        if self._loop is None or not rows:
            return
        spans = [_shown(row) for row in rows[-_MOST_SPANS:]]
        message = SpansReadable(spans=jsontext.dumps(spans).decode(), omitted=len(rows) - len(spans))
        self._loop.call_soon_threadsafe(self._waiting.put_nowait, message)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Pass on what is told, as long as the block lasts."""
        self._loop = asyncio.get_running_loop()
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._loop = None
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while True:
            message = await self._waiting.get()
            # Whoever is not told sees it in the next list; news that cannot be told at once are none any more.
            with guard("tell what is readable"):
                await self._bus.broadcast(message)


class Watchers:
    """Who watches in this process, and what for."""

    def __init__(self) -> None:
        self._wanted: dict[SocketConnection, Mapping[str, str]] = {}

    @contextmanager
    def watching(self, connection: SocketConnection, wanted: Mapping[str, str]) -> Iterator[None]:
        """Tell *connection* of spans that have the values *wanted*, as long as the block lasts."""
        self._wanted[connection] = wanted
        try:
            yield
        finally:
            del self._wanted[connection]

    async def hear(self, message: SpansReadable) -> None:
        """Pass *message* on to those who want something of it."""
        if not self._wanted:
            return
        spans = cast("list[Shown]", jsontext.loads(message.spans))
        for connection, wanted in tuple(self._wanted.items()):
            chosen = [span for span in spans if all(span[name] == value for name, value in wanted.items())]
            # What was omitted is not known, so it may be theirs.
            if chosen or message.omitted:
                connection.send(jsontext.dumps({"spans": chosen, "omitted": message.omitted}).decode())


class Live:
    """Holds the connections of those who watch.

    Args:
        watchers: Remembers them.
    """

    def __init__(self, watchers: Watchers) -> None:
        self._watchers = watchers

    @websocket("/v1/live")
    async def watch(self, socket: WebSocket) -> None:
        """Tell a client of spans until it hangs up; what it says is passed over."""
        wanted = {name: socket.query_params[name] for name in _FILTERS if socket.query_params.get(name)}
        async with use_ws_manager().connected(socket) as connection:
            with self._watchers.watching(connection, wanted):
                async for _ in socket.iter_text():
                    pass


def _shown(row: Row) -> Shown:
    return {name: getattr(row, name) for name in Row.__slots__ if name not in _UNSEEN}
