"""One after the other for the same key, at the same time for different ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import anyio

__all__ = ["KeyedOrder"]


@dataclass(slots=True, eq=False)
class _Lane:
    """Those who wait for their turn at one key."""

    lock: anyio.Lock = field(default_factory=anyio.Lock)
    users: int = 0


@dataclass(slots=True, eq=False)
class _Turn:
    """Somebody's turn at a key; over when the block is left, also for the tasks it has started."""

    order: KeyedOrder
    key: str
    is_over: bool = False


_turns: ContextVar[tuple[_Turn, ...]] = ContextVar("turns", default=())


class KeyedOrder:
    """Lets blocks of the same key run one after the other, in the order in which they asked. For one event loop."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}

    @asynccontextmanager
    async def turn(self, key: str | None) -> AsyncIterator[None]:
        """Wait for the turn of a block at *key*; without a key there is nothing to wait for.

        A block inside another of the same key belongs to it and does not wait: it would wait for itself.
        """
        outer = _turns.get()
        if key is None or any(each.order is self and each.key == key and not each.is_over for each in outer):
            yield
            return
        lane = self._lanes.setdefault(key, _Lane())
        lane.users += 1
        try:
            async with lane.lock:
                turn = _Turn(self, key)
                token = _turns.set((*outer, turn))
                try:
                    yield
                finally:
                    turn.is_over = True
                    _turns.reset(token)
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[key]
