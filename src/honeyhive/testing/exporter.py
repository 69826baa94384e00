"""What was recorded, kept in memory in a form that reads well in an assertion."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from honeyhive.models.conventions import CanonicalEvent, canonical

__all__ = ["MemoryExporter", "RecordedError", "RecordedSpan"]


@dataclass(frozen=True, slots=True)
class RecordedError:
    """An exception that a span recorded."""

    type: str
    message: str
    stacktrace: str = field(default="", repr=False, compare=False)


class RecordedSpan:
    """A finished span, read as a test would ask for it.

    Attributes:
        span: The span itself, as OpenTelemetry's ``ReadableSpan``.
    """

    def __init__(self, span: ReadableSpan, parent: RecordedSpan | None = None) -> None:
        self.span = span
        self._parent = parent

    @property
    def name(self) -> str:
        """The span's name."""
        return self.span.name

    @property
    def parent(self) -> str | None:
        """The name of the parent, if it was recorded too."""
        return None if self._parent is None else self._parent.name

    @property
    def trace_id(self) -> int:
        """The trace it belongs to."""
        return int(self.span.context.trace_id)

    @property
    def span_id(self) -> int:
        """Its own id."""
        return int(self.span.context.span_id)

    @property
    def parent_id(self) -> int | None:
        """The id of the parent, recorded or not; ``None`` for a root."""
        return None if self.span.parent is None else self.span.parent.span_id

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes, flat."""
        return dict(self.span.attributes or {})

    @property
    def status(self) -> str:
        """``"unset"``, ``"ok"`` or ``"error"``."""
        return self.span.status.status_code.name.lower()

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and attributes of its events, exceptions included."""
        return [(event.name, dict(event.attributes or {})) for event in self.span.events]

    @property
    def exceptions(self) -> list[RecordedError]:
        """The exceptions it recorded, in order."""
        return [_error(attributes) for name, attributes in self.events if name == "exception"]

    @property
    def duration_ns(self) -> int:
        """How long it took, in nanoseconds."""
        return (self.span.end_time or 0) - (self.span.start_time or 0)

    @cached_property
    def event(self) -> CanonicalEvent:
        """What it means, as the backend reads it: event type, inputs, outputs, tokens, error, session."""
        failed = self.status == "error"
        return canonical(
            self.attributes,
            name=self.name,
            events=self.events,
            failed=failed,
            status_message=self.span.status.description or "",
        )

    @property
    def event_type(self) -> str:
        """``"model"``, ``"tool"``, ``"chain"``, or what the user said."""
        return self.event.event_type

    @property
    def inputs(self) -> dict[str, Any]:
        """The inputs, nested again as they were."""
        return self.event.inputs

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs, nested again as they were."""
        return self.event.outputs

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata, with every attribute that has no other place."""
        return self.event.metadata

    @property
    def error(self) -> str | None:
        """The error's message, if it failed."""
        return self.event.error

    @property
    def session_id(self) -> str | None:
        """The session it belongs to."""
        return self.event.session_id

    def line(self, *, details: bool = False) -> str:
        """One line of a tree: ``name [type]``, with *details* also what went in and out, and the error if it failed."""
        text = f"{self.name} [{self.event_type}]"
        if details:
            text += f" {_json(self.inputs)} -> {_json(self.outputs)}"
        return text if self.error is None else f"{text} !! {self.error}"

    def __repr__(self) -> str:
        return f"<RecordedSpan {self.line()}>"


class MemoryExporter(SpanExporter):
    """Keeps finished spans in memory. Safe to use from any thread.

    It is an OpenTelemetry exporter; `processor` makes it one step shorter to plug in::

        exporter = MemoryExporter()
        tracer = TestableTracer(span_processor=exporter.processor(), test_mode=True)
    """

    def __init__(self) -> None:
        self._finished: list[ReadableSpan] = []
        # Keeps the list whole while spans end on several threads.
        self._keeping = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep *spans*."""
        with self._keeping:
            self._finished.extend(spans)
        return SpanExportResult.SUCCESS

    def processor(self) -> SimpleSpanProcessor:
        """Return a span processor that brings spans here as they end."""
        return SimpleSpanProcessor(self)

    def clear(self) -> None:
        """Forget what was recorded so far."""
        with self._keeping:
            self._finished.clear()

    @property
    def spans(self) -> list[RecordedSpan]:
        """The finished spans, in the order in which they ended."""
        with self._keeping:
            return _linked(self._finished)

    def named(self, name: str) -> RecordedSpan:
        """Return the one span of that name.

        Raises:
            LookupError: There is none, or more than one; says which names there are.
        """
        found = [span for span in self.spans if span.name == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} spans are named {name!r}; recorded are {[s.name for s in self.spans]}")
        return found[0]

    def tree(self, *, details: bool = False) -> str:
        """Draw all traces, children indented below their parents, in the order in which they started.

        Without times and ids, so that it can stand as a literal in a test. *details* adds inputs and outputs.
        """
        spans = sorted(self.spans, key=lambda span: (span.span.start_time or 0, span.span_id))
        known = {(span.trace_id, span.span_id) for span in spans}
        children: dict[tuple[int, int | None], list[RecordedSpan]] = {}
        roots: list[RecordedSpan] = []
        for span in spans:
            above = (span.trace_id, span.parent_id)
            (children.setdefault(above, []) if above in known else roots).append(span)
        return "\n".join(_lines(roots, children, details=details))

    def __iter__(self) -> Iterator[RecordedSpan]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self._finished)

    def __bool__(self) -> bool:
        """An exporter is there, even while it is empty."""
        return True


def _linked(finished: Iterable[ReadableSpan]) -> list[RecordedSpan]:
    """Recorded spans that know their recorded parents."""
    spans = [RecordedSpan(span) for span in finished]
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    return [RecordedSpan(span.span, by_id.get((span.trace_id, span.parent_id or 0))) for span in spans]


def _lines(
    roots: Sequence[RecordedSpan],
    children: Mapping[tuple[int, int | None], list[RecordedSpan]],
    *,
    details: bool,
) -> Iterator[str]:
    waiting = [(span, 0) for span in reversed(roots)]
    while waiting:
        span, depth = waiting.pop()
        yield "  " * depth + span.line(details=details)
        below = children.get((span.trace_id, span.span_id), [])
        waiting += [(child, depth + 1) for child in reversed(below)]


def _error(attributes: Mapping[str, Any]) -> RecordedError:
    return RecordedError(
        str(attributes.get("exception.type", "")),
        str(attributes.get("exception.message", "")),
        str(attributes.get("exception.stacktrace", "")),
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
