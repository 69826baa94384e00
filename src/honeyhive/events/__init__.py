"""Messages and what is built on them: buses that bring them to handlers, here or in other processes.

Names are looked up on first use, so that a program pays for what it uses only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.events.bus import Handler, MessageBus, Outcome, PublishResult
    from honeyhive.events.codec import MessageCodec, decode, encode
    from honeyhive.events.dead_letters import DeadLetter
    from honeyhive.events.lineage import current_message
    from honeyhive.events.memory import InMemoryMessageBus
    from honeyhive.events.messages import Command, Event, Message, Query, UnknownMessage
    from honeyhive.events.module import Module
    from honeyhive.events.subscriptions import Middleware, Subscription

_HOMES = {
    "Command": "messages",
    "DeadLetter": "dead_letters",
    "Event": "messages",
    "Handler": "bus",
    "InMemoryMessageBus": "memory",
    "Message": "messages",
    "MessageBus": "bus",
    "MessageCodec": "codec",
    "Middleware": "subscriptions",
    "Module": "module",
    "Outcome": "bus",
    "PublishResult": "bus",
    "Query": "messages",
    "Subscription": "subscriptions",
    "UnknownMessage": "messages",
    "current_message": "lineage",
    "decode": "codec",
    "encode": "codec",
}
__all__ = [
    "Command",
    "DeadLetter",
    "Event",
    "Handler",
    "InMemoryMessageBus",
    "Message",
    "MessageBus",
    "MessageCodec",
    "Middleware",
    "Module",
    "Outcome",
    "PublishResult",
    "Query",
    "Subscription",
    "UnknownMessage",
    "current_message",
    "decode",
    "encode",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'honeyhive.events' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"honeyhive.events.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
