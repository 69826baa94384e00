"""What no handler could deal with, kept with the reason until somebody looks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from honeyhive.events.messages import Message

__all__ = ["DeadLetter", "InMemoryDeadLetters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that a handler has failed for good.

    Attributes:
        id: The letter's own id; a message that two handlers fail makes two letters.
        message: The message; an `UnknownMessage` when it could not even be read.
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
