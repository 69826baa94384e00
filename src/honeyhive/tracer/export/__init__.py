"""How finished spans leave the process: nothing lost, nothing waited for, everything counted.

::

    batch        BatchSpanProcessor: the export as an OpenTelemetry span processor
    intake       where finished spans come in: all that the host's threads do
    pipeline     Pipeline: one destination's queue, spool and delivery (settings; foreign: somebody else's exporter)
    outlets      every pipeline of the process, each made once
    worker       the process's one worker: spooler, fsync and sender threads; fork and exit (unobserved by tracing)
    destination  where to, with which credentials
    encode       spans into OTLP bytes, once
    pairs        attributes, quickly or with care (cleaning: cut and redact; last_resort: what cannot go as it is)
    protobuf     the wire format by hand
    spool        journals on disk and in memory, and those of dead processes (storage: where they lie)
    delivery     one request at a time until every span is accounted for; no threads in it
    rules        what an answer means: the table (request_size: what 413 teaches)
    sender       HTTP, or the backend on this machine
    payload      splitting and shortening encoded requests that a backend refuses
    statistics   counters that add up
    flush        flushing any number of outlets side by side (goal: what one has to reach)
    reporting    what people are told
    leftovers    what waits on disk, for commands
    interrupt    what the shell is told of Ctrl-C (forked: what a child forgets)

Names are looked up on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.tracer.export.batch import BatchSpanProcessor
    from honeyhive.tracer.export.destination import Destination
    from honeyhive.tracer.export.pipeline import Pipeline
    from honeyhive.tracer.export.sender import Sender
    from honeyhive.tracer.export.settings import PipelineSettings
    from honeyhive.tracer.export.statistics import DropReason, FlushResult, Statistics
    from honeyhive.tracer.export.worker import flush_all, pipeline_for, process_statistics

__all__ = [
    "BatchSpanProcessor",
    "Destination",
    "DropReason",
    "FlushResult",
    "Pipeline",
    "PipelineSettings",
    "Sender",
    "Statistics",
    "flush_all",
    "pipeline_for",
    "process_statistics",
]

_MODULES = {
    "BatchSpanProcessor": "batch",
    "Destination": "destination",
    "DropReason": "statistics",
    "FlushResult": "statistics",
    "Pipeline": "pipeline",
    "PipelineSettings": "settings",
    "Sender": "sender",
    "Statistics": "statistics",
    "flush_all": "worker",
    "pipeline_for": "worker",
    "process_statistics": "worker",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'honeyhive.tracer.export' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"honeyhive.tracer.export.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
