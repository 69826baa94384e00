"""Python's logging beside the spans: which trace a log line belongs to, and log records on the way of the spans.

`TraceContextFilter` lets a format of your own say ``%(trace_id)s``, ``%(span_id)s`` and ``%(session_id)s``;
``HoneyHiveTracer.init(capture_logs=True)`` sends the records along.
"""

from __future__ import annotations

import logging
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from opentelemetry import context as otel_context
from opentelemetry.trace import SpanContext, get_current_span

from honeyhive.models.wire import RecordKind
from honeyhive.tracer import context as hh_context
from honeyhive.tracer.errors import error_message, error_name
from honeyhive.tracer.export.intake import is_export_thread
from honeyhive.tracer.export.logs import LogEntry, encode_logs
from honeyhive.tracer.identity import Identity
from honeyhive.tracer.registry import identity_for
from honeyhive.utils.capture import capture
from honeyhive.utils.fork import Renewable, renew_after_fork
from honeyhive.utils.guard import guard

if TYPE_CHECKING:
    from honeyhive.tracer.export import Pipeline
    from honeyhive.utils.redact import Redactor

__all__ = ["LogHandler", "TraceContextFilter", "capture_logs", "release_logs"]

_MOST_BYTES: Final = 4 * 1024 * 1024
_CONTEXT_FIELDS: Final = ("trace_id", "span_id", "session_id")
_KNOWN_FIELDS: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", *_CONTEXT_FIELDS})
_SEVERITIES: Final = ((50, 21), (40, 17), (30, 13), (20, 9), (10, 5))
CallHandlers: TypeAlias = Callable[[logging.Logger, logging.LogRecord], None]
_SESSION: Final = "honeyhive.session_id"


class TraceContextFilter(logging.Filter):
    """Lets every record pass and gives it ``trace_id``, ``span_id`` and ``session_id``.

    Ids are hex text, empty where there is no span or no session. Attach it to a handler, so that it sees the records of
    all loggers.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Give *record* its ids; true."""
        with guard("tell a log record its trace"):
            span = get_current_span().get_span_context()
            identity = identity_for(otel_context.get_current())
            record.trace_id = f"{span.trace_id:032x}" if span.is_valid else ""
            record.span_id = f"{span.span_id:016x}" if span.is_valid else ""
            record.session_id = (identity and hh_context.current_session_of(identity)) or ""
        return True


class LogHandler(logging.Handler, Renewable):
    """Sends log records where the spans of a tracer go: redacted, through the same journal, with ids of trace and span.

    It takes the records that are written where a bare ``@trace`` would mean its tracer, and never those of honeyhive
    itself. At most 4 MiB wait in memory; what comes beyond is counted in `dropped`.

    Args:
        identity: The tracer's.
        pipeline: The way of its spans.
        resource: Attributes of who writes.
        redactor: Sees every message and value.
        level: Records below it are not taken.
    """

    def __init__(
        self,
        identity: Identity,
        pipeline: Pipeline,
        *,
        resource: Mapping[str, object],
        redactor: Redactor | None,
        level: int = logging.NOTSET,
    ) -> None:
        super().__init__(level)
        self.identity = identity
        self._pipeline = pipeline
        self._resource = resource
        self._redactor = redactor
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """In a forked child: begin anew, empty; the parent sends what it has."""
        self.taken = 0
        """Records taken so far."""
        self.dropped = 0
        """Records that found no room."""
        self._waiting: deque[LogEntry] = deque()
        self._bytes = 0
        self._is_on_its_way = False

    def emit(self, record: logging.LogRecord) -> None:
        """Take *record*, unless it is not this tracer's; never raises and waits for nothing."""
        if str(record.name).partition(".")[0] == "honeyhive" or is_export_thread():
            return
        with guard("capture a log record"):
            context = otel_context.get_current()
            if identity_for(context) is self.identity and self.identity.enabled:
                self._take(self._entry(record))

    def _take(self, entry: LogEntry) -> None:
        weight = entry.weight
        if self._bytes + weight > _MOST_BYTES:
            self.dropped += 1
            return
        self.taken += 1
        self._bytes += weight
        self._waiting.append(entry)
        if not self._is_on_its_way:
            self._is_on_its_way = True
            if not self._pipeline.submit(RecordKind.LOGS, self._encoded):
                self._is_on_its_way = False

    def _encoded(self) -> bytes:
        """Encode what waits, on the export thread."""
        self.acquire()  # the lock that `emit` runs under
        try:
            entries = tuple(self._waiting)
            self._waiting.clear()
            self._bytes = 0
            self._is_on_its_way = False
        finally:
            self.release()
        return encode_logs(entries, self._resource, self._redactor)

    def _entry(self, record: logging.LogRecord) -> LogEntry:
        span: SpanContext = get_current_span().get_span_context()
        return LogEntry(
            logger=record.name,
            time_ns=int(record.created * 1e9),
            severity=next((number for level, number in _SEVERITIES if record.levelno >= level), 1),
            level=record.levelname,
            body=capture(_message(record)),
            attributes=self._attributes(record),
            trace_id=span.trace_id,
            span_id=span.span_id,
            flags=int(span.trace_flags),
        )

    def _attributes(self, record: logging.LogRecord) -> dict[str, object]:
        attributes: dict[str, Any] = {
            "code.file.path": record.pathname,
            "code.line.number": record.lineno,
            "code.function.name": record.funcName,
            "thread.name": record.threadName,
            _SESSION: hh_context.current_session_of(self.identity),
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            attributes["exception.type"] = error_name(error)
            attributes["exception.message"] = error_message(error)
            attributes["exception.stacktrace"] = "".join(traceback.format_tb(error.__traceback__))
        attributes |= {name: value for name, value in vars(record).items() if name not in _KNOWN_FIELDS}
        return {name: capture(value) for name, value in attributes.items() if value is not None}


def _message(record: logging.LogRecord) -> object:
    """The message with its arguments; without them where they do not fit."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return record.msg


class _Tap:
    """Shows every record that a logger hands to its handlers to ours as well.

    A handler of ours at the root logger would do that too, but a root logger with a handler silences both
    ``logging.basicConfig`` and the warnings that Python prints where no handler is configured.
    """

    def __init__(self) -> None:
        self._handlers: tuple[LogHandler, ...] = ()
        self._original: CallHandlers = logging.Logger.callHandlers
        self._wrapper: CallHandlers | None = None

    def open(self, handler: LogHandler) -> None:
        """Show records to *handler* from now on."""
        self._handlers = (*self._handlers, handler)
        if self._wrapper is None:
            self._original = logging.Logger.callHandlers
            self._wrapper = self._showing(self._original)
            logging.Logger.callHandlers = self._wrapper  # type: ignore[method-assign, assignment]

    def close(self, identity: Identity) -> None:
        """Show records to the handlers of *identity* no longer."""
        self._handlers = tuple(handler for handler in self._handlers if handler.identity is not identity)
        # Somebody else may have put a wrapper around ours meanwhile; then it stays, and shows nothing.
        if not self._handlers and logging.Logger.callHandlers is self._wrapper:
            logging.Logger.callHandlers = self._original  # type: ignore[method-assign, assignment]
            self._wrapper = None

    def _showing(self, original: CallHandlers) -> CallHandlers:
        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            for handler in self._handlers:
                if record.levelno >= handler.level:
                    handler.handle(record)
            original(logger, record)

        return call_handlers


_tap: Final = _Tap()


def capture_logs(tracer: Any, redactor: Redactor | None) -> LogHandler | None:
    """Send the records of all loggers with the spans of *tracer*; ``None`` if these go through no journal."""
    pipeline = getattr(tracer.span_processor, "pipeline", None)
    if pipeline is None:
        return None
    handler = LogHandler(tracer.identity, pipeline, resource=tracer.provider.resource.attributes, redactor=redactor)
    _tap.open(handler)
    return handler


def release_logs(identity: Identity) -> None:
    """End what `capture_logs` began for the tracer of *identity*."""
    _tap.close(identity)
