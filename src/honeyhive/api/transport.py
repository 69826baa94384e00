"""One HTTP exchange: bytes out, a bounded reply in, within a deadline. Knows nothing of retries, keys or resources.

What holds for every exchange, blocking or not:

* it ends within its time, from resolving the name to the last byte of the reply, however slowly the other end drips
  (resolving alone cannot be cut short in a blocking call);
* it reads no more of the reply than it was told to;
* redirects are replies like any other, never followed, so nothing travels to an address nobody configured;
* OpenTelemetry instrumentations see nothing of it, or exporting spans would make spans;
* no header value shows in an error, a log or a repr.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import anyio
import httpcore
import httpx
from opentelemetry import context as otel_context

from honeyhive.api.pool import ConnectionPool
from honeyhive.exceptions import APIConnectionError, APITimeoutError, ConfigurationError

__all__ = ["Reply", "Request", "Transport"]

REPLY_LIMIT_BYTES = 65_536
CONNECT_TIMEOUT_S = 5.0


class Request(NamedTuple):
    """What to send."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Request({self.method} {_address(self.url)}, {len(self.body)} bytes)"


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """With lower-case names."""
    body: bytes
    """As sent, and no more of it than asked for."""
    truncated: bool = False
    """Whether there was more."""


class Transport:
    """Sends requests over a shared pool of connections. Safe to use from any thread, and after a fork.

    Args:
        pool: The connections; one of its own by default. Whoever makes a pool closes it.
        connect_timeout_s: The longest wait for a connection.
    """

    __slots__ = ("_connect_timeout_s", "_owns_pool", "_pool")

    def __init__(self, pool: ConnectionPool | None = None, *, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        self._pool = ConnectionPool() if pool is None else pool
        self._owns_pool = pool is None
        self._connect_timeout_s = connect_timeout_s

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Reply:
        """Post *body*; as ``send``."""
        return self.send(Request("POST", url, headers, body), timeout_s)

    def send(self, request: Request, timeout_s: float, limit_bytes: int = REPLY_LIMIT_BYTES) -> Reply:
        """Send *request* and return the reply, whatever its status.

        Args:
            request: What to send.
            timeout_s: For the whole exchange.
            limit_bytes: How much of the reply's body to read.

        Raises:
            APIConnectionError: There was no whole reply.
            APITimeoutError: There was none in time.
            ConfigurationError: The request cannot be written as HTTP.
        """
        message = self._message(request, timeout_s)
        with _errors_named(request), _unobserved(), self._pool.exchange(request.url, timeout_s) as transport:
            response = transport.handle_request(message)
            try:
                return _reply(response, *_read(cast(httpx.SyncByteStream, response.stream), limit_bytes))
            finally:
                response.close()

    async def send_async(self, request: Request, timeout_s: float, limit_bytes: int = REPLY_LIMIT_BYTES) -> Reply:
        """Do the same as ``send`` without blocking, on asyncio or trio."""
        message = self._message(request, timeout_s)
        with _errors_named(request), _unobserved(), anyio.fail_after(timeout_s):
            response = await self._pool.async_transport(request.url).handle_async_request(message)
            try:
                return _reply(response, *await _read_async(cast(httpx.AsyncByteStream, response.stream), limit_bytes))
            finally:
                await response.aclose()

    def close(self) -> None:
        """Close the connections, if the pool is this transport's own; may be called again."""
        if self._owns_pool:
            self._pool.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop too."""
        if self._owns_pool:
            await self._pool.aclose()

    def __repr__(self) -> str:
        return f"Transport({self._pool!r})"

    def _message(self, request: Request, timeout_s: float) -> httpx.Request:
        # Connecting and the TLS handshake get half each at most: httpcore closes the socket when its own timeout ends a
        # handshake, but not when it is cancelled.
        timeout = httpx.Timeout(timeout_s, connect=min(self._connect_timeout_s, timeout_s / 2))
        _check_headers(request.headers)
        with _errors_named(request):
            return httpx.Request(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=request.body,
                extensions={"timeout": timeout.as_dict()},
            )


def _read(chunks: Iterable[bytes], limit: int) -> tuple[bytes, bool]:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


async def _read_async(chunks: AsyncIterable[bytes], limit: int) -> tuple[bytes, bool]:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


def _reply(response: httpx.Response, body: bytes, truncated: bool) -> Reply:
    return Reply(response.status_code, dict(response.headers), body, truncated)


@contextmanager
def _errors_named(request: Request) -> Iterator[None]:
    address = _address(request.url)
    try:
        yield
    except (httpcore.TimeoutException, httpx.TimeoutException, TimeoutError) as error:
        raise APITimeoutError(f"{address} did not answer in time") from error
    except (httpcore.ProtocolError, httpx.ProtocolError):
        # Its text may quote the answer, and the answer may quote our headers.
        raise APIConnectionError(f"{address} broke off, or its answer is not HTTP") from None
    except (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError) as error:
        raise APIConnectionError(f"{address} cannot be reached over HTTP") from error
    except (httpcore.NetworkError, httpcore.ProxyError, httpx.TransportError, OSError) as error:
        raise APIConnectionError(f"cannot reach {address}: {str(error)[:200] or type(error).__name__}") from error
    except ImportError as error:
        raise APIConnectionError(f"cannot reach {address} through the proxy: install httpx[socks]") from error


@contextmanager
def _unobserved() -> Iterator[None]:
    context = otel_context.get_current()
    for key in _SUPPRESS:
        context = otel_context.set_value(key, True, context)
    token = otel_context.attach(context)
    try:
        yield
    finally:
        otel_context.detach(token)


# The first is what OpenTelemetry's own code asks for, under a private name; the second what older packages ask for.
_SUPPRESS = (
    *filter(None, [getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", None)]),
    "suppress_instrumentation",
)


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise ConfigurationError(
                f"the value of the HTTP header {name} has characters that cannot be sent, "
                "such as a line break, a blank at an end or a letter outside ASCII"
            )


def _address(url: str) -> str:
    """Return scheme, host and port of *url*, without login, path or query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an invalid address"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
