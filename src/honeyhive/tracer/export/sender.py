"""How a record leaves: over HTTP to an address, or to the backend that runs on this machine.

A sender knows addresses and headers, and nothing of retries. `Sender` is the seam for other ways out (gRPC, a
test's own); `HttpSender` and `LocalSender` are built on the transport of `honeyhive.api`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from honeyhive.exceptions import APIConnectionError
from honeyhive.models.wire import RecordKind, ServerFile, server_file_path
from honeyhive.tracer.export.destination import Destination
from honeyhive.tracer.export.rules import Reply
from honeyhive.utils.clock import Clock
from honeyhive.utils.guard import guard

if TYPE_CHECKING:
    from honeyhive.api.transport import Request

__all__ = ["HttpSender", "LocalSender", "Muted", "Sender", "SharedTransport", "Transport", "http_transport"]

_LOOK_AGAIN_S = 1.0


class Transport(Protocol):
    """What exchanges requests for replies; `honeyhive.api.transport.Transport` is one."""

    def send(self, request: Request, timeout_s: float) -> Reply:
        """Send *request* and return the answer.

        Raises:
            APIConnectionError: None came, or none in time.
            ConfigurationError: The request cannot be written as HTTP.
        """

    def close(self) -> None:
        """Close what is open."""


def http_transport() -> Transport:
    """Make the real transport; loads the HTTP stack, so only senders' threads do it."""
    from honeyhive.api.transport import Transport as HttpTransport

    return HttpTransport()


class SharedTransport:
    """One transport for all senders, made when the first of them needs it. Thread-safe.

    Args:
        make: Makes it.
    """

    def __init__(self, make: Callable[[], Transport]) -> None:
        self._make = make
        self.renew()

    def renew(self) -> None:
        """In a forked child: leave the parent's connections alone."""
        # Keeps "one transport". Held while one is made, which loads the HTTP stack: nothing else may wait for it.
        self._making = threading.RLock()
        self._transport: Transport | None = None

    def get(self) -> Transport:
        """Return the transport."""
        with self._making:
            if self._transport is None:
                self._transport = self._make()
            return self._transport

    def close(self) -> None:
        """Close its connections; whoever sends after that opens new ones."""
        transport, self._transport = self._transport, None
        if transport is not None:
            with guard("close connections"):
                transport.close()


class Sender(Protocol):
    """A way out for records, used by one thread at a time."""

    def ready(self) -> bool:
        """Tell whether there is anybody to send to; cheap enough to be asked once a second."""

    def send(self, kind: RecordKind, payload: bytes) -> Reply:
        """Send one payload and return the answer.

        Raises:
            APIConnectionError: None came, or none in time.
            ConfigurationError: The address or a header cannot be used.
        """


class Muted:
    """The sender of an unusable destination: nobody is ever there."""

    def ready(self) -> bool:
        """Return false."""
        return False

    def send(self, kind: RecordKind, payload: bytes) -> Reply:
        """Refuse; nobody should have asked."""
        raise APIConnectionError(f"there is no usable address for {len(payload)} bytes of {kind.name}")


class HttpSender:
    """Sends to a fixed address.

    Args:
        destination: Address and headers.
        transport: Made when first needed, in the sender's thread; shared with others.
        timeout_s: Says what the next request may take.
    """

    def __init__(
        self, destination: Destination, transport: Callable[[], Transport], timeout_s: Callable[[], float]
    ) -> None:
        self._destination = destination
        self._transport = transport
        self._timeout_s = timeout_s

    def ready(self) -> bool:
        """Return true: whether anybody listens, only a request can tell."""
        return True

    def send(self, kind: RecordKind, payload: bytes) -> Reply:
        """Post to the address that takes this kind."""
        return self._post(self._destination, kind, payload)

    def _post(self, destination: Destination, kind: RecordKind, payload: bytes) -> Reply:
        return self._transport().send(_request(destination, kind, payload), self._timeout_s())


class LocalSender(HttpSender):
    """Sends to the backend on this machine while it runs; looks for it at most once a second.

    Args:
        transport: As for `HttpSender`.
        timeout_s: Says what the next request may take.
        clock: Paces the looking.
        server_file: Finds the discovery file; may raise `RuntimeError` where there is no home.
    """

    def __init__(
        self,
        transport: Callable[[], Transport],
        timeout_s: Callable[[], float],
        clock: Clock,
        server_file: Callable[[], Path] = server_file_path,
    ) -> None:
        super().__init__(Destination.local(), transport, timeout_s)
        self._clock = clock
        self._server_file = server_file
        self._found: Destination | None = None
        self._look_at = float("-inf")

    def ready(self) -> bool:
        """Tell whether a backend says that it runs."""
        now = self._clock.monotonic()
        if self._found is None and now >= self._look_at:
            self._look_at = now + _LOOK_AGAIN_S
            self._found = self._look()
        return self._found is not None

    def send(self, kind: RecordKind, payload: bytes) -> Reply:
        """Post to the backend found last; one that does not answer is looked for anew."""
        if self._found is None:
            raise APIConnectionError("no backend runs on this machine")
        try:
            reply = self._post(self._found, kind, payload)
        except APIConnectionError:
            self._found = None
            self._look_at = self._clock.monotonic() + _LOOK_AGAIN_S
            raise
        if reply.status in (401, 403):
            # A restarted backend has a new token.
            self._found = None
        return reply

    def _look(self) -> Destination | None:
        try:
            server = ServerFile.read(self._server_file())
            if server is None:
                return None
            token = Path(server.token_file).read_text("ascii").strip()
        except (OSError, RuntimeError, UnicodeDecodeError):
            return None
        address = server.address.rstrip("/")
        return Destination.remote(f"{address}/v1/traces", key=token, rest_url=address)


def _request(destination: Destination, kind: RecordKind, payload: bytes) -> Request:
    # Loads the HTTP stack: only a sender's thread comes here.
    from honeyhive.api.transport import Request

    if kind is RecordKind.REST:
        record = json.loads(payload)
        headers = {**destination.headers, "content-type": "application/json"}
        return Request(
            record["method"], destination.rest_url + record["path"], headers, json.dumps(record["body"]).encode()
        )
    url = destination.traces_url
    if kind is RecordKind.LOGS:
        url = url.removesuffix("traces") + "logs"
    return Request("POST", url, {**destination.headers, "content-type": "application/x-protobuf"}, payload)
