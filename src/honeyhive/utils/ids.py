"""Identities: random ones for traces, spans and sessions, derived ones for events."""

from __future__ import annotations

import random
import re
import uuid

from honeyhive.utils.fork import Renewable, renew_after_fork

__all__ = ["RandomIds", "event_id", "is_uuid", "new_session_id"]

_EVENT_NAMESPACE = uuid.UUID("9a1b6e62-2f0c-5d8e-8f5a-6a0f4c1d7b23")
_VARIANT = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)  # RFC 9562: it begins with the bits 10
_AT_ONCE = 64
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


class RandomIds(Renewable):
    """Random trace and span ids, as OpenTelemetry wants them: never zero.

    The generator is private, so ``random.seed(...)`` in the host program cannot make ids repeat, and it is seeded anew
    in a forked child. Safe to use from any thread.

    Args:
        seed: Makes the ids predictable, for tests; from the operating system's entropy by default.
    """

    __slots__ = ("__weakref__", "_bits", "_random", "_uuids")

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - unique, not secret
        self._bits = self._random.getrandbits
        self._uuids: list[str] = []
        renew_after_fork(self)

    def trace_id(self) -> int:
        """Return a new 128-bit trace id."""
        return self._bits(128) or self.trace_id()

    def span_id(self) -> int:
        """Return a new 64-bit span id."""
        return self._bits(64) or self.span_id()

    def uuid(self) -> str:
        """Return a new random UUID (version 4, lower case); several times cheaper than ``str(uuid.uuid4())``."""
        try:
            return self._uuids.pop()
        except IndexError:
            drawn = _uuids(self._random)
            self._uuids.extend(drawn[1:])
            return drawn[0]

    def renew(self) -> None:
        """Seed anew: a forked child must not repeat its parent's ids."""
        self._random.seed()
        self._uuids.clear()


def _uuids(source: random.Random) -> list[str]:
    """Return some random UUIDs. They are written below one another, and a column of their digits is changed at once."""
    width = 38  # the 36 characters of a UUID, and two blanks
    texts = bytearray(source.randbytes(width // 2 * _AT_ONCE).hex(), "ascii")
    for hyphen in (8, 13, 18, 23):
        texts[hyphen::width] = b"-" * _AT_ONCE
    texts[14::width] = b"4" * _AT_ONCE
    texts[19::width] = texts[19::width].translate(_VARIANT)
    texts[36::width] = texts[37::width] = b" " * _AT_ONCE
    return texts.decode().split()


def new_session_id() -> str:
    """Return a new random session id (UUIDv4, lower case)."""
    return str(uuid.uuid4())


def event_id(trace_id: int, span_id: int) -> str:
    """Return the id of the event that a span is: UUIDv5 of its trace and span id.

    The same span has the same event id wherever it is computed, so the SDK and the backend agree without asking.
    """
    return str(uuid.uuid5(_EVENT_NAMESPACE, f"{trace_id:032x}{span_id:016x}"))


def is_uuid(text: str) -> bool:
    """Tell whether *text* is a UUID in its usual form with hyphens, in either case."""
    return _UUID.fullmatch(text) is not None
