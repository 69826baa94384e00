"""Keeping several read models of one event store up to date, each in a task of its own.

::

    async with AsyncProjectionEngine(store, totals, shipping) as engine:
        saved = await store.save("order-1", [OrderPlaced(...)])
        await engine.wait_for(saved.position)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import anyio

from honeyhive.events.async_projector import AsyncProjector
from honeyhive.events.following import BuriedRecord, Following, Progress, Sink
from honeyhive.events.projection_engine import by_name
from honeyhive.events.projections import StoreSource
from honeyhive.events.projector import PATIENT
from honeyhive.events.steps import run_async
from honeyhive.events.store import AsyncEventLog, RecordedEvent
from honeyhive.resilience import RetryPolicy

__all__ = ["AsyncProjectionEngine", "catch_up_async"]


class AsyncProjectionEngine:
    """Keeps projections of one store up to date in tasks, from entering the block to leaving it.

    Args:
        store: Where the events are.
        projections: The read models, relays and process runners, asynchronous or not; each has a name of its own.
        batch: How many events are applied in one transaction.
        on_buried: Called for each event that cannot be applied.
        retry: How often to try again in an outage, and after which pauses.

    Raises:
        ValueError: Two projections have the same name.
    """

    def __init__(
        self,
        store: AsyncEventLog,
        *projections: Sink[RecordedEvent, int],
        batch: int = 1_000,
        on_buried: Callable[[BuriedRecord], None] | None = None,
        retry: RetryPolicy = PATIENT,
    ) -> None:
        self._store = store
        self._stack = AsyncExitStack()
        source = StoreSource(store, batch=batch)
        self._projectors: dict[str, AsyncProjector[RecordedEvent, int]] = {
            name: AsyncProjector(source, each, on_buried=on_buried, retry=retry, poll_s=store.poll_s)
            for name, each in by_name(projections).items()
        }

    async def wait_for(self, position: int) -> None:
        """Return when all projections show everything up to *position*, which `save` has returned.

        Raises:
            ProjectionStoppedError: One of them has ended before that.
        """
        for projector in self._projectors.values():
            await projector.reached(position)

    def progress(self) -> Mapping[str, Progress[int]]:
        """Return how far each projection is; the backlog counts what was saved through this store since it began."""
        return {name: projector.progress() for name, projector in self._projectors.items()}

    async def __aenter__(self) -> Self:
        tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(tasks.cancel_scope.cancel)
        self._stack.callback(self._store.watch(self._nudge))
        for projector in self._projectors.values():
            tasks.start_soon(projector.run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    def _nudge(self, added: int) -> None:
        for projector in self._projectors.values():
            projector.nudge(added)


async def catch_up_async(
    store: AsyncEventLog, *projections: Sink[RecordedEvent, int], batch: int = 1_000, rebuild: bool = False
) -> int:
    """Bring *projections* up to date with *store* here and now, and return the position they have reached."""
    source = StoreSource(store, batch=batch)
    reached = 0
    for projection in projections:
        following = Following(source, projection)
        try:
            await run_async(following.begin(rebuild=rebuild))
            while await run_async(following.advance()):
                pass
        finally:
            with anyio.CancelScope(shield=True):
                await run_async(following.end())
        reached = max(reached, following.position or 0)
    return reached
