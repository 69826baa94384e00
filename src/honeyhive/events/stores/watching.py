"""Telling those who wait for new events that there are some."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Watchers"]


class Watchers:
    """Listeners of one store. Thread-safe; a listener is called in the thread that has saved."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a listener is in the tuple or it is not
        self._listeners: tuple[Callable[[int], None], ...] = ()

    def add(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Call *listener* from now on; return what ends it."""

        def remove() -> None:
            with self._lock:
                self._listeners = tuple(each for each in self._listeners if each is not told)

        def told(added: int) -> None:
            listener(added)

        with self._lock:
            self._listeners = (*self._listeners, told)
        return remove

    def tell(self, added: int) -> None:
        """Tell all listeners that there are *added* new events; 0 says that nothing more will come."""
        for listener in self._listeners:
            listener(added)
