"""What was being done when an error passed: said once, at the boundary, without touching the error."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from honeyhive.utils.clock import Clock, SystemClock
from honeyhive.utils.guard import guard
from honeyhive.utils.lazy import LazyResource

if TYPE_CHECKING:
    from honeyhive.utils.redact import Redactor

__all__ = ["ErrorContext"]


def _new_redactor() -> Redactor:
    from honeyhive.utils.redact import Redactor

    return Redactor()


_logger = logging.getLogger("honeyhive")
_SYSTEM_CLOCK: Final = SystemClock()
_redactor: Final = LazyResource(_new_redactor)
_OWN_FIELDS: Final = frozenset({"operation", "duration", "error_type", "error_message"})
_TAKEN_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"} | _OWN_FIELDS


class ErrorContext:
    """Log a failing operation with its duration, its error and what was known about it; let the error pass.

    Usable as a plain and as an asynchronous context manager. The record goes to logger ``honeyhive`` at level ERROR; its
    extra fields are ``operation``, ``duration`` (seconds), ``error_type``, ``error_message`` and every item of
    *context* (as ``context_<name>`` where the name is taken). Errors that are not ``Exception``,
    such as cancellation, pass without a record::

        with ErrorContext("span_creation", span_name="test"):
            span = tracer.start_span("test")

    Args:
        operation: What is being done, for people.
        clock: Measures the duration.
        **context: What helps to understand a failure. Secrets are replaced, here and in the error's message.
    """

    __slots__ = ("_clock", "_started_s", "context", "operation")

    def __init__(self, operation: str, clock: Clock = _SYSTEM_CLOCK, /, **context: object) -> None:
        self.operation = operation
        self.context = context
        self._clock = clock
        self._started_s = clock.monotonic()

    def __enter__(self) -> Self:
        self._started_s = self._clock.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        if isinstance(error, Exception):
            with guard("log_error"):
                self._log(error)
        return False

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        return self.__exit__(kind, error, traceback)

    def _log(self, error: Exception) -> None:
        redactor = _redactor.resource
        facts = {_field(name): redactor.attribute(name, value) for name, value in self.context.items()}
        facts |= {
            "operation": self.operation,
            "duration": self._clock.monotonic() - self._started_s,
            "error_type": type(error).__name__,
            "error_message": redactor.text(str(error)),
        }
        _logger.error("Operation %r failed: %s", self.operation, type(error).__name__, extra=facts)


def _field(name: str) -> str:
    return f"context_{name}" if name in _TAKEN_FIELDS else name
