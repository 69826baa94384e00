"""The backend as a service of the runtime.

::

    http        Ingest                  bound the request, append it to the log, answer
                Reading, Pages, Live    ask the read model; be told what has become readable
    worker      Projecting              from the log to the read model
    scheduler   Adoption                what programs have left in the spool of this machine
                Keeping                 what is too old or too much is forgotten

`local` is all of it in one process, on files and with a bus in memory; ``honeyhive serve`` runs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import anyio
from anyio import to_thread

from honeyhive.events import AsyncMessageBus, Broadcaster, MessageBus
from honeyhive.exceptions import JournalError
from honeyhive.models.wire import DEFAULT_PORT, LOCAL, spool_root
from honeyhive.runtime import HttpSettings, SchedulerSettings, Service, Sockets
from honeyhive.runtime.sockets import LocalRelay
from honeyhive.server.admission.connections import guarded_protocol
from honeyhive.server.admission.limits import Limits
from honeyhive.server.admission.security import Access, access_of
from honeyhive.server.app import web_app
from honeyhive.server.config import PREFIX, BackendConfig, LocalConfig
from honeyhive.server.index.projector import IngestProjector
from honeyhive.server.ingest.adoption import Adopter, Adoption
from honeyhive.server.ingest.routes import Ingest
from honeyhive.server.reading.live import Live, SpansReadable, Teller, Watchers
from honeyhive.server.reading.pages.routes import Pages
from honeyhive.server.reading.routes import Asking, Reading
from honeyhive.server.records.events import Intake
from honeyhive.server.retention.keeping import Keeping, Retention, segment_bytes_for
from honeyhive.server.storage.files import FileStorage
from honeyhive.server.storage.interface import Storage
from honeyhive.server.storage.projecting import Announcer, Projecting
from honeyhive.utils import SystemClock, new_session_id

__all__ = ["CORE", "ending_on_failure", "local"]

_LIMITS: Final = Limits()
_OPENING_S: Final = 1.0
"""How long the start waits for the index; a large one is checked meanwhile, and readers are told to come again."""
_LAST_ANSWERS_S: Final = 0.5


def limits() -> Limits:
    return _LIMITS


def intake(limits: Limits) -> Intake:
    clock = SystemClock()
    return Intake(new_id=new_session_id, now_ms=lambda: clock.time_ns() / 1e6, limits=limits)


async def announcer(bus: MessageBus) -> AsyncIterator[Announcer]:
    async with Announcer(bus) as opened:
        yield opened


async def projector(storage: Storage) -> AsyncIterator[IngestProjector]:
    """Keep the read model up to date as long as the process lives."""
    await to_thread.run_sync(lambda: storage.projector.start(wait_s=_OPENING_S))
    if storage.projector.failure is not None:
        raise _stopped_by(storage.projector.failure)
    try:
        yield storage.projector
    finally:
        storage.projector.stop()


async def memory_bus() -> AsyncIterator[MessageBus]:
    async with AsyncMessageBus() as bus:
        yield bus


async def files(config: LocalConfig, limits: Limits, announcer: Announcer, teller: Teller) -> AsyncIterator[Storage]:
    async with ending_on_failure() as fail:
        storage = FileStorage(
            config.data,
            on_append=announcer.note,
            on_readable=teller.tell,
            on_failure=fail,
            limits=limits,
            rebuild=config.rebuild,
            segment_bytes=segment_bytes_for(config.keep_bytes),
        )
        try:
            yield storage
        finally:
            storage.close()


def broadcaster(bus: MessageBus) -> Broadcaster:
    if not isinstance(bus, Broadcaster):
        raise TypeError(f"the backend's bus must broadcast, which a {type(bus).__name__} does not")
    return bus


async def teller(bus: Broadcaster) -> AsyncIterator[Teller]:
    teller = Teller(bus)
    async with teller.at_work():
        yield teller


def watchers(bus: Broadcaster, limits: Limits) -> Iterator[Watchers]:
    watchers = Watchers(limits.watchers)
    listener = bus.listen(SpansReadable, watchers.hear)
    try:
        yield watchers
    finally:
        listener.cancel()


def adopter(storage: Storage, intake: Intake, limits: Limits) -> Adopter:
    return Adopter(spool_root() / LOCAL, log=storage.log, intake=intake, limits=limits)


def retention(storage: Storage, config: LocalConfig) -> Retention:
    return Retention(storage.forgetter, keep_s=config.keep_s, keep_bytes=config.keep_bytes)


def local_access(config: LocalConfig) -> Access:
    return access_of(config)


@asynccontextmanager
async def ending_on_failure() -> AsyncIterator[Callable[[BaseException], None]]:
    """Yield what any thread calls when nothing more can be accepted or shown: the process ends with that error.

    Requests that are being refused for the same reason get their answers before.
    """
    loop = asyncio.get_running_loop()
    failure: asyncio.Future[BaseException] = loop.create_future()

    def end_with(error: BaseException) -> None:
        if not failure.done():
            failure.set_result(error)

    def fail(error: BaseException) -> None:
        loop.call_soon_threadsafe(end_with, error)

    async def watch() -> None:
        error = await failure
        await anyio.sleep(_LAST_ANSWERS_S)
        raise _stopped_by(error) from error

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        yield fail
        tasks.cancel_scope.cancel()


def _stopped_by(error: BaseException) -> JournalError:
    return JournalError(f"the backend stopped because its store failed: {error}")


CORE: Final = Service(
    "honeyhive",
    providers=[limits, intake, announcer, Asking, projector, broadcaster, teller, watchers],
    controllers=[Ingest, Reading, Pages, Live, Projecting],
    interceptors=[Sockets(relay=LocalRelay())],
    config=BackendConfig,
    config_prefix=PREFIX,
    http=HttpSettings(
        app=web_app,
        port=DEFAULT_PORT,
        drain_s=5.0,
        uvicorn={
            "http": guarded_protocol(_LIMITS),
            "proxy_headers": False,
            "backlog": _LIMITS.connections,
            "h11_max_incomplete_event_size": _LIMITS.head_bytes,
            "ws_max_size": _LIMITS.head_bytes,
        },
    ),
)
"""What every backend is made of; it lacks a storage, a bus, and who is let in."""

local = replace(
    CORE,
    providers=[*CORE.providers, memory_bus, files, adopter, retention, local_access],
    controllers=[*CORE.controllers, Adoption, Keeping],
    config=LocalConfig,
    scheduler=SchedulerSettings(drain_s=1.0),
)
"""The backend in one process, on this machine."""
