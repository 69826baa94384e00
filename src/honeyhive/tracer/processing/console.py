"""Each finished trace as a plain-text tree on standard error, for a person who watches a terminal."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, TextIO

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import StatusCode

from honeyhive.models.conventions import canonical
from honeyhive.utils import wording
from honeyhive.utils.guard import guard
from honeyhive.utils.text import visible
from honeyhive.utils.trees import Row, drawn, preorder

__all__ = ["ConsoleSpanProcessor", "trace_lines"]

_MOST_TRACES: Final = 64
_MOST_SPANS: Final = 1_000


class ConsoleSpanProcessor(SpanProcessor):
    """Prints a trace when the last of its spans in this process has ended.

    Holds the spans of at most 64 unfinished traces and 1,000 spans of each; of a longer
    trace the rest is counted.

    Args:
        stream: Where to print; standard error by default.
        clean: What each line passes before it is printed, such as ``Redactor.text``.
    """

    def __init__(self, stream: TextIO | None = None, clean: Callable[[str], str] = str) -> None:
        self._stream = stream
        self._clean = clean
        self._open: OrderedDict[int, _Trace] = OrderedDict()
        # Keeps a trace's spans and the number of those still running in step.
        self._lock = threading.Lock()

    def on_start(self, span: ReadableSpan, parent_context: object = None) -> None:  # noqa: ARG002
        """Count a span that runs."""
        context = span.context
        if context is None:
            return
        with self._lock:
            trace = self._open.setdefault(context.trace_id, _Trace())
            trace.running += 1
            if len(self._open) > _MOST_TRACES:
                self._open.popitem(last=False)

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span that has ended; print the trace if it was the last."""
        context = span.context
        if context is None:
            return
        with self._lock:
            trace = self._open.get(context.trace_id)
            if trace is None:
                return
            trace.running -= 1
            if len(trace.spans) < _MOST_SPANS:
                trace.spans.append(span)
            else:
                trace.more += 1
            if trace.running > 0:
                return
            del self._open[context.trace_id]
        with guard("print a trace"):
            text = "\n".join(map(self._clean, trace_lines(trace.spans, trace.more)))
            print(text, file=self._stream or sys.stderr)


class _Trace:
    """What is known of a trace that is not finished."""

    __slots__ = ("more", "running", "spans")

    def __init__(self) -> None:
        self.running = 0
        self.more = 0
        self.spans: list[ReadableSpan] = []


def trace_lines(spans: list[ReadableSpan], more: int = 0) -> Iterator[str]:
    """Draw *spans* of one trace as a tree; *more* of them were not kept."""
    ordered = sorted(spans, key=lambda span: span.start_time or 0)
    by_id = {span.context.span_id: span for span in ordered if span.context is not None}
    parents = {span_id: span.parent.span_id if span.parent else None for span_id, span in by_id.items()}
    yield from drawn(Row(node.depth, len(node.children), _line(by_id[node.key])) for node in preorder(parents))
    if more:
        yield f"... and {more} more spans"


def _line(span: ReadableSpan) -> str:
    event = canonical(dict(span.attributes or {}), name=span.name)
    failed = span.status.status_code is StatusCode.ERROR
    parts = [
        f"{event.event_type} {visible(span.name, one_line=True)}",
        wording.duration((span.end_time or 0) - (span.start_time or 0)),
        visible(event.model or "", one_line=True),
        f"{words} tokens" if (words := wording.tokens(event.tokens.input, event.tokens.output)) else "",
        f"✕ {visible(span.status.description or 'failed', one_line=True)}" if failed else "",
    ]
    return "  ".join(part for part in parts if part)
