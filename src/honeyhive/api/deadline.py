"""A deadline over a whole exchange, for blocking sockets.

Timeouts of HTTP libraries hold for each read and each write, so a server that sends a byte now and then is never too
late. Here every operation on a socket gets what is left of its exchange's time. (Asynchronous code needs none of this:
cancelling does it.)
"""

from __future__ import annotations

import socket
import ssl
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore

from honeyhive.utils.clock import Clock

__all__ = ["DeadlineBackend"]


class DeadlineBackend(httpcore.NetworkBackend):
    """Opens connections whose every operation ends by the deadline of the calling thread.

    The deadline belongs to the thread rather than to the connection: connections are pooled, and an exchange runs in
    one thread from start to end.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._local = threading.local()
        self._backend = httpcore.SyncBackend()
        self._streams: weakref.WeakSet[_DeadlineStream] = weakref.WeakSet()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Give what the calling thread does in the block *seconds* altogether."""
        self._local.ends = self._clock.monotonic() + seconds
        try:
            yield
        finally:
            del self._local.ends

    def left(self, timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
        """Return how long the next operation may take; raise *error* if the time is over."""
        ends: float | None = getattr(self._local, "ends", None)
        if ends is None:
            return timeout
        left = ends - self._clock.monotonic()
        if left <= 0:
            raise error("the time for this request is over")
        return left if timeout is None else min(left, timeout)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of *host* that answers; each gets its share of the time."""
        addresses = _resolve(host, port)
        left = self.left(timeout, httpcore.ConnectTimeout)
        share = None if left is None else left / len(addresses)
        failure: Exception | None = None
        for address in addresses:
            try:
                return self.watched(self._backend.connect_tcp(address, port, share, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = failure or error
        raise failure or httpcore.ConnectError(f"{host} has no address")

    def watched(self, stream: httpcore.NetworkStream) -> httpcore.NetworkStream:
        """Put *stream* under the deadline."""
        watched = _DeadlineStream(stream, self)
        self._streams.add(watched)
        return watched

    def close_sockets(self) -> None:
        """Close this process's copies of all sockets: for a forked child. Says nothing to the other end."""
        for stream in list(self._streams):
            stream.close()


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, backend: DeadlineBackend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._backend.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        if self._stream.get_extra_info("ssl_object") is None:
            self._write_plain(self._stream.get_extra_info("socket"), view, timeout)
            return
        # In pieces: a peer that reads slowly gets the whole timeout for each piece, and we look at the clock between.
        for start in range(0, len(view), _PIECE):
            left = self._backend.left(timeout, httpcore.WriteTimeout)
            self._stream.write(bytes(view[start : start + _PIECE]), left)

    def _write_plain(self, plain: socket.socket, view: memoryview, timeout: float | None) -> None:
        """Write what the socket takes at a time, and look at the clock between; nothing is copied."""
        while view:
            plain.settimeout(self._backend.left(timeout, httpcore.WriteTimeout))
            try:
                view = view[plain.send(view) :]
            except TimeoutError as error:
                raise httpcore.WriteTimeout(str(error)) from error
            except OSError as error:
                raise httpcore.WriteError(str(error)) from error

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._backend.left(timeout, httpcore.ConnectTimeout)
        return self._backend.watched(self._stream.start_tls(ssl_context, server_hostname, left))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


_PIECE = 16_384


def _resolve(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"cannot resolve {host}: {error}") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
