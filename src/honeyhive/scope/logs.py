"""What a scope says: log records that know their scope and trace, and events on its span."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from opentelemetry import baggage as otel_baggage
from opentelemetry.trace import Span, get_current_span

from honeyhive.scope.current import innermost

if TYPE_CHECKING:
    from honeyhive.scope.current import Scope

__all__ = ["log"]

_Exception: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]


def log(level: int, message: str, arguments: tuple[object, ...], error: BaseException | None) -> None:
    """Write a record to the logger of the innermost scope, and put an event on the current span.

    The record's place is that of the caller's caller. Whether a level is enabled is asked for the record only.
    """
    scope, span = innermost(), get_current_span()
    logger = logging.getLogger(".".join(("scope", *(scope.path if scope else ()))))
    if logger.isEnabledFor(level):
        logger.handle(_record(logger, level, message, arguments, error, scope, span))
    if span.is_recording():
        _tell(span, level, message, arguments, error)


def _record(
    logger: logging.Logger,
    level: int,
    message: str,
    arguments: tuple[object, ...],
    error: BaseException | None,
    scope: Scope | None,
    span: Span,
) -> logging.LogRecord:
    file, line, function, _ = logger.findCaller(stacklevel=4)
    details: _Exception | None = None if error is None else (type(error), error, error.__traceback__)
    record = logger.makeRecord(logger.name, level, file, line, message, arguments, details, function)
    context = span.get_span_context()
    # A record factory of the host's may have set some of these already; it knows better then.
    for name, value in (
        ("scope", str(scope) if scope else ""),
        ("scope_id", scope.id if scope else ""),
        ("trace_id", f"{context.trace_id:032x}" if context.is_valid else ""),
        ("span_id", f"{context.span_id:016x}" if context.is_valid else ""),
        ("session_id", _session_of(span)),
    ):
        vars(record).setdefault(name, value)
    return record


def _session_of(span: Span) -> str:
    found = getattr(span, "session_id", None) or otel_baggage.get_baggage("session_id")
    return found if isinstance(found, str) else ""


def _tell(span: Span, level: int, message: str, arguments: tuple[object, ...], error: BaseException | None) -> None:
    text = logging.LogRecord("", level, "", 0, message, arguments, None).getMessage()
    span.add_event("log", {"log.severity": logging.getLevelName(level), "log.message": text})
    if error is not None:
        span.record_exception(error)
