"""The client of a HoneyHive service, or of the backend on this machine.

``HoneyHive`` holds the settings, the connections and the health of the service; the resources say what each call does;
the flow in the middle (``_conversation``, ``_exchange``) decides what happens when it does not go well. Two thin drivers
run that flow, blocking or not.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NoReturn, Self, TypeVar

from honeyhive.api.answers import is_transient, payload
from honeyhive.api.degrade import CallStatistics, Degradation
from honeyhive.api.endpoint import Ask, Asking, Call
from honeyhive.api.flow import Flow, Send, Wait, run, run_async
from honeyhive.api.pool import ConnectionPool
from honeyhive.api.rate import RateLimit
from honeyhive.api.resources import EventsAPI, SessionsAPI
from honeyhive.api.service import ClientSettings, Secret, client_settings
from honeyhive.api.transport import Request, Transport
from honeyhive.exceptions import APICircuitOpenError, APIConnectionError, APIError, ConfigurationError
from honeyhive.resilience import facts
from honeyhive.resilience.breaker import CircuitBreaker
from honeyhive.resilience.policy import RetryPolicy
from honeyhive.utils.clock import Clock, SystemClock
from honeyhive.utils.ids import new_session_id

__all__ = ["HoneyHive"]

T = TypeVar("T")

ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
_DEFAULT_RETRY = RetryPolicy(max_attempts=4, delay=0.5, max_delay=10.0, max_age=60.0, exceptions=(APIError,))

_logger = logging.getLogger("honeyhive.api")


class HoneyHive:
    """Talks to the REST interface: ``client.sessions`` and ``client.events``, each method also as ``..._async``.

    Opens nothing before the first call. Calls that may succeed a little later (no answer, 408, 425, 429, 5xx) are
    tried again as *retry_config* says, waiting at least as long as the service asks. An operation that keeps failing
    is not tried for half a minute (``APICircuitOpenError``).

    What the service and the network do wrong is handled in one of two ways. A strict client raises an ``APIError``.
    Otherwise the method returns its documented fallback, one warning tells of the outage, and ``statistics()`` counts.
    What the program does wrong (a missing key, a request that cannot be) raises either way.

    Safe to use from any thread, in any number of event loops, and in forked children. Cannot be pickled: it holds keys.

    Args:
        api_key: Key of a project; ``HH_API_KEY``. Without any key the backend on this machine is used.
        project: The project of requests that name none; ``HH_PROJECT``.
        ingestion_api_key: Key for writing, instead of *api_key*; ``HH_INGESTION_API_KEY``.
        data_plane_api_key: Key for reading where *api_key* is not given; ``HH_DATA_PLANE_API_KEY``.
        base_url: Another name for *server_url*, which it precedes.
        server_url: Address of the service; ``HH_API_URL``.
        timeout: Seconds for each try of a call, all included; 5 by default, ``HH_API_TIMEOUT``.
        retry_config: How often to try, and how long to wait in between.
        rate_limit_calls: The most exchanges within *rate_limit_window*; further ones wait. No limit by default.
        rate_limit_window: Seconds; 60 by default.
        max_connections: The most connections open at once; 100 by default.
        max_keepalive: The most connections kept open while idle; 20 by default.
        strict: Whether failures of the service raise; ``HH_STRICT``.
        test_mode: Send nothing; every method returns its fallback.
        verbose: Log every exchange at level INFO on logger ``honeyhive.api``.
        cp_base_url: Refused; there is no separate control plane.
        tracer_instance: Refused; the client needs no tracer.
        clock: Measures and waits, for blocking calls.
        new_id: Makes the ids that requests leave out.
        pool: Connections to share with other clients; whoever made it closes it.

    Raises:
        ConfigurationError: An argument has the wrong type or no meaning here.
    """

    def __init__(
        self,
        api_key: str | None = None,
        project: str | None = None,
        *,
        ingestion_api_key: str | None = None,
        data_plane_api_key: str | None = None,
        base_url: str | None = None,
        server_url: str | None = None,
        cp_base_url: None = None,
        timeout: float | None = None,
        retry_config: RetryPolicy | None = None,
        rate_limit_calls: int | None = None,
        rate_limit_window: float | None = None,
        max_connections: int | None = None,
        max_keepalive: int | None = None,
        strict: bool | None = None,
        test_mode: bool | None = None,
        verbose: bool | None = None,
        tracer_instance: None = None,
        clock: Clock | None = None,
        new_id: Callable[[], str] = new_session_id,
        pool: ConnectionPool | None = None,
    ) -> None:
        _refuse(cp_base_url, "cp_base_url", "one address serves all calls; give server_url")
        _refuse(tracer_instance, "tracer_instance", "the client needs no tracer; leave it out")
        keywords = {
            "api_key": api_key,
            "ingestion_api_key": ingestion_api_key,
            "data_plane_api_key": data_plane_api_key,
            "project": project,
            "server_url": base_url or server_url,
            "timeout": timeout,
            "strict": strict,
            "test_mode": test_mode,
            "verbose": verbose,
        }
        self._settings = client_settings(keywords, os.environ)
        self._retry = _checked_retry(retry_config)
        self._clock = clock or SystemClock()
        self._rate = _rate_limit(rate_limit_calls, rate_limit_window, self._clock)
        self._owned_pool = _own_pool(pool, max_connections, max_keepalive, self._clock)
        self._transport = Transport(pool or self._owned_pool)
        self._breakers: dict[str, CircuitBreaker] = {}
        self._degradation = Degradation(self._clock)
        self.sessions = SessionsAPI(self, self._settings.project, new_id)
        self.events = EventsAPI(self, self._settings.project, new_id)
        for problem in self._settings.problems:
            _logger.error("%s", problem.text)

    # -- what it was told ------------------------------------------------------------------------

    @property
    def api_config(self) -> ClientSettings:
        """All settings; keys do not show in its repr."""
        return self._settings

    @property
    def api_key(self) -> str | None:
        """The project's key."""
        return self._settings.api_key

    @property
    def ingestion_api_key(self) -> str | None:
        """The key for writing, if there is a separate one."""
        return self._settings.ingestion_api_key

    @property
    def data_plane_api_key(self) -> str | None:
        """The key for reading, if there is a separate one."""
        return self._settings.data_plane_api_key

    @property
    def retry_config(self) -> RetryPolicy:
        """How often calls are tried."""
        return self._retry

    @property
    def server_url(self) -> str:
        """The address of the service, as configured."""
        return self._settings.address

    @property
    def test_mode(self) -> bool:
        """Whether nothing is sent."""
        return self._settings.test_mode

    @property
    def timeout(self) -> float:
        """Seconds that each try of a call may take."""
        return self._settings.timeout

    @property
    def verbose(self) -> bool:
        """Whether every exchange is logged."""
        return self._settings.verbose

    def statistics(self) -> CallStatistics:
        """Return how many calls went well, and how many failed of what."""
        return self._degradation.statistics()

    # -- life ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections of blocking calls; may be called again, and a later call opens new ones."""
        if self._owned_pool is not None:
            self._owned_pool.close()

    async def aclose(self) -> None:
        """Close all connections, those of this event loop included."""
        if self._owned_pool is not None:
            await self._owned_pool.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        key = None if self.api_key is None else "***"
        return f"HoneyHive(api_key={key!r}, project={self._settings.project!r}, server_url={self.server_url!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a HoneyHive client holds keys and connections and cannot be pickled; make one in each process")

    # -- performing calls ------------------------------------------------------------------------

    def perform(self, call: Call[T]) -> T:
        """Perform *call*, blocking; what the resources' methods do."""
        return run(self._conversation(call), self._transport, self._clock)

    async def perform_async(self, call: Call[T]) -> T:
        """Perform *call* without blocking."""
        return await run_async(self._conversation(call), self._transport)

    def _conversation(self, call: Call[T]) -> Flow[T]:
        """Go through the steps of *call*; fall back if the service fails and this client is not strict."""
        if self._settings.test_mode:
            return call.fallback
        breaker = self._breaker(call.operation)
        verdict: Callable[[], object] = breaker.abandoned
        try:
            self._check_usable(breaker, call.operation)
            result = yield from call.steps(self._asking(call.operation))
            verdict = breaker.succeeded
        except APIError as error:
            verdict = _verdict(breaker, error)
            self._degradation.count(error)
            if self._settings.strict:
                raise
            self._degradation.report(call.operation, error)
            return call.fallback
        finally:
            # Also when the caller was cancelled, or the program was at fault: nobody else reports for this call.
            verdict()
        self._degradation.succeeded(call.operation)
        return result

    def _asking(self, operation: str) -> Asking:
        def exchange(ask: Ask) -> Flow[object]:
            return self._exchange(operation, ask)

        return exchange

    def _exchange(self, operation: str, ask: Ask) -> Flow[object]:
        """Send *ask* until there is an answer or no sense in trying again."""
        target = self._settings.target(ask.key_kind)
        request = Request(ask.method, f"{target.address}{ask.path}", self._headers(target.key), ask.body)
        attempts = self._retry.begin(self._clock)
        while True:
            if self._rate is not None and (wait_s := self._rate.reserve()) > 0:
                yield Wait(wait_s)
            number = attempts.number
            try:
                return (yield from self._attempt(operation, request))
            except APIError as error:
                pause_s = attempts.pause_after(error) if is_transient(error) else None
                facts.attempt_failed(operation, number, pause_s, error)
                if pause_s is None:
                    raise
            yield Wait(pause_s)

    def _attempt(self, operation: str, request: Request) -> Flow[object]:
        started = self._clock.monotonic()
        reply = yield Send(request, self._settings.timeout, ANSWER_LIMIT_BYTES)
        assert reply is not None  # noqa: S101 - a driver answers every Send with a reply
        if self._settings.verbose:
            took_ms = (self._clock.monotonic() - started) * 1000
            _logger.info("%s: %r answered %d in %.0f ms", operation, request, reply.status, took_ms)
        return payload(operation, reply, self._clock.time_ns(), self._settings.secrets())

    def _check_usable(self, breaker: CircuitBreaker, operation: str) -> None:
        unusable = [problem.text for problem in self._settings.problems if problem.setting == "server_url"]
        if unusable:
            raise APIConnectionError(f"{operation} was not tried: {unusable[0]}")
        if not breaker.allow():
            retry_in_s = breaker.retry_in_s
            raise APICircuitOpenError(
                f"{operation} was not tried: it has failed {breaker.failure_count} times in a row; "
                f"the next try is in {retry_in_s:.0f} s",
                retry_after_s=retry_in_s,
            )

    def _breaker(self, operation: str) -> CircuitBreaker:
        breaker = self._breakers.get(operation)
        # setdefault is atomic: of two threads at their first call, both get the same breaker.
        return breaker or self._breakers.setdefault(operation, CircuitBreaker(clock=self._clock))

    def _headers(self, key: Secret) -> Mapping[str, str]:
        return {
            "Authorization": Secret(f"Bearer {key}"),
            "Accept": "application/json",
            "Content-Type": "application/json",
            **_identity(),
        }


def _verdict(breaker: CircuitBreaker, error: APIError) -> Callable[[], object]:
    """Return what *error* says about the service's health."""
    if isinstance(error, APICircuitOpenError):
        return _nothing
    return breaker.failed if is_transient(error) else breaker.succeeded


def _nothing() -> None:
    """Report nothing: the service was not asked."""


def _identity() -> Mapping[str, str]:
    import honeyhive

    return {
        "User-Agent": f"honeyhive-python/{honeyhive.__version__} python/{platform.python_version()}",
        "hh-client-version": honeyhive.__version__,
        "hh-client-language": "python",
        "hh-client-package": "honeyhive",
    }


def _refuse(value: object, name: str, reason: str) -> None:
    if value is not None:
        raise ConfigurationError(f"{name} is not supported: {reason}")


def _checked_retry(policy: object) -> RetryPolicy:
    if policy is None:
        return _DEFAULT_RETRY
    if not isinstance(policy, RetryPolicy):
        raise ConfigurationError(
            f"retry_config must be a honeyhive.resilience.RetryPolicy, not {type(policy).__name__}"
        )
    return policy


def _rate_limit(calls: int | None, window_s: float | None, clock: Clock) -> RateLimit | None:
    if calls is None:
        _refuse(window_s, "rate_limit_window without rate_limit_calls", "it would limit nothing; give both")
        return None
    window_s = 60.0 if window_s is None else window_s
    if calls < 1 or not 0 < window_s < float("inf"):
        raise ConfigurationError(
            "rate_limit_calls must be at least 1, and rate_limit_window a positive number of seconds"
        )
    return RateLimit(calls, window_s, clock)


def _own_pool(
    shared: ConnectionPool | None, max_connections: int | None, max_keepalive: int | None, clock: Clock
) -> ConnectionPool | None:
    if shared is not None:
        _refuse(max_connections, "max_connections with pool", "the pool has its own; set it there")
        _refuse(max_keepalive, "max_keepalive with pool", "the pool has its own; set it there")
        return None
    try:
        return ConnectionPool(
            100 if max_connections is None else max_connections,
            20 if max_keepalive is None else max_keepalive,
            clock=clock,
        )
    except (TypeError, ValueError) as error:
        raise ConfigurationError(str(error)) from error
