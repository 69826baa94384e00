"""Every error that honeyhive raises, in one tree.

::

    HoneyHiveError
    ├── ConfigurationError            a setting is unknown, mistyped or unusable
    │   └── MissingApiKeyError        a call needs a key that was not given (also a ValueError)
    ├── CircuitOpenError              not even tried: what it calls has failed too often just now
    ├── APIError                      a HoneyHive service could not do what was asked
    │   ├── APIConnectionError        no answer: refused, reset, DNS, TLS
    │   │   └── APITimeoutError       no answer in time
    │   ├── AuthenticationError       401 or 403
    │   ├── NotFoundError             404
    │   ├── InvalidRequestError       400, 409 or 422
    │   ├── RateLimitError            429; ``retry_after_s`` says when to come back
    │   └── APICircuitOpenError       not even tried: the service has failed too often (also a CircuitOpenError)
    ├── StateError                    a state cannot be made of these values (also a TypeError and a ValueError)
    │   └── FrozenStateError          a state was to be changed in place (also an AttributeError)
    ├── ScopeError                    a scope is used in a way that cannot work (also a RuntimeError)
    │   ├── NoScopeError              no scope is open here
    │   ├── MissingStateError         no open scope provides a state of this type (also a LookupError)
    │   └── TaskCancelledError        a task was awaited that ended by being cancelled
    ├── MessagingError                a message or a bus cannot do what was asked
    │   ├── MessageFormatError        a message cannot be written, or not be read
    │   ├── HandlerCancelledError     a handler was cancelled, though nobody asked for it
    │   ├── MessageInHandError        another handler is just dealing with the message
    │   ├── PublishError              a broker did not take a message
    │   └── BusClosedError            the bus is not open, or not any more
    ├── ServiceError                  a service cannot do what was asked
    │   ├── DeclarationError          a service, provider or controller is declared in a way that cannot work
    │   ├── MissingInterceptorError   a hook was called, and no interceptor provides it (also a LookupError)
    │   ├── RefusedError              an execution was turned away; ``retry_after_s`` says when to come back
    │   └── DoneBeforeError           an execution was done before, and has no second effect
    ├── JournalError                  a journal on disk cannot do what was asked
    │   ├── JournalFullError          the byte cap or the disk is reached
    │   ├── JournalUnsafeError        the directory may be read or replaced by others
    │   └── JournalLockedError        another process owns it
    └── EventStoreError               an event store, or what stands on one, cannot do what was asked
        ├── AggregateNotFoundError    it has no events
        ├── ConcurrencyError          somebody else has written meanwhile; has both versions
        ├── DuplicateEventError       the id of an event is that of another one
        ├── ProjectionStoppedError    what was waited for will not be projected any more
        ├── SagaError                 a saga was undone, or is stuck
        ├── StoreClosedError          the store is closed
        ├── StoreUnavailableError     its database cannot be reached just now (also an OSError)
        └── UpcastError               an old event cannot be read as a new one

No error carries an API key, in its message or in its attributes.
"""

from __future__ import annotations

from typing import Self

__all__ = [
    "APICircuitOpenError",
    "APIConnectionError",
    "APIError",
    "APITimeoutError",
    "AggregateNotFoundError",
    "AuthenticationError",
    "BusClosedError",
    "CircuitOpenError",
    "ConcurrencyError",
    "ConfigurationError",
    "DeclarationError",
    "DoneBeforeError",
    "DuplicateEventError",
    "EventStoreError",
    "FrozenStateError",
    "HandlerCancelledError",
    "HoneyHiveError",
    "InvalidRequestError",
    "JournalError",
    "JournalFullError",
    "JournalLockedError",
    "JournalUnsafeError",
    "MessageFormatError",
    "MessageInHandError",
    "MessagingError",
    "MissingApiKeyError",
    "MissingInterceptorError",
    "MissingStateError",
    "NoScopeError",
    "NotFoundError",
    "ProjectionStoppedError",
    "PublishError",
    "RateLimitError",
    "RefusedError",
    "SagaError",
    "ScopeError",
    "ServiceError",
    "StateError",
    "StoreClosedError",
    "StoreUnavailableError",
    "TaskCancelledError",
    "UpcastError",
]


class HoneyHiveError(Exception):
    """Base of every error that honeyhive raises."""


class ConfigurationError(HoneyHiveError):
    """A setting is unknown, has the wrong type or cannot be used as it is."""


class MissingApiKeyError(ConfigurationError, ValueError):
    """A call needs an API key that was not given.

    Attributes:
        key_kind: ``"project"``, ``"ingestion"`` or ``"data_plane"``.
    """

    def __init__(self, message: str, *, key_kind: str = "project") -> None:
        super().__init__(message)
        self.key_kind = key_kind


class CircuitOpenError(HoneyHiveError):
    """A call was not made: the circuit breaker around it is open.

    Attributes:
        retry_after_s: Seconds until a call is let through again.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class APIError(HoneyHiveError):
    """A HoneyHive service answered with an error, or not at all.

    Attributes:
        status_code: The HTTP status, or ``None`` when no answer came.
        server_message: What the service said, at most 2,000 characters.
        request_id: The service's own id of the request, when it gave one.
        retry_after_s: Seconds to wait before asking again, from the ``Retry-After`` header, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        server_message: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.server_message = server_message
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class APIConnectionError(APIError):
    """The service could not be reached."""


class APITimeoutError(APIConnectionError):
    """The service did not answer in time."""


class AuthenticationError(APIError):
    """The service refused the key (401, 403)."""


class NotFoundError(APIError):
    """The service knows no such thing (404)."""


class InvalidRequestError(APIError):
    """The service refused the content of the request (400, 409, 422)."""


class RateLimitError(APIError):
    """The service asks for fewer requests (429); ``retry_after_s`` says when to come back."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = 429,
        server_message: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(
            message,
            status_code=status_code,
            server_message=server_message,
            request_id=request_id,
            retry_after_s=retry_after_s,
        )


class APICircuitOpenError(APIError, CircuitOpenError):
    """The call was not tried: the circuit breaker of its endpoint is open."""


class StateError(HoneyHiveError, TypeError, ValueError):
    """A state cannot be made of the values given; the message says which fields and why, and quotes no value.

    Attributes:
        fields: The names of the fields at fault, in order.
    """

    def __init__(self, message: str, *, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.fields = fields


class FrozenStateError(StateError, AttributeError):
    """A field of a state was to be set or deleted; `State.updated` makes a changed copy instead."""


class ScopeError(HoneyHiveError, RuntimeError):
    """A scope is entered twice, left out of order or in another task, or asked for what it cannot do."""


class NoScopeError(ScopeError):
    """What was asked for needs an open scope, and there is none here."""


class MissingStateError(ScopeError, LookupError):
    """No open scope provides a state of the type asked for, and it cannot be made without arguments."""


class TaskCancelledError(ScopeError):
    """A task that was awaited has been cancelled, by itself or with its scope."""


class MessagingError(HoneyHiveError):
    """A message or a bus could not do what was asked of it."""


class MessageFormatError(MessagingError):
    """A message cannot be written as it is, or what came cannot be read as a message."""


class HandlerCancelledError(MessagingError):
    """A handler ended by being cancelled, though whoever called it had not asked for that."""


class MessageInHandError(MessagingError):
    """Somebody else is just dealing with this message; it is to be tried again later."""


class PublishError(MessagingError):
    """A broker did not confirm that it has taken a message."""


class BusClosedError(MessagingError):
    """The bus is not open yet, or was closed."""


class JournalError(HoneyHiveError):
    """A journal could not do what was asked of it."""


class JournalFullError(JournalError):
    """The journal's byte cap, or the disk, is full."""


class JournalUnsafeError(JournalError):
    """The journal's directory belongs to somebody else or is open to others."""


class JournalLockedError(JournalError):
    """Another process owns the journal."""


class EventStoreError(HoneyHiveError):
    """An event store, or something that stands on one, could not do what was asked of it."""


class AggregateNotFoundError(EventStoreError, LookupError):
    """There are no events of this aggregate.

    Attributes:
        aggregate_id: Its id.
    """

    def __init__(self, aggregate_id: str) -> None:
        super().__init__(f"there are no events of {aggregate_id!r}")
        self.aggregate_id = aggregate_id

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.aggregate_id,)


class ConcurrencyError(EventStoreError):
    """Somebody else has saved events of the same aggregate meanwhile; nothing was saved.

    Load it again and decide anew: `honeyhive.events.Repository.update` does.

    Attributes:
        aggregate_id: Whose events.
        expected_version: The version the events were made for.
        actual_version: The version it has.
    """

    def __init__(self, aggregate_id: str, expected_version: int, actual_version: int) -> None:
        super().__init__(
            f"{aggregate_id!r} is at version {actual_version}, not at {expected_version} as expected; "
            "load it again and decide anew"
        )
        self.aggregate_id = aggregate_id
        self.expected_version = expected_version
        self.actual_version = actual_version

    def __reduce__(self) -> tuple[type[Self], tuple[str, int, int]]:
        return type(self), (self.aggregate_id, self.expected_version, self.actual_version)


class DuplicateEventError(EventStoreError):
    """An event of another aggregate has the same id; nothing was saved."""


class ProjectionStoppedError(EventStoreError):
    """A projection has ended before it reached what was waited for."""


class SagaError(EventStoreError):
    """A saga did not come to its end: its steps were undone, or it is stuck because one could not be.

    Attributes:
        saga_id: Its id.
        step: The step that failed.
        is_stuck: Whether something of it is left that has to be undone.
    """

    def __init__(self, saga_id: str, step: str, reason: str, *, is_stuck: bool = False) -> None:
        what = "is stuck: undoing" if is_stuck else "was undone:"
        super().__init__(f"saga {saga_id!r} {what} step {step!r} failed with {reason}")
        self.saga_id = saga_id
        self.step = step
        self.reason = reason
        self.is_stuck = is_stuck

    def __reduce__(self) -> tuple[object, ...]:
        return _saga_error, (self.saga_id, self.step, self.reason, self.is_stuck)


class StoreClosedError(EventStoreError):
    """The store has been closed."""


class StoreUnavailableError(EventStoreError, OSError):
    """The database of a store cannot be reached or written just now; the same may work later.

    A `save` that failed like this may have come through all the same. Saving the same events again is safe.
    """


class UpcastError(EventStoreError):
    """An upcaster cannot turn an old event into a new one, or two of them contradict one another."""


def _saga_error(saga_id: str, step: str, reason: str, is_stuck: bool) -> SagaError:
    return SagaError(saga_id, step, reason, is_stuck=is_stuck)


class ServiceError(HoneyHiveError):
    """A service cannot do what was asked of it."""


class DeclarationError(ServiceError):
    """A service, provider or controller is declared in a way that cannot work."""


class MissingInterceptorError(ServiceError, LookupError):
    """A hook was called where no interceptor gives what it asks for."""


class RefusedError(ServiceError):
    """An execution was turned away before its handler began.

    Attributes:
        status_code: What a request is answered with.
        retry_after_s: Seconds after which it may be tried again, or ``None``.
    """

    def __init__(self, message: str, *, status_code: int = 429, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.retry_after_s = retry_after_s


class DoneBeforeError(ServiceError):
    """An execution was done before. The runtime takes it for success."""
