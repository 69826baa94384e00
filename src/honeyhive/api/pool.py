"""Connections, kept and shared: one pool under all requests of a client, however many resources and threads use it.

Connections are made per route: straight or through a proxy, plain or TLS. The environment's proxies are honoured, as
every other program on the machine does, except for addresses of this machine itself.
"""

from __future__ import annotations

import ipaddress
import itertools
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import httpcore
import httpx
from anyio.lowlevel import RunVar

from honeyhive.api.deadline import DeadlineBackend
from honeyhive.utils.clock import Clock, SystemClock
from honeyhive.utils.fork import Renewable, renew_after_fork

__all__ = ["ConnectionPool", "Route", "route_to"]


class Route(NamedTuple):
    """How a request travels."""

    tls: bool
    proxy: str | None
    """The proxy's URL, or ``None`` for the straight way."""


class ConnectionPool(Renewable):
    """Keeps connections open between requests and bounds how many there are.

    Opens nothing before the first request. Safe to use from any thread; asynchronous requests have connections of
    their own in each event loop. A forked child starts with an empty pool, the parent's connections stay its own.

    Args:
        max_connections: Open at once for one route; further requests wait.
        max_keepalive_connections: Kept open while idle.
        keepalive_expiry: Seconds after which an idle connection is closed.
        clock: Measures the deadlines of blocking requests.
        transport: Makes what carries the requests of a route, instead of sockets: for tests.
        async_transport: The same for asynchronous requests.
    """

    def __init__(
        self,
        max_connections: int = 100,
        max_keepalive_connections: int = 20,
        keepalive_expiry: float = 30.0,
        *,
        clock: Clock | None = None,
        transport: Callable[[Route], httpx.BaseTransport] | None = None,
        async_transport: Callable[[Route], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        if max_connections < 1:
            raise ValueError(f"max_connections is {max_connections}; it must be at least 1")
        if max_keepalive_connections < 0:
            raise ValueError(f"max_keepalive_connections is {max_keepalive_connections}; it must not be negative")
        if not keepalive_expiry >= 0:
            raise ValueError(f"keepalive_expiry is {keepalive_expiry}; it must be zero or more seconds")
        self.max_connections = max_connections
        self.max_keepalive_connections = max_keepalive_connections
        self.keepalive_expiry = keepalive_expiry
        self._clock = clock or SystemClock()
        self._backend = DeadlineBackend(self._clock)
        self._make_transport = transport or self._open
        self._make_async_transport = async_transport or self._open_async
        self._transports: dict[Route, httpx.BaseTransport] = {}
        # Keeps "one transport per route" when threads race to the first request. Held while a transport is made, which
        # opens no connection.
        self._lock = threading.Lock()
        self._async_transports = _per_event_loop()
        renew_after_fork(self)

    @contextmanager
    def exchange(self, url: str, timeout_s: float) -> Iterator[httpx.BaseTransport]:
        """Lend what carries a blocking request to *url*; all that happens in the block ends by *timeout_s*."""
        route = route_to(url)
        with self._lock:
            transport = self._transports.get(route)
            if transport is None:
                transport = self._transports[route] = self._make_transport(route)
        with self._backend.within(timeout_s):
            yield transport

    def async_transport(self, url: str) -> httpx.AsyncBaseTransport:
        """Return what carries an asynchronous request to *url* in the running event loop."""
        transports = self._async_transports.get({})
        self._async_transports.set(transports)
        route = route_to(url)
        if route not in transports:
            transports[route] = self._make_async_transport(route)
        return transports[route]

    def close(self) -> None:
        """Close the connections of blocking requests; a later request opens new ones."""
        with self._lock:
            transports, self._transports = self._transports, {}
        for transport in transports.values():
            transport.close()

    async def aclose(self) -> None:
        """Close all connections that this event loop and blocking requests have opened."""
        transports = self._async_transports.get({})
        self._async_transports.set({})
        for transport in transports.values():
            await transport.aclose()
        self.close()

    def renew(self) -> None:
        """Leave the parent's connections alone: for a forked child."""
        self._lock = threading.Lock()
        self._transports = {}
        self._async_transports = _per_event_loop()
        self._backend.close_sockets()
        self._backend = DeadlineBackend(self._clock)

    def __repr__(self) -> str:
        return (
            f"ConnectionPool(max_connections={self.max_connections}, "
            f"max_keepalive_connections={self.max_keepalive_connections}, keepalive_expiry={self.keepalive_expiry})"
        )

    def _open(self, route: Route) -> httpx.BaseTransport:
        context = _tls_context(route)
        if route.proxy is None:
            pool = httpcore.ConnectionPool(
                ssl_context=context,
                max_connections=self.max_connections,
                max_keepalive_connections=self.max_keepalive_connections,
                keepalive_expiry=self.keepalive_expiry,
                network_backend=self._backend,
            )
            return _PoolTransport(pool)
        address, login = _split_login(route.proxy)
        kind = httpcore.SOCKSProxy if address.startswith("socks5") else httpcore.HTTPProxy
        return _PoolTransport(
            kind(
                proxy_url=address,
                proxy_auth=login,
                ssl_context=context,
                max_connections=self.max_connections,
                max_keepalive_connections=self.max_keepalive_connections,
                keepalive_expiry=self.keepalive_expiry,
                network_backend=self._backend,
            )
        )

    def _open_async(self, route: Route) -> httpx.AsyncBaseTransport:
        limits = httpx.Limits(
            max_connections=self.max_connections,
            max_keepalive_connections=self.max_keepalive_connections,
            keepalive_expiry=self.keepalive_expiry,
        )
        proxy = None if route.proxy is None else httpx.Proxy(route.proxy)
        return httpx.AsyncHTTPTransport(verify=_tls_context(route), limits=limits, proxy=proxy)


class _PoolTransport(httpx.BaseTransport):
    """httpx's transport interface over a pool whose network backend is ours, which httpx's own does not offer."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._pool.handle_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.content,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


_numbers = itertools.count()


def _per_event_loop() -> RunVar[dict[Route, httpx.AsyncBaseTransport]]:
    # Older anyio tells such variables apart by their names.
    return RunVar(f"honeyhive_transports_{next(_numbers)}")


def route_to(url: str) -> Route:
    """Return how a request to *url* travels from this machine."""
    parts = urlsplit(url)
    return Route(parts.scheme == "https", _proxy_for(parts.scheme, parts.hostname or ""))


def _proxy_for(scheme: str, host: str) -> str | None:
    if _is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tls_context(route: Route) -> ssl.SSLContext:
    """Return a context that verifies; for plain routes one that trusts nobody and costs nothing to make."""
    if route.tls:
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _split_login(proxy: str) -> tuple[str, tuple[str, str] | None]:
    parts = urlsplit(proxy)
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if parts.username is None:
        return address, None
    return address, (unquote(parts.username), unquote(parts.password or ""))
