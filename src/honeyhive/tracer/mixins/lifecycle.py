"""Where spans are, and how a tracer ends."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Any

from honeyhive.tracer.export.statistics import FlushResult, Statistics
from honeyhive.tracer.interfaces import NeedsCore, NeedsIdentity, NeedsSpanProcessor, TracerLifecycleInterface
from honeyhive.tracer.registry import unregister_tracer
from honeyhive.utils.guard import guard

__all__ = ["TracerLifecycleMixin"]


class TracerLifecycleMixin(TracerLifecycleInterface, NeedsCore, NeedsIdentity, NeedsSpanProcessor):
    """Offers flush, shutdown and statistics over the tracer's span processors."""

    def flush(self, timeout_millis: float = 30_000) -> FlushResult:
        with guard("flush"):
            deadline = monotonic() + timeout_millis / 1000
            result = FlushResult(complete=True)
            for processor in _members(self.tracer.state.processors):
                result += _flushed(processor, max(0.0, deadline - monotonic()) * 1000)
            return result
        return FlushResult(complete=False)

    force_flush = flush

    def shutdown(self, timeout_millis: float = 5_000) -> FlushResult:
        identity = self.identity
        was_enabled, identity.enabled = identity.enabled, False
        unregister_tracer(self)
        if "honeyhive.tracer.logs" in sys.modules:
            from honeyhive.tracer.logs import release_logs

            release_logs(identity)
        result = self.flush(timeout_millis)
        if was_enabled:
            for processor in _members(self.tracer.state.processors):
                with guard("shutdown"):
                    _shut(processor)
        return result

    def statistics(self) -> Statistics:
        ask = getattr(self.span_processor, "statistics", None)
        found = ask() if ask is not None else None
        return found if isinstance(found, Statistics) else Statistics()


def _members(processors: Any) -> tuple[Any, ...]:
    members = getattr(processors, "_span_processors", None) or ()
    return tuple(members) or ((processors.multiplexer,) if processors.multiplexer is not processors else ())


def _shut(processor: Any) -> None:
    """Shut one processor down that was flushed a moment ago; ours need not wait for that again."""
    if hasattr(processor, "flush"):
        processor.shutdown(timeout_millis=0)
    else:
        processor.shutdown()


def _flushed(processor: Any, timeout_millis: float) -> FlushResult:
    """Flush one processor; a foreign one can only say yes or no."""
    flush = getattr(processor, "flush", None)
    with guard("flush"):
        if flush is not None:
            result = flush(timeout_millis)
            if isinstance(result, FlushResult):
                return result
        return FlushResult(complete=processor.force_flush(int(timeout_millis)) is not False)
    return FlushResult(complete=False)
