"""The live tail: what has just become readable, for those who watch.

======  ==============================  ==========================================================================
WS      ``/v1/live``                    ``{"spans": [...], "omitted": 0}`` as spans become readable, at most 100 at
                                        a time, without payloads, of long texts the beginning;
                                        ``?project= &session_id= &trace_id=``
======  ==============================  ==========================================================================

A worker tells all HTTP processes, each tells those who are connected to it. Who is away misses what happens meanwhile: the
lists of ``/v1/traces`` have everything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeAlias, cast

from starlette.websockets import WebSocket

from honeyhive.events import Broadcaster, Event
from honeyhive.runtime import use_ws_manager, websocket
from honeyhive.runtime.sockets import SocketConnection
from honeyhive.server import jsontext
from honeyhive.server.reading.watching import TRY_AGAIN_LATER
from honeyhive.server.records.rows import Row
from honeyhive.utils.guard import guard

__all__ = ["Live", "SpansReadable", "Teller", "Watchers"]

_MOST_SPANS: Final = 100
"""What a person can follow; the rest is counted."""
_FILTERS: Final = ("project", "session_id", "trace_id")
_UNSEEN: Final = frozenset({"details", "session_name"})
_TEXTS: Final = frozenset({"name", "error", "model", "provider", "source"})
_LONGEST_TEXT: Final = 200
"""Characters: an error may be as long as an attribute, and messages must fit through every bus and to every client."""

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

    Where spans come faster than the bus takes them, the newest are told and the others counted.

    Args:
        bus: Brings it to them.
    """

    def __init__(self, bus: Broadcaster) -> None:
        self._bus = bus
        self._newest: deque[Shown] = deque(maxlen=_MOST_SPANS)
        self._count = 0
        self._has_news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def tell(self, rows: Sequence[Row]) -> None:
        """Tell *rows*, while `at_work`; from any thread."""
        loop = self._loop
        if loop is not None and rows:
            loop.call_soon_threadsafe(self._note, [_shown(row) for row in rows[-_MOST_SPANS:]], len(rows))

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

    def _note(self, spans: Sequence[Shown], count: int) -> None:
        self._newest.extend(spans)
        self._count += count
        self._has_news.set()

    async def _run(self) -> None:
        while True:
            await self._has_news.wait()
            # Whoever is not told sees it in the next list; news that cannot be told at once are none any more.
            with guard("tell what is readable"):
                await self._bus.broadcast(self._taken())

    def _taken(self) -> SpansReadable:
        spans, count = list(self._newest), self._count
        self._newest.clear()
        self._count = 0
        self._has_news.clear()
        return SpansReadable(spans=jsontext.dumps(spans).decode(), omitted=count - len(spans))


class Watchers:
    """Who watches in this process, and what for.

    Args:
        most: How many may.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._wanted: dict[SocketConnection, Mapping[str, str]] = {}

    @property
    def has_room(self) -> bool:
        """Whether one more may watch."""
        return len(self._wanted) < self._most

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
            if not self._watchers.has_room:
                await socket.close(TRY_AGAIN_LATER, "Too many are watching already.")
                return
            with self._watchers.watching(connection, wanted):
                while (await socket.receive())["type"] != "websocket.disconnect":
                    pass


def _shown(row: Row) -> Shown:
    return {name: _cut(name, getattr(row, name)) for name in Row.__slots__ if name not in _UNSEEN}


def _cut(name: str, value: object) -> object:
    return value[:_LONGEST_TEXT] if name in _TEXTS and isinstance(value, str) else value
