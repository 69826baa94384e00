"""One message at one handler: tried, tried again after a pause, and given up with the reason.

``attempts`` is a generator that decides and never calls or waits itself; two short drivers do that, one for the
synchronous bus and one for all others.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from datetime import UTC, datetime
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeAlias

from honeyhive.events.bus import Outcome
from honeyhive.events.buses.dead_letters import DeadLetter
from honeyhive.events.buses.subscriptions import Subscription
from honeyhive.events.lineage import handled_message
from honeyhive.events.messages import Message
from honeyhive.events.tracing import MessageTracing, mark_failed
from honeyhive.exceptions import HandlerCancelledError
from honeyhive.models.conventions import resilience as names
from honeyhive.resilience import RetryPolicy, facts
from honeyhive.utils.clock import Clock
from honeyhive.utils.ids import RandomIds

if TYPE_CHECKING:
    import anyio

__all__ = ["Dispatcher", "attempts", "dead_letter", "log_errors", "raise_errors", "tried"]

Tried: TypeAlias = tuple[Any, Exception | None]
"""What a handler returned, and what it raised."""

_logger = logging.getLogger("honeyhive.events")
_ids = RandomIds()
_FAILURES: tuple[type[Exception], ...] = (Exception,)
"""What a handler raises is an answer, to be passed on; cancellation and the end of the program are none."""


def attempts(
    subscription: Subscription, first: Exception, policy: RetryPolicy, clock: Clock
) -> Generator[float, Tried, Outcome]:
    """Decide what follows on a handler's *first* failure: yield each pause in seconds, be sent what came of the next try.

    Returns:
        How it ended. What happened on the way is on the current span.
    """
    following = (subscription.retry or policy).begin(clock)
    error: Exception | None = first
    value: Any = None
    while error is not None:
        number = following.number
        pause_s = following.pause_after(error)
        facts.attempt_failed(subscription.name, number, pause_s, error)
        if pause_s is None:
            return Outcome(subscription.name, error=error, attempts=number)
        value, error = yield pause_s
    facts.add(names.RETRY_ATTEMPTS)
    return Outcome(subscription.name, value, attempts=following.number)


def tried(subscription: Subscription, message: Message) -> Tried:
    """Call the handler and wait for it; of a coroutine function in an event loop of its own."""
    token = handled_message.set(message)
    try:
        value = subscription.call(message)
        if subscription.is_async or type(value) is CoroutineType:
            value = _run(value, subscription)
    except _FAILURES as error:
        return None, error
    finally:
        handled_message.reset(token)
    return value, None


class Dispatcher:
    """Brings messages to handlers inside an event loop: coroutine functions there, functions on worker threads.

    Args:
        retry: How often a failed handler is called again, unless its subscription says otherwise.
        timeout_s: How long a handler may take, unless its subscription says otherwise; ``None`` for no limit.
        concurrency: How many handlers may run at once; those that pause between tries do not count.
        tracing: Makes the spans.
        clock: Tells the time.
        bury: Keeps what a handler has failed for good.
    """

    def __init__(
        self,
        *,
        retry: RetryPolicy,
        timeout_s: float | None,
        concurrency: int,
        tracing: MessageTracing,
        clock: Clock,
        bury: Callable[[DeadLetter], Any],
    ) -> None:
        self._retry = retry
        self._timeout_s = timeout_s
        self._concurrency = concurrency
        self._tracing = tracing
        self._clock = clock
        self._bury = bury
        self._slots: anyio.Semaphore | None = None
        self._threads: anyio.CapacityLimiter | None = None

    async def deliver(self, message: Message, subscriptions: Sequence[Subscription]) -> tuple[Outcome, ...]:
        """Bring *message* to all of *subscriptions* at once; return what became of it, in their order."""
        if len(subscriptions) == 1:
            return (await self.handle(message, subscriptions[0]),)
        import anyio

        outcomes: dict[int, Outcome] = {}

        async def handle(place: int, subscription: Subscription) -> None:
            outcomes[place] = await self.handle(message, subscription)

        async with anyio.create_task_group() as group:
            for place, subscription in enumerate(subscriptions):
                group.start_soon(handle, place, subscription)
        return tuple(outcomes[place] for place in range(len(subscriptions)))

    async def handle(self, message: Message, subscription: Subscription) -> Outcome:
        """Bring *message* to one handler, as often as its policy says."""
        with self._tracing.processing(message, subscription.name) as span:
            value, error = await self._try(message, subscription)
            if error is None:
                return Outcome(subscription.name, value)
            outcome = await self._try_again(message, subscription, error)
            if outcome.error is not None:
                mark_failed(span, outcome.error)
        return outcome

    async def _try_again(self, message: Message, subscription: Subscription, error: Exception) -> Outcome:
        import anyio

        flow = attempts(subscription, error, self._retry, self._clock)
        try:
            pause_s = next(flow)
            while True:
                await anyio.sleep(pause_s)
                pause_s = flow.send(await self._try(message, subscription))
        except StopIteration as end:
            outcome: Outcome = end.value
        if outcome.error is not None:
            buried = self._bury(dead_letter(message, outcome, self._clock))
            if inspect.isawaitable(buried):
                await buried
        return outcome

    async def _try(self, message: Message, subscription: Subscription) -> Tried:
        """Call the handler once: in a slot, unless a handler waits here for what it has published itself."""
        slots = await self._slot() if handled_message.get() is None else None
        token = handled_message.set(message)
        try:
            return await self._call(message, subscription), None
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            refusal = HandlerCancelledError(f"{subscription.name} was cancelled, though nobody here cancelled it")
            refusal.__cause__ = error
            return None, refusal
        except _FAILURES as error:
            return None, error
        finally:
            handled_message.reset(token)
            if slots is not None:
                slots.release()

    async def _slot(self) -> anyio.Semaphore:
        """Take a slot; return what it is to be given back to."""
        slots = self._slots
        if slots is None:
            import anyio

            slots = self._slots = anyio.Semaphore(self._concurrency)
        if slots.value:
            slots.acquire_nowait()  # `acquire` goes through the event loop even where there is nothing to wait for
        else:
            await slots.acquire()
        return slots

    def _call(self, message: Message, subscription: Subscription) -> Awaitable[Any]:
        """Return what is to be awaited for the handler's answer."""
        limit_s = self._timeout_s if subscription.timeout_s is None else subscription.timeout_s
        if limit_s is not None:
            return _within(limit_s, self._called(message, subscription, abandon=True), subscription)
        if subscription.is_async:
            value = subscription.call(message)
            return value if type(value) is CoroutineType else _answer(value)
        return self._called(message, subscription, abandon=False)

    async def _called(self, message: Message, subscription: Subscription, *, abandon: bool) -> Any:
        if subscription.is_async:
            return await _answer(subscription.call(message))
        import anyio.to_thread

        # The slots are the limit: a thread may wait here for what its own handler has published.
        self._threads = self._threads or anyio.CapacityLimiter(math.inf)
        # Nothing can stop a running thread: when the time is over it is left to itself.
        return await _answer(
            await anyio.to_thread.run_sync(subscription.call, message, abandon_on_cancel=abandon, limiter=self._threads)
        )


async def _answer(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _within(limit_s: float, call: Coroutine[Any, Any, Any], subscription: Subscription) -> Awaitable[Any]:
    from honeyhive.resilience.timeouts import within

    return within(limit_s, call, subscription.call)


def dead_letter(message: Message, outcome: Outcome, clock: Clock) -> DeadLetter:
    """Return the letter that tells how *message* has failed at a handler."""
    return DeadLetter(
        id=_ids.uuid(),
        message=message,
        handler=outcome.handler,
        error=facts.reason_of(outcome.error) if outcome.error is not None else "",
        attempts=outcome.attempts,
        time=datetime.fromtimestamp(clock.time_ns() / 1e9, UTC),
    )


def raise_errors(message: Message, outcomes: Sequence[Outcome]) -> None:
    """Raise what handlers have raised: one error as it is, several as a group."""
    errors = [each.error for each in outcomes if each.error is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(outcomes)} handlers of {message.type} failed", errors)


def log_errors(message: Message, outcomes: Sequence[Outcome]) -> None:
    """Log what handlers have raised, where nobody waits for it."""
    for each in outcomes:
        if each.error is not None:
            _logger.error(
                "%s failed at %s (%s) for good, attempts: %d: %s",
                each.handler,
                message.type,
                message.id,
                each.attempts,
                facts.reason_of(each.error),
                exc_info=each.error,
            )


def is_cancelled() -> bool:
    """Tell whether somebody has asked the current task to end."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # on trio, where asyncio's cancellation is an error like any other
        return False
    return task is not None and task.cancelling() > 0


def runs_event_loop() -> bool:
    """Tell whether this thread is inside an event loop, of asyncio or trio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        trio = sys.modules.get("trio")
        return trio is not None and bool(trio.lowlevel.in_trio_run())
    return True


def _run(awaitable: Any, subscription: Subscription) -> Any:
    """Wait in an event loop of its own for what a coroutine function has returned."""
    if not inspect.isawaitable(awaitable):
        return awaitable
    if runs_event_loop():
        if inspect.iscoroutine(awaitable):
            awaitable.close()
        raise TypeError(
            f"{subscription.name} is a coroutine function, and this thread runs an event loop already; "
            "publish on an AsyncMessageBus there"
        )

    async def wait() -> object:
        return await awaitable

    return asyncio.run(wait())
