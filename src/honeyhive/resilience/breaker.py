"""A circuit breaker: after enough failures in a row, stop asking for a while, then ask once.

The core knows neither what is called nor how: callers ask ``allow()`` first and report ``succeeded()`` or ``failed()``
after, so the same breaker serves the API client and the exporter's senders. On top of it stand the forms that people
write: ``await breaker.call(...)``, ``@breaker``, ``with breaker:``, ``async with breaker:``.
"""

from __future__ import annotations

import functools
import logging
import math
import threading
from collections.abc import Awaitable, Callable
from enum import StrEnum
from types import TracebackType
from typing import Any, ClassVar, Final, Literal, Self, TypedDict, TypeVar, Unpack, cast

from honeyhive.exceptions import CircuitOpenError
from honeyhive.resilience.checks import require_error_classes
from honeyhive.utils.clock import Clock, SystemClock
from honeyhive.utils.fork import Renewable, renew_after_fork

__all__ = ["CircuitBreaker", "CircuitState"]


T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_logger: Final = logging.getLogger("honeyhive.resilience")


class CircuitState(StrEnum):
    """Where a circuit breaker stands."""

    CLOSED = "closed"
    """Calls pass."""
    OPEN = "open"
    """Calls are refused."""
    HALF_OPEN = "half_open"
    """One call, the probe, decides."""


class CircuitSettings(TypedDict, total=False):
    """The keywords of ``CircuitBreaker.named``."""

    failure_threshold: int
    timeout: float
    exceptions: tuple[type[Exception], ...]
    clock: Clock


class CircuitBreaker(Renewable):
    """Refuses calls to something that has failed *failure_threshold* times in a row.

    *timeout* seconds after opening it lets one call through, the probe. Its success closes the breaker, its failure
    opens it for another *timeout*. A probe that never reports is given up after *timeout* seconds and another one is
    let through, so that a lost caller cannot keep the breaker open.

    ::

        payments = CircuitBreaker.named("payments", failure_threshold=5, timeout=60)

        receipt = await payments.call(lambda: charge(card))


        @payments  # synchronous functions and coroutine functions
        async def refund(receipt): ...


        with payments:  # or async with
            ...

    A cancelled call says nothing about what it called, and is not counted. Refusals and changes of state are told on
    the current span, changes also at level INFO on logger ``honeyhive.resilience``.

    Safe to use from any thread, in any number of event loops and in a forked child; it never blocks.

    Args:
        failure_threshold: Failures in a row that open the breaker; at least 1.
        timeout: Seconds from opening to the next probe.
        name: What it protects, for messages and spans.
        exceptions: The errors that count as failures; any other ``Exception`` shows that what was called is there.
        clock: Measures *timeout*.

    Raises:
        TypeError: *exceptions* is no tuple of ``Exception`` classes.
        ValueError: A number is outside its range.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_failures",
        "_lock",
        "_opened",
        "_probing_since",
        "exceptions",
        "failure_threshold",
        "name",
        "timeout",
    )

    _by_name: ClassVar[dict[str, CircuitBreaker]] = {}

    def __init__(
        self,
        failure_threshold: int = 5,
        timeout: float = 30.0,
        *,
        name: str = "circuit",
        exceptions: tuple[type[Exception], ...] = (Exception,),
        clock: Clock | None = None,
    ) -> None:
        if failure_threshold < 1:
            raise ValueError(f"failure_threshold is {failure_threshold}; it must be at least 1")
        if not 0 <= timeout < math.inf:
            raise ValueError(f"timeout is {timeout}; it must be zero or more seconds")
        require_error_classes("exceptions", exceptions)
        self.failure_threshold = failure_threshold
        self.timeout = timeout
        self.name = name
        self.exceptions = exceptions
        self._clock = clock or SystemClock()
        self._failures = 0
        self._opened: float | None = None
        self._probing_since: float | None = None
        self.renew()
        renew_after_fork(self)

    @classmethod
    def named(cls, name: str, **settings: Unpack[CircuitSettings]) -> CircuitBreaker:
        """Return this process's breaker of that name, made by the first who asks for it.

        Args:
            name: What it protects.
            **settings: As for a breaker of one's own. Later callers may leave them out.

        Raises:
            ValueError: There is one of that name with other settings.
        """
        known = cls._by_name.get(name)
        if known is None:
            # setdefault is atomic: of two threads that ask first, both get the same breaker.
            known = cls._by_name.setdefault(name, cls(name=name, **settings))
        for setting, value in settings.items():
            if setting != "clock" and getattr(known, setting) != value:
                raise ValueError(
                    f"circuit {name!r} has {setting} {getattr(known, setting)!r}, not {value!r}; "
                    f"say it where the circuit is first asked for, and only the name elsewhere"
                )
        return known

    @property
    def state(self) -> CircuitState:
        """Where the breaker stands now."""
        with self._lock:
            if self._opened is None:
                return CircuitState.CLOSED
            return CircuitState.OPEN if self._wait_s() > 0 else CircuitState.HALF_OPEN

    @property
    def failure_count(self) -> int:
        """Failures in a row so far."""
        return self._failures

    @property
    def retry_in_s(self) -> float:
        """Seconds until the next probe may pass; zero while calls pass."""
        with self._lock:
            return self._wait_s()

    def allow(self) -> bool:
        """Say whether a call may be made now; if so, report how it went.

        Of several callers asking a half-open breaker, one is told to go ahead.
        """
        return self._admit() is not CircuitState.OPEN

    def succeeded(self) -> bool:
        """Report that an allowed call went well: calls pass again. True if they did not before."""
        with self._lock:
            was_open = self._opened is not None
            self._failures = 0
            self._opened = None
            self._probing_since = None
            return was_open

    def failed(self) -> bool:
        """Report that an allowed call failed. True if this has opened the breaker, or has opened it again."""
        with self._lock:
            self._failures += 1
            opens = self._probing_since is not None or (
                self._opened is None and self._failures >= self.failure_threshold
            )
            if opens:
                self._opened = self._clock.monotonic()
                self._probing_since = None
            return opens

    def abandoned(self) -> None:
        """Report that an allowed call ended without a verdict, by cancellation say: another probe may go."""
        with self._lock:
            self._probing_since = None

    def reset(self) -> None:
        """Close the breaker and forget all failures; for tests, and for people who know better."""
        self.succeeded()

    # -- the forms people write ------------------------------------------------------------------

    async def call(self, operation: Callable[[], Awaitable[T]] | Awaitable[T]) -> T:
        """Await *operation*, if calls pass.

        Args:
            operation: An awaitable, or a callable without arguments that returns one.

        Raises:
            CircuitOpenError: They do not; *operation* was not begun.
            TypeError: *operation* cannot be awaited.
        """
        from honeyhive.resilience.operations import begin, checked, discard

        usable = checked(operation, "call")
        try:
            with self:
                result: T = await begin(usable, "call")
                return result
        finally:
            discard(operation)

    def __call__(self, function: F) -> F:
        """Return *function*, called only while calls pass; for coroutine functions as well."""
        from honeyhive.resilience.operations import is_async, refuse_generators

        refuse_generators(function, "a circuit breaker")
        if is_async(function):

            @functools.wraps(function)
            async def guarded_async(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return cast("F", guarded_async)

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return cast("F", guarded)

    def __enter__(self) -> Self:
        admitted = self._admit()
        if admitted is CircuitState.OPEN:
            raise self._refusal()
        if admitted is CircuitState.HALF_OPEN:
            self._tell_change(CircuitState.OPEN, CircuitState.HALF_OPEN, f"{self.timeout:g} s are over")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        if error is not None and not isinstance(error, Exception):
            self.abandoned()
        elif isinstance(error, self.exceptions):
            before = self.state
            if self.failed():
                self._tell_change(before, CircuitState.OPEN, f"failed with {type(error).__name__}")
        elif self.succeeded():
            self._tell_change(CircuitState.HALF_OPEN, CircuitState.CLOSED, "a call went well")
        return False

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        return self.__exit__(kind, error, traceback)

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name!r}, {self.state}, {self._failures} failures in a row>"

    def _refusal(self) -> CircuitOpenError:
        from honeyhive.models.conventions import resilience as names
        from honeyhive.resilience import facts

        retry_in_s = self.retry_in_s
        facts.add(names.CIRCUIT_REFUSALS)
        facts.tell(names.CIRCUIT_REFUSED, circuit=self.name, retry_after_s=retry_in_s)
        return CircuitOpenError(
            f"{self.name} was not called: it has failed {self._failures} times in a row; "
            f"the next try is {f'in {retry_in_s:.3g} s' if retry_in_s else 'under way'}",
            retry_after_s=retry_in_s,
        )

    def _tell_change(self, old: CircuitState, new: CircuitState, reason: str) -> None:
        from honeyhive.models.conventions import resilience as names
        from honeyhive.resilience import facts

        facts.tell(names.CIRCUIT_CHANGED, circuit=self.name, old_state=old.value, new_state=new.value, reason=reason)
        _logger.info("circuit %r is %s now, was %s: %s", self.name, new, old, reason)

    # -- the core --------------------------------------------------------------------------------

    def renew(self) -> None:
        """Take a fresh lock and forget the probe, which is the parent's: for a forked child."""
        # Keeps the three fields above consistent with one another; held for a few assignments, never across a call.
        self._lock = threading.Lock()
        self._probing_since = None

    def _admit(self) -> CircuitState:
        """Return closed if a call may be made, half-open if it is the probe, open if it may not."""
        with self._lock:
            if self._opened is None:
                return CircuitState.CLOSED
            if self._wait_s() > 0 or self._is_probing():
                return CircuitState.OPEN
            self._probing_since = self._clock.monotonic()
            return CircuitState.HALF_OPEN

    def _wait_s(self) -> float:
        if self._opened is None:
            return 0.0
        return max(0.0, self._opened + self.timeout - self._clock.monotonic())

    def _is_probing(self) -> bool:
        if self._probing_since is None:
            return False
        return self._clock.monotonic() - self._probing_since < self.timeout
