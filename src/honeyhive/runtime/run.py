"""Running a service: one process with one or several roles, from its start to its graceful end.

::

    opened -> roles started -> ready -> told to stop -> take nothing new -> let work end -> closed
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import importlib.util
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
import anyio.abc

from honeyhive.exceptions import ConfigurationError, DeclarationError, HoneyHiveError
from honeyhive.runtime.assembly import Assembly, Process
from honeyhive.runtime.roles import ROLES, Role, concerns, declares
from honeyhive.runtime.service import Service
from honeyhive.runtime.sharing import check_sharing

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["RunOptions", "inherited", "listen_for", "load_service", "refuse_idle", "run_service"]

_LIVE: Final = "/health/live"
_READY: Final = "/health/ready"

_logger = logging.getLogger("honeyhive.runtime")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How one process runs a service.

    Attributes:
        roles: What it does.
        host: Address to listen on; the service's own setting if ``None``.
        port: Port to listen on; the service's own setting if ``None``.
        sockets: What listens already, and stays yours; by default sockets are opened.
        health_port: Port for the health of a process that serves no HTTP; none if ``None``.
        processes: How many processes do this, this one included.
        supervised: End when standard input ends, because whoever started the process is gone.
        announce: Told, for each role that is ready, what it is and where.
        on_ready: Called once, when all roles are at work.
    """

    roles: Collection[Role] = ROLES
    host: str | None = None
    port: int | None = None
    sockets: Sequence[socket.socket] = ()
    health_port: int | None = None
    processes: int = 1
    supervised: bool = False
    announce: Callable[[str], None] = field(default=_logger.info)
    on_ready: Callable[[], object] = field(default=lambda: None)


@dataclass(slots=True)
class Health:
    """Whether a process lives and does its work; an ASGI application that says so.

    ``/health/live`` answers 200 as long as the process runs its event loop, ``/health/ready`` 200 when all roles are at
    work, and 503 before and when the process is ending.

    Attributes:
        waiting_for: The roles that are not ready yet.
        stopping: Set when the process is to end.
    """

    waiting_for: set[Role]
    stopping: anyio.Event

    @property
    def ready(self) -> bool:
        """Whether all roles are at work."""
        return not self.waiting_for and not self.stopping.is_set()

    def answering_first(self, app: ASGIApp) -> ASGIApp:
        """Return *app* with the two paths of health before its own."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await (self if _is_health(scope) else app)(scope, receive, send)

        return answer

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer a request."""
        known = _is_health(scope)
        status = 404 if not known else 200 if self.ready or scope["path"] == _LIVE else 503
        body = json.dumps({"ready": self.ready, "waiting_for": sorted(self.waiting_for)}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _is_health(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["path"] in {_LIVE, _READY}


def inherited(descriptor: int) -> socket.socket:
    """Return the socket that this process was started with as *descriptor*.

    Raises:
        ConfigurationError: There is none.
    """
    try:
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise ConfigurationError(f"{descriptor} is no open socket: {error.strerror}") from error


def load_service(place: str) -> Service:
    """Return the service at *place*, ``package.module:name``; modules of the current folder are found.

    Raises:
        DeclarationError: There is no service at that place.
    """
    module_name, colon, name = place.partition(":")
    if not colon:
        raise DeclarationError(f"{place!r} names no service; write it as package.module:name")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise DeclarationError(f"there is no module {error.name!r} here; run in the folder that has it") from error
    found = getattr(module, name, None)
    if not isinstance(found, Service):
        raise DeclarationError(f"{place} is no Service but {type(found).__name__}")
    return found


async def run_service(assembly: Assembly, options: RunOptions) -> None:
    """Run one process of a service until SIGINT or SIGTERM; return when everything is closed.

    Raises:
        DeclarationError: The service has nothing to do for a role that was asked for.
        ConfigurationError: It cannot listen where it should, or a library is missing.
        HoneyHiveError: What a role has failed with, if all that failed is of this kind.
        ExceptionGroup: A role has failed with something else; the others were ended gracefully before.
    """
    try:
        await _run(assembly, options)
    except ExceptionGroup as group:
        errors = list(_leaves(group))
        if all(isinstance(error, HoneyHiveError) for error in errors):
            raise errors[0] from group
        raise


def _leaves(error: Exception) -> Iterator[Exception]:
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _leaves(inner)


async def _run(assembly: Assembly, options: RunOptions) -> None:
    refuse_idle(assembly, options.roles)
    if "http" in options.roles:
        _require("fastapi")
    if "http" in options.roles or options.health_port is not None:
        _require("uvicorn")
    stopping = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, stopping, tasks.cancel_scope.cancel)
        if options.supervised:
            _stop_with_supervisor(stopping)
        async with assembly.opened(lambda handler: any(concerns(role, handler) for role in options.roles)) as process:
            await check_sharing(process, options.roles, options.processes)
            try:
                await _run_roles(process, Health(set(options.roles), stopping), options)
            finally:
                gc.unfreeze()
        tasks.cancel_scope.cancel()


def spare_what_stays() -> None:
    """Have the garbage collector pass over all that the process has made so far: it stays until the end anyway.

    Modules, classes and routes are some hundred thousand objects, and looking at them again and again takes a tenth of a
    second each time. ``gc.unfreeze()`` takes it back.
    """
    gc.collect()
    gc.freeze()


def listen_for(service: Service, options: RunOptions) -> AbstractContextManager[Sequence[socket.socket]]:
    """Open the sockets that HTTP is served on, unless there are some already.

    Raises:
        ConfigurationError: Nobody can listen there; the message says why.
    """
    from honeyhive.runtime.serving import listen

    if options.sockets:
        return contextlib.nullcontext(options.sockets)
    host = service.http.host if options.host is None else options.host
    port = service.http.port if options.port is None else options.port
    return listen(host, port)


def refuse_idle(assembly: Assembly, roles: Collection[Role]) -> None:
    """Raise unless there is something to do for each of *roles*.

    Raises:
        DeclarationError: There is nothing to do.
    """
    name = assembly.service.name
    if not roles:
        raise DeclarationError(f"the service {name!r} declares nothing that a process could do; give it controllers")
    for role in roles:
        if not declares(assembly, role):
            raise DeclarationError(f"the service {name!r} declares nothing for a {role} process")


async def _run_roles(process: Process, health: Health, options: RunOptions) -> None:
    async with anyio.create_task_group() as roles:
        for role in tuple(health.waiting_for):
            roles.start_soon(_run_role, role, process, health, options)
        if options.health_port is not None:
            await roles.start(_serve_health, health, options)


async def _run_role(role: Role, process: Process, health: Health, options: RunOptions) -> None:
    def ready(where: str = "") -> None:
        health.waiting_for.discard(role)
        options.announce(f"{process.assembly.service.name}: {role} is ready{where} (process {os.getpid()})")
        if not health.waiting_for:
            spare_what_stays()
            options.on_ready()

    try:
        await _RUN[role](process, health, options, ready)
    finally:
        # A process that has lost one of its roles ends, for its supervisor to start it anew.
        health.stopping.set()


Ready: TypeAlias = Callable[..., None]


async def _serve(process: Process, health: Health, options: RunOptions, ready: Ready) -> None:
    from honeyhive.runtime.http import app_of
    from honeyhive.runtime.serving import serve_app

    service = process.assembly.service
    with listen_for(service, options) as listeners:
        at = listeners[0].getsockname()
        await serve_app(
            health.answering_first(app_of(process)),
            listeners,
            health.stopping,
            drain_s=service.http.drain_s,
            started=lambda: ready(f" at http://{at[0]}:{at[1]}"),
            options=service.http.uvicorn,
        )


async def _work(process: Process, health: Health, _: RunOptions, ready: Ready) -> None:
    from honeyhive.runtime.worker import worker_of

    await (await worker_of(process)).run(health.stopping, ready)


async def _keep_time(process: Process, health: Health, options: RunOptions, ready: Ready) -> None:
    from honeyhive.runtime.scheduler import scheduler_of

    async with scheduler_of(process) as scheduler:
        ready()
        for coming in scheduler.coming():
            options.announce(f"{process.assembly.service.name}: {coming}")
        await scheduler.run(health.stopping)


async def _serve_health(health: Health, options: RunOptions, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    from honeyhive.runtime.serving import listen, serve_app

    with listen(options.host or "127.0.0.1", options.health_port or 0) as listeners:
        await serve_app(health, listeners, health.stopping, drain_s=0, started=task_status.started)


_RUN: Final[Mapping[Role, Callable[[Process, Health, RunOptions, Ready], Awaitable[None]]]] = {
    "http": _serve,
    "worker": _work,
    "scheduler": _keep_time,
}


def _require(library: str) -> None:
    if importlib.util.find_spec(library) is None:
        raise ConfigurationError(f"{library} is missing. Run: pip install 'honeyhive[http]'")


async def _stop_on_signal(stopping: anyio.Event, give_up: Callable[[], None]) -> None:
    """Set *stopping* at the first signal; at a second Ctrl-C *give_up* what is still under way."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            if stopping.is_set() and number == signal.SIGINT:
                give_up()
            stopping.set()


def _stop_with_supervisor(stopping: anyio.Event) -> None:
    """Set *stopping* when standard input ends: whoever started this process is gone.

    On a thread that nobody waits for: reading a pipe cannot be cancelled.
    """
    loop = asyncio.get_running_loop()

    def watch() -> None:
        while os.read(0, 1024):
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended before
            loop.call_soon_threadsafe(stopping.set)

    threading.Thread(target=watch, name="honeyhive-supervisor-watch", daemon=True).start()
