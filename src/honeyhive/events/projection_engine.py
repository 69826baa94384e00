"""Keeping several read models of one event store up to date, each in a thread of its own.

::

    with ProjectionEngine(store, totals, shipping) as engine:
        saved = store.save("order-1", [OrderPlaced(...)])
        engine.wait_for(saved.position, timeout_s=5)

`catch_up` does the same here and now, without a thread: for scripts and tests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from honeyhive.events.following import BuriedRecord, Following, Progress, Sink
from honeyhive.events.projections import StoreSource
from honeyhive.events.projector import PATIENT, Projector
from honeyhive.events.steps import run
from honeyhive.events.store import EventLog, RecordedEvent
from honeyhive.resilience import RetryPolicy
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["ProjectionEngine", "catch_up"]


class ProjectionEngine:
    """Keeps projections of one store up to date; what happens to one of them does not touch the others.

    Args:
        store: Where the events are.
        projections: The read models, relays and process runners; each has a name of its own.
        batch: How many events are applied in one transaction.
        on_buried: Called, in the thread of the projection, for each event that cannot be applied.
        on_failure: Called, likewise, when a projection cannot go on: with its name and the error.
        retry: How often to try again in an outage, and after which pauses.
        clock: Passes the time of pauses and polls.

    Raises:
        ValueError: Two projections have the same name.
    """

    def __init__(
        self,
        store: EventLog,
        *projections: Sink[RecordedEvent, int],
        batch: int = 1_000,
        on_buried: Callable[[BuriedRecord], None] | None = None,
        on_failure: Callable[[str, BaseException], None] | None = None,
        retry: RetryPolicy = PATIENT,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._projections = by_name(projections)
        self._source = StoreSource(store, batch=batch)
        self._on_buried = on_buried
        self._on_failure = on_failure
        self._retry = retry
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()  # one projector for each projection, also while one is being replaced
        self._projectors: dict[str, Projector[RecordedEvent, int]] = {}
        self._stack = ExitStack()

    def start(self) -> None:
        """Start following, each projection from where it stands."""
        with self._lock:
            for name in self._projections:
                self._start(name)
        self._stack.callback(self._store.watch(self._nudge))

    def stop(self) -> None:
        """Stop after the batches in hand."""
        self._stack.close()
        with self._lock:
            for projector in self._projectors.values():
                projector.stop()

    def rebuild(self, name: str) -> None:
        """Empty the projection *name* and make it anew from all events; the others go on.

        To have the old one answer meanwhile, make the new one under another name beside it and change over when `progress`
        says that it is there.

        Raises:
            LookupError: There is no such projection.
        """
        with self._lock:
            self._projector(name).stop()
            self._start(name, rebuild=True)

    def wait_for(self, position: int, timeout_s: float | None = None) -> None:
        """Return when all projections show everything up to *position*, which `save` has returned.

        Raises:
            TimeoutError: That takes longer than *timeout_s*.
            ProjectionStoppedError: One of them has ended before that.
        """
        with self._lock:
            futures = [projector.reached(position) for projector in self._projectors.values()]
        deadline = None if timeout_s is None else self._clock.monotonic() + timeout_s
        for future in futures:
            future.result(None if deadline is None else max(0.0, deadline - self._clock.monotonic()))

    def progress(self) -> Mapping[str, Progress[int]]:
        """Return how far each projection is; the backlog counts what was saved through this store since `start`."""
        with self._lock:
            return {name: projector.progress() for name, projector in self._projectors.items()}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, name: str, *, rebuild: bool = False) -> None:
        projector = Projector(
            self._source,
            self._projections[name],
            on_failure=None if self._on_failure is None else lambda error: self._failed(name, error),
            on_buried=self._on_buried,
            retry=self._retry,
            poll_s=self._store.poll_s,
            rebuild=rebuild,
            clock=self._clock,
        )
        self._projectors[name] = projector
        projector.start()

    def _failed(self, name: str, error: BaseException) -> None:
        if self._on_failure is not None:
            self._on_failure(name, error)

    def _projector(self, name: str) -> Projector[RecordedEvent, int]:
        if name not in self._projectors:
            raise LookupError(f"no projection {name!r} is running; there are {', '.join(self._projectors) or 'none'}")
        return self._projectors[name]

    def _nudge(self, added: int) -> None:
        with self._lock:
            projectors = tuple(self._projectors.values())
        for projector in projectors:
            projector.nudge(added)


def catch_up(store: EventLog, *projections: Sink[RecordedEvent, int], batch: int = 1_000, rebuild: bool = False) -> int:
    """Bring *projections* up to date with *store* here and now, and return the position they have reached.

    Args:
        store: Where the events are.
        projections: The read models, one after the other.
        batch: How many events are applied in one transaction.
        rebuild: Empty them first.
    """
    source = StoreSource(store, batch=batch)
    reached = 0
    for projection in projections:
        following = Following(source, projection)
        try:
            run(following.begin(rebuild=rebuild))
            while run(following.advance()):
                pass
        finally:
            run(following.end())
        reached = max(reached, following.position or 0)
    return reached


def by_name(projections: Sequence[Sink[RecordedEvent, int]]) -> dict[str, Sink[RecordedEvent, int]]:
    """Return *projections* by their names.

    Raises:
        ValueError: Two have the same name.
    """
    named = {projection.name: projection for projection in projections}
    if len(named) < len(projections):
        raise ValueError(f"each projection needs a name of its own, but they are {[each.name for each in projections]}")
    return named
