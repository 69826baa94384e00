"""uvicorn as a part of a process: it listens where it is told, ends when it is told, and leaves signals alone."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import anyio
import uvicorn
from starlette.types import ASGIApp

from honeyhive.exceptions import ConfigurationError

__all__ = ["listen", "serve_app"]


_ANY_IPV4: Final = "127.0.0.1"


@contextlib.contextmanager
def listen(host: str, port: int) -> Iterator[Sequence[socket.socket]]:
    """Listen at *host* and *port*; with 127.0.0.1 also at [::1] where this machine has it: a client may try that first.

    Raises:
        ConfigurationError: Nobody can listen there; the message says why.
    """
    with contextlib.ExitStack() as stack:
        try:
            listeners = [stack.enter_context(_bound(host, port))]
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} on {host} cannot be used ({error.strerror}). "
                "Choose another with --port, or --port 0 for any."
            ) from error
        if host == _ANY_IPV4:
            with contextlib.suppress(OSError):
                listeners.append(stack.enter_context(_bound("::1", listeners[0].getsockname()[1])))
        yield listeners


async def serve_app(
    app: ASGIApp,
    listeners: Sequence[socket.socket],
    stopping: anyio.Event,
    *,
    drain_s: float,
    started: Callable[[], object],
    options: Mapping[str, Any] | None = None,
) -> None:
    """Serve *app* on *listeners* until *stopping* is set and requests have ended, at most *drain_s* seconds later.

    Args:
        app: What answers; its lifespan is run.
        listeners: Listening sockets, which stay yours.
        stopping: Ends it.
        drain_s: How long running requests may take to end, in seconds.
        started: Called once when requests are answered.
        options: Further ones of ``uvicorn.Config``.

    Raises:
        RuntimeError: The application could not be started.
    """
    config = uvicorn.Config(
        app,
        **{
            "log_config": None,
            "access_log": False,
            "server_header": False,
            "timeout_graceful_shutdown": max(1, round(drain_s)),
            **(options or {}),
        },
    )
    server = _Server(config, started)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop, server, stopping)
        await server.serve(list(listeners))
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


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Naming the protocol makes asyncio turn Nagle's algorithm off; else every answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener
