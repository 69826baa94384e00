"""A few things that are dear to make, shared by many who need one for a while: connections, sessions, workers."""

from __future__ import annotations

import inspect
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar, cast, overload

import anyio
from anyio.lowlevel import current_token

from honeyhive.models.conventions import resilience as names
from honeyhive.resilience import facts
from honeyhive.resilience.checks import require_at_least, require_error_classes, require_seconds
from honeyhive.resilience.operations import name_of
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["PoolInfo", "ResourcePool"]

R = TypeVar("R")

_LONGEST_CLOSE_S: Final = 5.0

_logger: Final = logging.getLogger("honeyhive.resilience")


class PoolInfo(NamedTuple):
    """How a pool is doing."""

    in_use: int
    idle: int
    waiting: int
    max_size: int


@dataclass(slots=True, eq=False)
class _Member(Generic[R]):
    """One resource, and how it is closed."""

    resource: R
    close: Callable[[], Awaitable[object] | object]
    idle_since_s: float = 0.0
    is_broken: bool = False


class ResourcePool(Generic[R]):
    """Lends out at most *max_size* resources at once; who finds none waits, in the order of coming.

    ::

        async with ResourcePool(connect, max_size=5, acquire_timeout=2.0) as pool:
            async with pool.acquire() as connection:
                await connection.query("SELECT 1")

    Resources are made when they are needed. One whose block ended with an error, cancellation included, is closed and
    replaced, since nobody knows what state it was left in; *keep_on* names errors after which it is as good as before.
    With the pool all resources close: those that are lent out, when they come back.

    A pool belongs to the event loop in which it was opened. What it makes is opened and closed by different tasks, so
    a context manager that holds a task group or a cancel scope open cannot be pooled.

    Args:
        factory: Makes a resource: returns it, an awaitable for it, or an async context manager that yields it.
        max_size: Resources at once; at least 1.
        min_size: Resources made when the pool opens, and kept when idle.
        acquire_timeout: Seconds to wait for a resource that is ready; ``None`` for as long as it takes.
        max_idle: Seconds after which an unused resource is closed, at the next use of the pool; ``None`` for never.
        check: Takes a resource that was idle and tells whether it is still good; it may be a coroutine function.
            Where it raises an ``Exception``, it is not.
        close: Closes a resource; it may be a coroutine function. By default the context manager does, or the
            resource's own ``aclose()`` or ``close()``. It has 5 seconds, also when the caller is cancelled.
        keep_on: Errors of a block after which the resource is lent out again.
        name: What is pooled, for messages and spans.
        clock: Measures *max_idle* and what was waited.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: A number is outside its range.
    """

    @overload
    def __init__(
        self: ResourcePool[R],
        factory: Callable[[], AbstractAsyncContextManager[R]],
        max_size: int = ...,
        *,
        min_size: int = ...,
        acquire_timeout: float | None = ...,
        max_idle: float | None = ...,
        check: Callable[[R], bool | Awaitable[bool]] | None = ...,
        close: None = ...,
        keep_on: tuple[type[Exception], ...] = ...,
        name: str | None = ...,
        clock: Clock | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self: ResourcePool[R],
        factory: Callable[[], Awaitable[R]],
        max_size: int = ...,
        *,
        min_size: int = ...,
        acquire_timeout: float | None = ...,
        max_idle: float | None = ...,
        check: Callable[[R], bool | Awaitable[bool]] | None = ...,
        close: Callable[[R], Awaitable[object] | object] | None = ...,
        keep_on: tuple[type[Exception], ...] = ...,
        name: str | None = ...,
        clock: Clock | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self: ResourcePool[R],
        factory: Callable[[], R],
        max_size: int = ...,
        *,
        min_size: int = ...,
        acquire_timeout: float | None = ...,
        max_idle: float | None = ...,
        check: Callable[[R], bool | Awaitable[bool]] | None = ...,
        close: Callable[[R], Awaitable[object] | object] | None = ...,
        keep_on: tuple[type[Exception], ...] = ...,
        name: str | None = ...,
        clock: Clock | None = ...,
    ) -> None: ...

    def __init__(
        self,
        factory: Callable[[], Any],
        max_size: int = 10,
        *,
        min_size: int = 0,
        acquire_timeout: float | None = None,
        max_idle: float | None = None,
        check: Callable[[Any], Any] | None = None,
        close: Callable[[Any], Any] | None = None,
        keep_on: tuple[type[Exception], ...] = (),
        name: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not callable(factory):
            raise TypeError(f"factory is {factory!r}; it must be a function that makes a resource")
        require_at_least("max_size", max_size, 1)
        require_at_least("min_size", min_size, 0)
        if min_size > max_size:
            raise ValueError(f"min_size is {min_size}; it must be at most max_size, which is {max_size}")
        _require_limit("acquire_timeout", acquire_timeout)
        _require_limit("max_idle", max_idle)
        require_error_classes("keep_on", keep_on)
        self.name = name or name_of(factory)
        self._factory = factory
        self._max_size = max_size
        self._min_size = min_size
        self._acquire_timeout_s = acquire_timeout
        self._max_idle_s = math.inf if max_idle is None else max_idle
        self._check = check
        self._close = close
        self._keep_on = keep_on
        self._clock = clock or SystemClock()
        self._idle: deque[_Member[R]] = deque()
        self._lent: set[_Member[R]] = set()
        self._places: anyio.Semaphore
        self._loop: object = None
        self._is_open = False

    # -- its life --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._is_open:
            raise RuntimeError(f"the pool {self.name!r} is open already")
        self._places = anyio.Semaphore(self._max_size)
        self._loop = current_token()
        self._is_open = True
        try:
            while len(self._idle) < self._min_size:
                self._put_back(await self._open())
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Lend out nothing more and close what is idle; the rest is closed when it comes back.

        Raises:
            ExceptionGroup: Of the errors that closing has raised; all resources have been closed nevertheless.
        """
        self._is_open = False
        errors = []
        while self._idle:
            try:
                await self._dispose(self._idle.pop())
            except Exception as error:  # noqa: BLE001 -- raised below, when the others have been closed
                errors.append(error)
        if errors:
            raise ExceptionGroup(f"closing the pool {self.name!r}", errors)

    def info(self) -> PoolInfo:
        """Return how many resources are lent out and how many are not, and how many callers wait."""
        waiting = self._places.statistics().tasks_waiting if self._is_open else 0
        return PoolInfo(len(self._lent), len(self._idle), waiting, self._max_size)

    def __repr__(self) -> str:
        return f"<ResourcePool {self.name!r}, {len(self._lent)} of {self._max_size} in use>"

    # -- lending ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def acquire(self, timeout: float | None = None) -> AsyncIterator[R]:  # noqa: ASYNC109 -- it names the reason
        """Lend a resource for the block.

        Args:
            timeout: Seconds to wait, instead of the pool's *acquire_timeout*.

        Raises:
            TimeoutError: None was ready in time.
            RuntimeError: The pool is not open, or open in another event loop.
        """
        _require_limit("timeout", timeout)
        member = await self._check_out(self._acquire_timeout_s if timeout is None else timeout)
        try:
            yield member.resource
        except self._keep_on:
            await self._check_in(member)
            raise
        except BaseException as error:
            await self._check_in(member, f"its block ended with {type(error).__name__}")
            raise
        else:
            await self._check_in(member)

    def discard(self, resource: R) -> None:
        """Have *resource*, which is lent out, closed rather than lent again when it comes back.

        Raises:
            ValueError: It is not lent out by this pool.
        """
        member = next((member for member in self._lent if member.resource is resource), None)
        if member is None:
            raise ValueError(f"{type(resource).__name__} is not lent out by the pool {self.name!r}")
        member.is_broken = True

    async def _check_out(self, limit_s: float | None) -> _Member[R]:
        self._require_open()
        begun_s = self._clock.monotonic()
        with anyio.move_on_after(limit_s):
            try:
                await self._places.acquire()
            finally:
                facts.add(names.POOL_QUEUE_S, self._clock.monotonic() - begun_s)
            try:
                self._require_open()
                member = await self._usable()
            except BaseException:
                self._places.release()
                raise
            facts.add(names.POOL_ACQUIRED)
            self._lent.add(member)
            return member
        in_use, _, waiting, most = self.info()
        raise TimeoutError(
            f"the pool {self.name!r} had nothing ready within {limit_s:g} s: {in_use} of {most} are in use, "
            f"{waiting} others wait"
        )

    async def _check_in(self, member: _Member[R], reason: str | None = None) -> None:
        self._lent.remove(member)
        if member.is_broken:
            reason = "it was discarded"
        elif not self._is_open:
            reason = "the pool was closed"
        try:
            if reason is None:
                self._put_back(member)
            else:
                await self._discard(member, reason)
        finally:
            self._places.release()
        await self._expire()

    def _put_back(self, member: _Member[R]) -> None:
        member.idle_since_s = self._clock.monotonic()
        self._idle.append(member)

    # -- members ---------------------------------------------------------------------------------

    async def _usable(self) -> _Member[R]:
        """Return the member used last if it is still good, else the one before, else a new one."""
        while self._idle:
            member = self._idle.pop()
            reason = self._age_of(member)
            try:
                reason = reason or await self._illness_of(member)
            except BaseException:
                await self._discard(member, "its check was cancelled")
                raise
            if reason is None:
                return member
            await self._discard(member, reason)
        return await self._open()

    def _age_of(self, member: _Member[R]) -> str | None:
        idle_s = self._clock.monotonic() - member.idle_since_s
        return f"it was idle for {idle_s:.3g} s" if idle_s >= self._max_idle_s else None

    async def _illness_of(self, member: _Member[R]) -> str | None:
        if self._check is None:
            return None
        try:
            verdict = self._check(member.resource)
            is_well = await verdict if inspect.isawaitable(verdict) else verdict
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with it, it is not to be used
            return f"its check failed: {facts.reason_of(error)}"
        return None if is_well else "its check failed"

    async def _open(self) -> _Member[R]:
        made = self._factory()
        if isinstance(made, AbstractAsyncContextManager):
            if self._close is not None:
                raise TypeError(f"{self.name} makes context managers, which close what they open; leave close out")
            resource = await made.__aenter__()
            member = _Member(resource, lambda: made.__aexit__(None, None, None))
        else:
            resource = await made if inspect.isawaitable(made) else made
            member = _Member(resource, self._closing(resource))
        facts.add(names.POOL_OPENED)
        return member

    def _closing(self, resource: R) -> Callable[[], Any]:
        close = self._close
        if close is not None:
            return lambda: close(resource)
        own = getattr(resource, "aclose", None) or getattr(resource, "close", None)
        return cast("Callable[[], Any]", own) if callable(own) else _nothing

    async def _expire(self) -> None:
        """Close what was idle for too long, what was used longest ago first."""
        while len(self._idle) + len(self._lent) > self._min_size and self._idle:
            reason = self._age_of(self._idle[0])
            if reason is None:
                return
            await self._discard(self._idle.popleft(), reason)

    async def _discard(self, member: _Member[R], reason: str) -> None:
        """Close *member*, whose end is no loss: an error is for the log."""
        facts.tell(names.POOL_DISCARDED, pool=self.name, reason=reason)
        try:
            await self._dispose(member)
        except Exception as error:  # noqa: BLE001 -- what is broken may well be broken in closing
            _logger.info("closing a member of pool %r failed with %s", self.name, type(error).__name__)

    async def _dispose(self, member: _Member[R]) -> None:
        """Close *member*, also when the caller was cancelled, but do not wait for it for ever."""
        with anyio.move_on_after(_LONGEST_CLOSE_S, shield=True):
            closing = member.close()
            if inspect.isawaitable(closing):
                await closing
            return
        _logger.warning("closing a member of pool %r was given up after %g s", self.name, _LONGEST_CLOSE_S)

    def _require_open(self) -> None:
        if not self._is_open:
            raise RuntimeError(f"the pool {self.name!r} is not open; use it within `async with`")
        if self._loop != current_token():
            raise RuntimeError(f"the pool {self.name!r} was opened in another event loop; open one in each")


def _require_limit(name: str, value: float | None) -> None:
    if value is not None:
        require_seconds(name, value, instead="None is no limit")


def _nothing() -> None:
    """Close nothing: the resource has no such thing."""
