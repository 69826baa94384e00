"""One running backend: what it opens, in which order, and how it is found and stopped.

The data directory holds ``journal/`` (the truth) and ``index.sqlite`` (made from it). The journal's lock keeps a second
server out. The discovery file tells programs on this machine the address and where the token is.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from starlette.routing import BaseRoute

from honeyhive.exceptions import ConfigurationError, JournalError, JournalLockedError
from honeyhive.journal import Journal
from honeyhive.models.wire import DEFAULT_PORT, LOCAL, ServerFile, server_file_path, spool_root, state_home
from honeyhive.server.adoption import Adopter
from honeyhive.server.app import create_app
from honeyhive.server.connections import guarded_protocol
from honeyhive.server.events import Intake
from honeyhive.server.home import INDEX_NAME, JOURNAL_NAME, data_home
from honeyhive.server.ingest import Ingest
from honeyhive.server.limits import Limits
from honeyhive.server.log import IngestLog
from honeyhive.server.pages import Pages
from honeyhive.server.projector import make_projector
from honeyhive.server.queries import Queries
from honeyhive.server.reading import Reading
from honeyhive.server.security import Access, allowed_hosts, load_token, read_token
from honeyhive.utils import SystemClock, new_session_id

__all__ = ["ServeOptions", "run_server"]

_ANY_IPV4: Final = "127.0.0.1"
_GRACE_S: Final = 5
_OPENING_S: Final = 1.0
"""How long the start waits for the index; a large one is checked meanwhile, and readers are told to come again."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to run a backend."""

    host: str = _ANY_IPV4
    port: int = DEFAULT_PORT
    """0 for any free port."""
    data: Path = field(default_factory=data_home)
    token_file: Path | None = None
    """Where the token is; ``None`` for the one in the state directory, made when absent."""
    hosts: Sequence[str] = ()
    """Further names by which the backend may be addressed."""
    anonymous_ingest: bool = False
    rebuild: bool = False
    """Project the whole journal again."""
    limits: Limits = field(default_factory=Limits)


def run_server(options: ServeOptions, *, announce: Callable[[str], None]) -> None:
    """Run a backend until SIGINT or SIGTERM; return when everything is closed.

    Args:
        options: How.
        announce: Told once, when the backend is ready, what a person should know: addresses.

    Raises:
        ConfigurationError: It cannot be run this way; the message names the fix.
        JournalError: The data directory cannot be used, or failed while running.
    """
    _require_explicit_token(options)
    token_file = options.token_file or state_home() / "server.token"
    access = Access(
        read_token(token_file) if options.token_file else load_token(token_file),
        allowed_hosts([options.host, *options.hosts]),
        options.anonymous_ingest,
    )
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(_open_journal(options.data))
        sockets = listen(options.host, options.port)
        for listener in sockets:
            stack.callback(listener.close)
        address = _address(sockets[0])
        backend = _Backend(options, access, journal)
        with (
            backend,
            _discoverable(ServerFile(address, str(token_file.absolute()), os.getpid(), str(options.data.absolute()))),
        ):
            announce(_announcement(address, access))
            backend.run(sockets)


class _Backend:
    """The parts of one backend, wired; entering it starts the threads, leaving it stops them."""

    def __init__(self, options: ServeOptions, access: Access, journal: Journal) -> None:
        limits = options.limits
        clock = SystemClock()
        intake = Intake(new_id=new_session_id, now_ms=lambda: clock.time_ns() / 1e6, limits=limits)
        index = options.data / INDEX_NAME
        queries = Queries(index, longest_s=limits.query_s)
        self._failure: BaseException | None = None
        self._projector = make_projector(journal, index, on_failure=self._fail, rebuild=options.rebuild)
        log = IngestLog(journal, on_append=self._projector.nudge, on_failure=self._fail, clock=clock)
        self._adopter = Adopter(spool_root() / LOCAL, log=log, intake=intake, limits=limits)
        ingest = Ingest(log=log, projector=self._projector, intake=intake, limits=limits)
        reading = Reading(queries=queries, log=log, projector=self._projector, limits=limits)
        pages = Pages(queries=queries, reading=reading, access=access)
        self._server = _server([*ingest.routes(), *reading.routes(), *pages.routes()], access, limits)

    def run(self, sockets: list[socket.socket]) -> None:
        """Serve until told to stop.

        Raises:
            JournalError: A part failed, so that nothing more can be accepted.
        """
        self._server.run(sockets)
        if self._failure is not None:
            raise JournalError(f"the backend stopped because its store failed: {self._failure}") from self._failure

    def __enter__(self) -> None:
        self._projector.start(wait_s=_OPENING_S)
        self._adopter.start()

    def __exit__(self, *_: object) -> None:
        self._adopter.stop()
        self._projector.stop()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn's server, which after a graceful stop raises the signal again and so kills what is left to be closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _: FrameType | None) -> None:
        self.force_exit = self.should_exit and number == signal.SIGINT
        self.should_exit = True


def _server(routes: Sequence[BaseRoute], access: Access, limits: Limits) -> _Server:
    return _Server(
        uvicorn.Config(
            create_app(routes, access),
            http=guarded_protocol(limits),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=limits.connections,
            h11_max_incomplete_event_size=limits.head_bytes,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )


def _open_journal(data: Path) -> Journal:
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"The data directory {data} cannot be made: {error.strerror}. Use --data.") from error
    try:
        return Journal(data / JOURNAL_NAME, keep=True, max_bytes=None, max_disk_share=None)
    except JournalLockedError as error:
        raise ConfigurationError(
            f"Another backend is running on {data}. Stop it, or give this one its own directory with --data."
        ) from error


def listen(host: str, port: int) -> list[socket.socket]:
    """Bind *host*; with 127.0.0.1 also [::1] at the same port where this machine has it."""
    try:
        listener = _bind(host, port)
    except OSError as error:
        raise ConfigurationError(
            f"Port {port} on {host} cannot be used ({error.strerror}). Choose another with --port, or --port 0 for any."
        ) from error
    if host != _ANY_IPV4:
        return [listener]
    with contextlib.suppress(OSError):
        return [listener, _bind("::1", listener.getsockname()[1])]
    return [listener]


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Naming the protocol makes asyncio turn Nagle's algorithm off; else every answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in host:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _require_explicit_token(options: ServeOptions) -> None:
    if options.token_file is None and not _is_loopback(options.host):
        raise ConfigurationError(
            f"{options.host} can be reached from other machines. Set a token of your own with --token-file to do that."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = _ANY_IPV4 if host == "0.0.0.0" else "::1" if host == "::" else host  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announcement(address: str, access: Access) -> str:
    return f"honeyhive is ready at {address}\nOpen in a browser:  {address}/login#token={access.token}"


@contextlib.contextmanager
def _discoverable(facts: ServerFile) -> Generator[None, None, None]:
    path = server_file_path()
    facts.write(path)
    try:
        yield
    finally:
        current = ServerFile.read(path)
        if current is not None and current.pid == facts.pid:
            path.unlink(missing_ok=True)
