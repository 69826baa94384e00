"""Expensive things, made when they are first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from honeyhive.utils.fork import Renewable, renew_after_fork
from honeyhive.utils.missing import MISSING, Missing

__all__ = ["LazyResource"]

T = TypeVar("T")


class LazyResource(Renewable, Generic[T]):
    """Make a resource on first use, once, however many threads ask for it at the same time.

    A factory that raises leaves nothing behind: the error goes to the caller and the next use tries again. The lock is
    held while the factory runs, so that nobody makes a second resource; a factory must not wait for another thread that
    wants the same resource.

    Args:
        factory: Makes the resource; ``None`` is a resource like any other.
    """

    __slots__ = ("__weakref__", "_factory", "_lock", "_resource")

    def __init__(self, factory: Callable[[], T]) -> None:
        self._factory = factory
        self._resource: T | Missing = MISSING
        self.renew()
        renew_after_fork(self)

    @property
    def resource(self) -> T:
        """The resource, made now if this is the first use."""
        if self._resource is not MISSING:
            return self._resource
        with self._lock:
            # Another thread may have made it while this one waited for the lock.
            if self._resource is MISSING:
                self._resource = self._factory()
            return self._resource

    @property
    def is_made(self) -> bool:
        """Whether the resource exists already; asking does not make it."""
        return self._resource is not MISSING

    def renew(self) -> None:
        """Take a fresh lock: a forked child may have inherited a held one."""
        # Keeps "at most one resource"; re-entrant so that a factory asking for itself fails instead of hanging.
        self._lock = threading.RLock()
