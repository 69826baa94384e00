"""uvicorn as a part of a process: it listens where it is told, ends when it is told, and leaves signals alone."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import anyio
import uvicorn
from starlette.types import ASGIApp

from honeyhive.exceptions import ConfigurationError

__all__ = ["listen", "serve_app"]


@contextlib.contextmanager
def listen(host: str, port: int, descriptor: int | None = None) -> Iterator[socket.socket]:
    """Open a listening socket at *host* and *port*, or take the one that was inherited as *descriptor*.

    Raises:
        ConfigurationError: Nobody can listen there; the message says why.
    """
    with _inherited(descriptor) if descriptor is not None else _bound(host, port) as listener:
        yield listener


async def serve_app(
    app: ASGIApp, listener: socket.socket, stopping: anyio.Event, *, drain_s: float, started: Callable[[], object]
) -> None:
    """Serve *app* on *listener* until *stopping* is set and requests have ended, at most *drain_s* seconds later.

    Args:
        app: What answers; its lifespan is run.
        listener: A listening socket, which stays yours.
        stopping: Ends it.
        drain_s: How long running requests may take to end, in seconds.
        started: Called once when requests are answered.

    Raises:
        RuntimeError: The application could not be started.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(drain_s)),
    )
    server = _Server(config, started)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop, server, stopping)
        await server.serve([listener])
        tasks.cancel_scope.cancel()
    if not server.started:
        raise RuntimeError("the application failed while it was starting; its log says why")


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], object]) -> None:
        super().__init__(config)
        self._tell = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process: it has more than this server to end."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell so."""
        await super().startup(sockets)
        if self.started:
            self._tell()


async def _stop(server: uvicorn.Server, stopping: anyio.Event) -> None:
    await stopping.wait()
    server.should_exit = True


def _inherited(descriptor: int) -> socket.socket:
    try:
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise ConfigurationError(f"{descriptor} is no open socket: {error.strerror}") from error


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Naming the protocol makes asyncio turn Nagle's algorithm off; else every answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Port {port} on {host} cannot be used ({error.strerror}). Choose another with --port, or --port 0 for any."
        ) from error
    return listener
