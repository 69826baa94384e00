"""Making the effect of a message happen once, though the message may come twice."""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from honeyhive.events.bus import Handler
from honeyhive.events.buses.subscriptions import callable_of, is_async, name_of
from honeyhive.events.messages import Message
from honeyhive.exceptions import MessageInHandError

__all__ = ["InMemoryInbox", "Inbox", "idempotent"]

M = TypeVar("M", bound=Message)


class Inbox(Protocol):
    """Remembers which handler has dealt with which message. Shared by all processes that may get the same message."""

    async def claim(self, key: str) -> bool:
        """Return whether *key* is to be dealt with now; false when it has been already.

        Raises:
            MessageInHandError: Somebody else is just dealing with it.
        """
        ...

    async def finish(self, key: str) -> None:
        """Remember that *key* has been dealt with."""
        ...

    async def release(self, key: str) -> None:
        """Take the claim back: *key* is to be dealt with another time."""
        ...


class InMemoryInbox:
    """An inbox for one event loop; knows the last so many messages.

    Args:
        capacity: How many.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._is_done: OrderedDict[str, bool] = OrderedDict()

    async def claim(self, key: str) -> bool:
        """Return whether *key* is to be dealt with now; false when it has been already."""
        if key in self._is_done and not self._is_done[key]:
            raise MessageInHandError(f"{key} is being dealt with")
        if key in self._is_done:
            return False
        self._is_done[key] = False
        return True

    async def finish(self, key: str) -> None:
        """Remember that *key* has been dealt with."""
        self._is_done[key] = True
        if len(self._is_done) > self._capacity:
            self._is_done.popitem(last=False)

    async def release(self, key: str) -> None:
        """Take the claim back."""
        self._is_done.pop(key, None)


def idempotent(handler: Handler[M], inbox: Inbox, name: str | None = None) -> Callable[[M], Coroutine[Any, Any, Any]]:
    """Return *handler* such that it deals with each message once, as far as *inbox* remembers.

    A message that fails is forgotten again, so that it can be retried. Between the handler's own effect and the note in
    the inbox lies a moment in which a process may die: where that matters, write the message's id into the same
    transaction as the effect.

    Args:
        handler: A function, which will run on a worker thread; a coroutine function; an object with a method ``handle``.
        inbox: What remembers.
        name: What the handler is called in the inbox, the same in all processes and releases; its own name by default.
    """
    call, title = callable_of(handler), name or name_of(handler)

    async def once(message: M) -> Any:
        key = f"{title}/{message.id}"
        if not await inbox.claim(key):
            return None
        try:
            value = await _called(call, message)
        except BaseException:
            await inbox.release(key)
            raise
        await inbox.finish(key)
        return value

    return functools.update_wrapper(once, call, updated=())


async def _called(call: Callable[[Any], Any], message: Message) -> Any:
    if is_async(call):
        return await call(message)
    import anyio.to_thread

    value = await anyio.to_thread.run_sync(call, message)
    return await value if inspect.isawaitable(value) else value
