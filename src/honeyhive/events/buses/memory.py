"""A bus in memory: for tests, for development, and for programs that are one process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from honeyhive.events.bus import Broadcaster, Handler, MessageBus, Outcome, PublishResult
from honeyhive.events.buses.broadcasts import tell_of_failure
from honeyhive.events.buses.dead_letters import DeadLetter, InMemoryDeadLetters
from honeyhive.events.buses.delivery import attempts, dead_letter, raise_errors, tried
from honeyhive.events.buses.subscriptions import Middleware, Subscription, Subscriptions
from honeyhive.events.messages import Message, require_message
from honeyhive.events.tracing import MessageTracing, mark_failed, records_spans
from honeyhive.exceptions import BusClosedError
from honeyhive.resilience import RetryPolicy
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["InMemoryMessageBus"]

M = TypeVar("M", bound=Message)

_ONCE = RetryPolicy(max_attempts=1)


class InMemoryMessageBus(MessageBus, Broadcaster):
    """Calls the handlers of a message at once, one after the other, in the order of subscription.

    All handlers are called, also when one fails. Then ``publish`` raises: of one failed handler its own error, untouched;
    of several an `ExceptionGroup` of their errors, so that ``except*`` fits both. What a handler publishes is handled
    before its own ``publish`` returns. Safe to use from any thread.

    Coroutine functions may be handlers too; each call runs in an event loop of its own. In a program that has a loop
    already, use `AsyncMessageBus`.

    Args:
        retry: How often a failed handler is called again; once in all by default.
        middleware: Wrapped around each handler, the first outermost.
        clock: Tells the time, and passes it between tries.

    Attributes:
        dead_letters: What handlers have failed for good.
    """

    def __init__(
        self, *, retry: RetryPolicy = _ONCE, middleware: Sequence[Middleware] = (), clock: Clock | None = None
    ) -> None:
        self.dead_letters = InMemoryDeadLetters()
        self._retry = retry
        self._clock = clock or SystemClock()
        self._subscriptions = Subscriptions(middleware)
        self._listeners = Subscriptions(middleware)
        self._tracing = MessageTracing("in_memory", "memory")
        self._is_closed = False

    def subscribe(
        self,
        message_type: type[M] | str,
        handler: Handler[M],
        *,
        group: str | None = None,
        retry: RetryPolicy | None = None,
    ) -> Subscription:
        """Have *handler* called with every message of *message_type* and of its subclasses.

        Args:
            message_type: A class, or a pattern of type names such as ``"order.*"``.
            handler: A function, a coroutine function, or an object with a method ``handle``.
            group: Handlers of one group take turns: each message goes to one of them.
            retry: How often it is called again when it fails; as the bus does by default.

        Returns:
            The subscription, which can be cancelled.

        Raises:
            TypeError: *handler* cannot handle anything, or *message_type* is neither class nor pattern.
        """
        return self._subscriptions.add(message_type, handler, group=group, retry=retry)

    def listen(self, message_type: type[M] | str, handler: Handler[M]) -> Subscription:
        """Have *handler* called with every message of *message_type* that is broadcast.

        Args:
            message_type: A class, or a pattern of type names such as ``"order.*"``.
            handler: A function, a coroutine function, or an object with a method ``handle``.

        Returns:
            The subscription, which can be cancelled.

        Raises:
            TypeError: *handler* cannot handle anything, or *message_type* is neither class nor pattern.
        """
        return self._listeners.add(message_type, handler)

    def publish(self, message: Message) -> PublishResult:
        """Bring *message* to its handlers and return what they returned.

        Raises:
            BusClosedError: The bus was closed.
            TypeError: *message* is none.
            ExceptionGroup: Several handlers failed; one that fails alone raises its own error.
        """
        self._refuse_if_closed()
        require_message(message)
        subscriptions = self._subscriptions.of(message)
        if records_spans():
            with self._tracing.publishing(message):
                outcomes = tuple([self._traced(each, message) for each in subscriptions])
                raise_errors(message, outcomes)
        else:
            outcomes = tuple([self._call(each, message) for each in subscriptions])
            raise_errors(message, outcomes)
        return PublishResult(message, outcomes)

    def broadcast(self, message: Message) -> PublishResult:
        """Tell *message* to all who listen, one after the other; what one raises is on its span and in the log.

        Raises:
            BusClosedError: The bus was closed.
            TypeError: *message* is none.
        """
        self._refuse_if_closed()
        require_message(message)
        with self._tracing.publishing(message):
            for listener in self._listeners.of(message):
                self._tell(listener, message)
        return PublishResult(message)

    def replay(self, letter: DeadLetter) -> PublishResult:
        """Bring the message of *letter* to the handler that failed it; when it succeeds, the letter is gone.

        Raises:
            LookupError: That handler is not subscribed here.
        """
        subscription = self._subscriptions.named(letter.handler, letter.message)
        self.dead_letters.discard(letter)
        outcomes = (self._traced(subscription, letter.message),)
        raise_errors(letter.message, outcomes)
        return PublishResult(letter.message, outcomes)

    def close(self) -> None:
        """Refuse what is published from here on."""
        self._is_closed = True

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise BusClosedError("the bus was closed; publish before close(), or make a new bus")

    def _tell(self, listener: Subscription, message: Message) -> None:
        with self._tracing.processing(message, listener.name) as span:
            _, error = tried(listener, message)
            if error is not None:
                mark_failed(span, error)
                tell_of_failure(dead_letter(message, Outcome(listener.name, error=error), self._clock))

    def _traced(self, subscription: Subscription, message: Message) -> Outcome:
        with self._tracing.processing(message, subscription.name) as span:
            outcome = self._call(subscription, message)
            if outcome.error is not None:
                mark_failed(span, outcome.error)
            return outcome

    def _call(self, subscription: Subscription, message: Message) -> Outcome:
        value, error = tried(subscription, message)
        if error is None:
            return Outcome(subscription.name, value)
        flow = attempts(subscription, error, self._retry, self._clock)
        try:
            pause_s = next(flow)
            while True:
                self._clock.sleep(pause_s)
                pause_s = flow.send(tried(subscription, message))
        except StopIteration as end:
            outcome: Outcome = end.value
        if outcome.error is not None:
            self.dead_letters.add(dead_letter(message, outcome, self._clock))
        return outcome
