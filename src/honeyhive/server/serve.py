"""The backend of this machine: where it listens, how it is found, and how it ends.

The discovery file tells programs on this machine the address and where the token is. The journal's lock keeps a second
backend off the same data.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable, Generator
from typing import Final
from urllib.parse import urlsplit

import anyio

from honeyhive.exceptions import ConfigurationError
from honeyhive.models.wire import ServerFile, server_file_path
from honeyhive.runtime.run import RunOptions, run_service
from honeyhive.runtime.serving import listen
from honeyhive.server.admission.security import access_of, own_token_file
from honeyhive.server.config import LocalConfig
from honeyhive.server.service import local

__all__ = ["run_server"]

_ANSWERS_WITHIN_S: Final = 0.5


def run_server(config: LocalConfig, *, announce: Callable[[str], None]) -> None:
    """Run a backend until SIGINT or SIGTERM; return when everything is closed.

    Args:
        config: What it is told.
        announce: Told once, when the backend is ready, what a person should know: addresses.

    Raises:
        ConfigurationError: It cannot be run this way; the message names the fix.
        JournalError: The data directory cannot be used, or failed while running.
    """
    if config.token_file is None and not _is_loopback(config.host):
        raise ConfigurationError(
            f"{config.host} can be reached from other machines. Set a token of your own with --token-file to do that."
        )
    config = config.model_copy(update={"hosts": (config.host, *config.hosts)})
    _refuse_twin(config)
    token = access_of(config).token
    with listen(config.host, config.port) as sockets, contextlib.ExitStack() as stack:
        address = _address(sockets[0])
        token_file = config.token_file or own_token_file()
        facts = ServerFile(address, str(token_file.absolute()), os.getpid(), str(config.data.absolute()))

        def ready() -> None:
            stack.enter_context(_discoverable(facts))
            announce(f"honeyhive is ready at {address}\nOpen in a browser:  {address}/login#token={token}")

        options = RunOptions(sockets=sockets, on_ready=ready)
        anyio.run(run_service, local.build(config=config), options)


def _refuse_twin(config: LocalConfig) -> None:
    """Say where the backend is that runs on the same data; the lock of the journal would only tell that there is one."""
    other = ServerFile.read(server_file_path())
    if other is not None and other.data == str(config.data.absolute()) and _answers(other.address):
        raise ConfigurationError(
            f"A backend is running on {other.data} already: {other.address} (process {other.pid}). "
            "Use that one, stop it, or give this one its own directory with --data and another --port."
        )


def _answers(address: str) -> bool:
    place = urlsplit(address)
    with contextlib.suppress(OSError), socket.create_connection((place.hostname, place.port), _ANSWERS_WITHIN_S):
        return True
    return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = "127.0.0.1" if host == "0.0.0.0" else "::1" if host == "::" else host  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _discoverable(facts: ServerFile) -> Generator[None, None, None]:
    path = server_file_path()
    try:
        facts.write(path)
    except OSError as error:
        raise ConfigurationError(
            f"Programs would not find this backend: {path} cannot be written ({error.strerror}). "
            "Set XDG_STATE_HOME to a folder that is yours."
        ) from error
    try:
        yield
    finally:
        current = ServerFile.read(path)
        if current is not None and current.pid == facts.pid:
            path.unlink(missing_ok=True)
