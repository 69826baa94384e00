"""Every way out of the process: each made once, for all tracers that ask for the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import SpanExporter

from honeyhive.resilience.breaker import CircuitBreaker
from honeyhive.tracer.export.destination import Destination
from honeyhive.tracer.export.foreign import ExporterQueue
from honeyhive.tracer.export.intake import Outlet, Staff
from honeyhive.tracer.export.pipeline import Pipeline
from honeyhive.tracer.export.sender import HttpSender, LocalSender, Muted, Sender, SharedTransport
from honeyhive.tracer.export.settings import PipelineSettings
from honeyhive.tracer.export.spool import Storage
from honeyhive.tracer.export.storage import DiskStorage, MemoryStorage
from honeyhive.utils.clock import Clock

if TYPE_CHECKING:
    from honeyhive.utils.redact import Redactor

__all__ = ["Outlets", "storage_for"]


def storage_for(destination: Destination, settings: PipelineSettings) -> Storage:
    """Choose where spans for *destination* wait."""
    if not settings.spool:
        return MemoryStorage()
    return DiskStorage(destination.id, root=settings.spool_dir, max_bytes=settings.spool_max_bytes)


class Outlets:
    """The outlets that one worker serves. Thread-safe.

    Args:
        staff: The worker.
        transport: Shared by all senders.
        storage: Chooses where a destination's spans wait.
        patience_s: Says what a request may take at most, now.
        clock: Paces everything.
        random: Draws numbers from 0 up to 1, for jitter.
    """

    def __init__(
        self,
        staff: Staff,
        *,
        transport: SharedTransport,
        storage: Callable[[Destination, PipelineSettings], Storage],
        patience_s: Callable[[], float],
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._staff = staff
        self._transport = transport
        self._storage = storage
        self._patience_s = patience_s
        self._clock = clock
        self._random = random
        self._pipelines: dict[tuple[object, ...], Pipeline] = {}
        self._outlets: list[Outlet] = []
        self._breakers: dict[str, CircuitBreaker] = {}
        self._new_lock()

    def renew(self) -> None:
        """In a forked child: begin anew, all of them empty."""
        self._new_lock()
        for outlet in self._outlets:
            outlet.renew()

    def _new_lock(self) -> None:
        # Keeps "one pipeline for each destination, settings and redactor"; re-entrant because a signal handler may ask.
        self._lock = threading.RLock()

    @property
    def all(self) -> Sequence[Outlet]:
        """Whatever is served now."""
        return tuple(self._outlets)

    def pipeline(
        self, destination: Destination, settings: PipelineSettings | None, redactor: Redactor | None
    ) -> Pipeline:
        """Return the pipeline to *destination*, shared by all who ask with equal settings and the same redactor."""
        settings = settings or PipelineSettings()
        key = (destination, settings, id(redactor))
        with self._lock:
            pipeline = self._pipelines.get(key)
            if pipeline is None:
                pipeline = self._pipelines[key] = self._make_pipeline(destination, settings, redactor)
                self._outlets.append(pipeline)
            return pipeline

    def exporter_queue(self, exporter: SpanExporter, settings: PipelineSettings) -> ExporterQueue:
        """Make a queue in front of somebody else's *exporter*."""
        queue = ExporterQueue(exporter, settings, staff=self._staff, clock=self._clock)
        with self._lock:
            self._outlets.append(queue)
        return queue

    def _make_pipeline(
        self, destination: Destination, settings: PipelineSettings, redactor: Redactor | None
    ) -> Pipeline:
        from honeyhive.tracer.export.encode import EncodeLimits, usual_encoding

        encoding = usual_encoding(redactor, EncodeLimits(longest_span=settings.max_span_bytes))
        endpoint = destination.traces_url or destination.id
        breaker = self._breakers.setdefault(endpoint, CircuitBreaker(timeout=10.0, clock=self._clock))
        return Pipeline(
            destination,
            settings,
            staff=self._staff,
            encode=encoding,
            changed=encoding.counts,
            sender=self._sender(destination, settings),
            storage=self._storage(destination, settings),
            breaker=breaker,
            clock=self._clock,
            random=self._random,
        )

    def _sender(self, destination: Destination, settings: PipelineSettings) -> Sender:
        if not destination.usable:
            return Muted()

        def timeout_s() -> float:
            return min(settings.request_timeout_s, self._patience_s())

        if destination.is_local:
            return LocalSender(self._transport.get, timeout_s, self._clock)
        return HttpSender(destination, self._transport.get, timeout_s)
