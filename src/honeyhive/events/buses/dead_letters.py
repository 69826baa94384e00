"""What no handler could deal with, kept with the reason until somebody looks."""

from __future__ import annotations

import base64
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from honeyhive.events.buses.broker import Broker, BuriedLetter
from honeyhive.events.codec import MessageCodec, legible
from honeyhive.events.lineage import CARRIED
from honeyhive.events.messages import Message, UnknownMessage
from honeyhive.exceptions import MessageFormatError
from honeyhive.utils.clock import Clock
from honeyhive.utils.ids import RandomIds

__all__ = [
    "BrokerDeadLetters",
    "DeadLetter",
    "InMemoryDeadLetters",
    "never_survived",
    "unreadable",
    "unreadable_message",
]

_ids = RandomIds()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that a handler has failed for good.

    Attributes:
        id: The letter's own id; a message that two handlers fail makes two letters.
        message: The message; an `UnknownMessage` with the raw bytes as its ``data`` when it could not even be read.
        handler: The name of the handler that failed; empty when it came to no handler.
        error: What was raised, as text: ``"ValueError: too late"``.
        attempts: How often it was tried.
        time: When it was given up.
    """

    id: str
    message: Message
    handler: str
    error: str
    attempts: int
    time: datetime
    handle: Any = field(default=None, repr=False, compare=False)
    """What the engine that keeps it knows it by."""


class InMemoryDeadLetters:
    """Dead letters of this process, the oldest first. Safe to use from any thread.

    Args:
        capacity: How many are kept; beyond it the oldest is dropped and counted.

    Attributes:
        dropped: How many were dropped.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._letters: OrderedDict[str, DeadLetter] = OrderedDict()
        self.dropped = 0
        # Keeps the count of dropped letters true.
        self._changing = threading.Lock()

    def add(self, letter: DeadLetter) -> None:
        """Keep *letter*."""
        with self._changing:
            self._letters[letter.id] = letter
            while len(self._letters) > self._capacity:
                self._letters.popitem(last=False)
                self.dropped += 1

    def list(self, limit: int = 100) -> tuple[DeadLetter, ...]:
        """Return the oldest letters, at most *limit* of them."""
        with self._changing:
            return tuple(self._letters.values())[:limit]

    def discard(self, letter: DeadLetter) -> None:
        """Forget *letter*."""
        with self._changing:
            self._letters.pop(letter.id, None)

    def __len__(self) -> int:
        return len(self._letters)


class BrokerDeadLetters:
    """The dead letters of a group, kept by its engine.

    Args:
        broker: The engine.
        codec: Writes and reads messages.
    """

    def __init__(self, broker: Broker, codec: MessageCodec) -> None:
        self._broker = broker
        self._codec = codec

    async def list(self, limit: int = 100) -> tuple[DeadLetter, ...]:
        """Return the oldest letters, at most *limit* of them."""
        return tuple([self._read(buried) for buried in await self._broker.letters(limit)])

    async def discard(self, letter: DeadLetter) -> None:
        """Forget *letter*."""
        await self._broker.discard(letter.handle)

    def written(self, letter: DeadLetter) -> bytes:
        """Return *letter* as an engine keeps it."""
        facts = {
            "id": letter.id,
            "handler": letter.handler,
            "error": letter.error,
            "attempts": letter.attempts,
            "time": letter.time.isoformat(),
        }
        if isinstance(letter.message, UnknownMessage) and isinstance(letter.message.data, bytes):
            return json.dumps({**facts, "raw": base64.b64encode(letter.message.data).decode()}).encode()
        return json.dumps({**facts, "message": self._codec.encode(letter.message).decode()}).encode()

    def _read(self, buried: BuriedLetter) -> DeadLetter:
        if buried.reason:
            return replace(self._letter_of(buried.body, buried.reason), handle=buried.handle)
        facts: dict[str, Any] = json.loads(buried.body)
        message = (
            unreadable_message(base64.b64decode(facts["raw"])) if "raw" in facts else self._message(facts["message"])
        )
        return DeadLetter(
            id=facts["id"],
            message=message,
            handler=facts["handler"],
            error=facts["error"],
            attempts=facts["attempts"],
            time=datetime.fromisoformat(facts["time"]),
            handle=buried.handle,
        )

    def _letter_of(self, body: bytes, reason: str) -> DeadLetter:
        """Return the letter for a message that the engine itself has given up."""
        message = self._message(body)
        return DeadLetter(id=message.id, message=message, handler="", error=reason, attempts=0, time=message.time)

    def _message(self, document: bytes | str) -> Message:
        try:
            return self._codec.decode(document)
        except MessageFormatError:
            return unreadable_message(document if isinstance(document, bytes) else document.encode())


def unreadable(body: bytes, error: MessageFormatError, clock: Clock) -> DeadLetter:
    """Return the letter for what came and is no message."""
    return _given_up(unreadable_message(body), f"MessageFormatError: {error}", 0, clock)


def never_survived(message: Message, deliveries: int, clock: Clock) -> DeadLetter:
    """Return the letter for a message whose handling has never come to an end."""
    reason = f"it was delivered {deliveries} times, and each time the process ended before its handlers did"
    return _given_up(message, reason, deliveries, clock)


def _given_up(message: Message, reason: str, attempts: int, clock: Clock) -> DeadLetter:
    time = datetime.fromtimestamp(clock.time_ns() / 1e9, UTC)
    return DeadLetter(id=_ids.uuid(), message=message, handler="", error=reason, attempts=attempts, time=time)


def unreadable_message(body: bytes) -> UnknownMessage:
    """Return *body*, which is no message, as one, with what it says of itself as far as that can be read."""
    told = legible(body)
    return UnknownMessage(
        type=told.get("type", "unreadable"),
        id=told.get("id") or _ids.uuid(),
        trace_context={name: told[name] for name in CARRIED if name in told},
        data=body,
    )
