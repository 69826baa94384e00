"""What schedulers do beside all requests: in short steps, one run at a time, without saying the same twice."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Final

from anyio import to_thread

__all__ = ["Chore", "Complaints"]

_MOST: Final = 100
_END: Final = object()

_logger = logging.getLogger("honeyhive.server")


class Chore:
    """Work that is cut into steps, so that a process that ends does so after the step in hand.

    Args:
        begin: Returns the steps, each of which blocks; closing them early leaves the rest for the next time.
    """

    def __init__(self, begin: Callable[[], Generator[object, None, None]]) -> None:
        self._begin = begin
        self._at_work = threading.Lock()

    async def do(self) -> None:
        """Take all steps, each in a worker thread; do nothing while an earlier call is at it."""
        if not self._at_work.acquire(blocking=False):
            return
        try:
            with closing(self._begin()) as steps:
                while await to_thread.run_sync(next, steps, _END) is not _END:
                    pass
        finally:
            self._at_work.release()


class Complaints:
    """Logs each message once, and no more than a hundred of them."""

    def __init__(self) -> None:
        self._made: set[str] = set()

    def make(self, message: str) -> None:
        """Log *message* unless it was logged before."""
        if message not in self._made and len(self._made) < _MOST:
            self._made.add(message)
            _logger.warning("%s", message)
