"""How many bytes a request may have, as a backend teaches it."""

from __future__ import annotations

from typing import Final

__all__ = ["RequestSize"]

_SMALLEST_BYTES: Final = 16 * 1024
_FIRST_WAIT: Final = 16
_LONGEST_WAIT: Final = 1024


class RequestSize:
    """Halved when a request is refused for its size, and doubled again once enough smaller ones were accepted.

    A backend that is small for a moment, a gateway between deployments, shall not cost its whole life in small
    requests. One that stays so refuses one request of 32, then of 64, and so on up to 1,024.

    Args:
        most: Bytes that a request may have at best.
    """

    __slots__ = ("_left", "_most", "_wait", "limit")

    def __init__(self, most: int) -> None:
        self._most = most
        self._wait = _FIRST_WAIT
        self._left = 0
        self.limit = most
        """Bytes that the next request may have."""

    def refused(self, size: int) -> None:
        """Note that a request of *size* bytes was too large."""
        self.limit = max(_SMALLEST_BYTES, size // 2)
        self._left = self._wait = min(_LONGEST_WAIT, 2 * self._wait)

    def accepted(self) -> None:
        """Note that a request was not."""
        if self.limit < self._most:
            self._left -= 1
            if self._left <= 0:
                self.limit = min(self._most, 2 * self.limit)
                self._left = self._wait
