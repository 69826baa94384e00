"""Connections as such: how many there may be, and how long one may take to say what it wants."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from honeyhive.server.admission.limits import Limits

__all__ = ["guarded_protocol"]

_LINGER_S: Final = 2.0


def guarded_protocol(limits: Limits) -> type[H11Protocol]:
    """Return uvicorn's HTTP protocol with the bounds of *limits*."""
    return type("BoundedProtocol", (_GuardedProtocol,), {"limits": limits})


class _GuardedProtocol(H11Protocol):
    """Closes a connection whose request head does not come in time.

    When there are too many connections, the oldest of those that are silent or refused makes room: an attacker who holds
    all of them open must not keep everybody else out.
    """

    limits: ClassVar[Limits]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._is_refused = False
        self.opened_at = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._make_room()
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            # Answered before all of the body was there: a refusal. Leave time to read it, then hang up.
            self._is_refused = True
            self.loop.call_later(_LINGER_S, self.transport.abort)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    @property
    def awaits_head(self) -> bool:
        return self.conn.their_state is h11.IDLE

    @property
    def can_go(self) -> bool:
        return self.awaits_head or self._is_refused

    def _watch(self) -> None:
        if not self.awaits_head:
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.limits.header_s, self._give_up)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.awaits_head:
            self.transport.abort()

    def _make_room(self) -> None:
        if len(self.connections) <= self.limits.connections:
            return
        others = [other for other in self.connections if isinstance(other, _GuardedProtocol) and other is not self]
        idle = [other for other in others if other.can_go]
        victim = min(idle, key=lambda other: other.opened_at) if idle else self
        victim.connections.discard(victim)
        victim.transport.abort()
