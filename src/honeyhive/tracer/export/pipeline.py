"""One destination's way out: queue, spool, delivery, and the counters of what passes through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan

from honeyhive.models.wire import RecordKind, spool_root
from honeyhive.resilience.breaker import CircuitBreaker
from honeyhive.tracer.export.delivery import Delivery, DeliveryLimits
from honeyhive.tracer.export.destination import Destination
from honeyhive.tracer.export.goal import PipelineGoal
from honeyhive.tracer.export.intake import Goal, Intake, Parcel, Staff, is_export_thread
from honeyhive.tracer.export.reporting import Reporter, client_report, losses_since
from honeyhive.tracer.export.sender import Sender
from honeyhive.tracer.export.settings import PipelineSettings
from honeyhive.tracer.export.spool import Spool, Storage
from honeyhive.tracer.export.statistics import DropReason, FlushResult, Place, Statistics
from honeyhive.utils.clock import Clock
from honeyhive.utils.guard import guard

__all__ = ["Encode", "Pipeline"]

Encode = Callable[[Sequence[ReadableSpan]], bytes]
"""Makes one complete OTLP request of some spans; on the spooler thread only."""


class Changed(Protocol):
    """What encoding has changed in spans so far."""

    @property
    def redacted(self) -> int: ...
    @property
    def truncated(self) -> int: ...
    @property
    def shrunk(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Unchanged:
    """What an encoding reports that does not count."""

    redacted: int = 0
    truncated: int = 0
    shrunk: int = 0


_SLICE_SPANS = 64
_SLICE_BYTES = 1024 * 1024
_INHERIT_AGAIN_S = 10.0
_YIELD_S = 1e-6
"""As short as a sleep can be: it hands the interpreter to whichever thread waits for it."""


class Pipeline(Intake):
    """Takes finished spans of any number of tracers to one destination. Thread-safe.

    Args:
        destination: Where to.
        settings: Bounds and pace.
        staff: The worker that drains and sends.
        encode: Makes OTLP of spans.
        sender: The way out.
        storage: Where spans are kept until they are delivered.
        breaker: Shared by all pipelines to one endpoint.
        clock: Measures everything.
        random: Draws numbers from 0 up to 1, for jitter.
        changed: Tells what *encode* has changed in spans, for the statistics.
    """

    def __init__(
        self,
        destination: Destination,
        settings: PipelineSettings,
        *,
        staff: Staff,
        encode: Encode,
        sender: Sender,
        storage: Storage,
        breaker: CircuitBreaker,
        clock: Clock,
        random: Callable[[], float],
        changed: Callable[[], Changed] = _Unchanged,
    ) -> None:
        super().__init__(staff, capacity=settings.max_queue_bytes, pressure=settings.pressure, clock=clock)
        self.destination = destination
        self.settings = settings
        self._encode = encode
        self._changed = changed
        self._sender = sender
        self._storage = storage
        self._breaker = breaker
        self._random = random
        self._slice_spans = min(_SLICE_SPANS, settings.max_batch_size)
        self._begin()

    def renew(self) -> None:
        """In a forked child: begin anew, empty; what the parent holds, the parent sends."""
        super().renew()
        self.spool.abandon_after_fork()
        self._begin()

    def _begin(self) -> None:
        self._is_cut_short = False
        self.drains_begun = 0
        self.drains_done = 0
        self._appended = 0
        self._send_until = 0
        self._unsent_spans = 0
        self._first_waiting_at: float | None = None
        self._inherit_at: float | None = None
        self._forced = False
        self._haste = 0
        self._changed_before = self._changed()
        self._reported: Mapping[str, int] = {}
        # One drain at a time: records are appended in the order in which spans were finished.
        self._draining = threading.Lock()
        # Keeps the agenda (what is due when) whole between the spooler thread, senders and flushes.
        self._agenda = threading.RLock()
        self.reporter = Reporter(_address(self.destination), self.keeps_in, self._clock)
        self.spool = self._make_spool()
        self.delivery = self._make_delivery()

    def _make_spool(self) -> Spool:
        return Spool(
            self._storage,
            ledger=self.ledger,
            reporter=self.reporter,
            charge=self._charge,
            clock=self._clock,
            always_sync=self.settings.spool_sync == "always",
        )

    def _make_delivery(self) -> Delivery:
        settings = self.settings
        return Delivery(
            self.spool,
            self._sender,
            ledger=self.ledger,
            reporter=self.reporter,
            breaker=self._breaker,
            limits=DeliveryLimits(settings.max_batch_size, settings.max_request_bytes, settings.max_age_s),
            clock=self._clock,
            random=self._random,
        )

    # -- on the host's threads ----------------------------------------------------------------

    @property
    def speaks_rest(self) -> bool:
        """Whether REST records can be sent to the destination."""
        return self.destination.is_local or bool(self.destination.rest_url)

    def submit(self, kind: RecordKind, make: Callable[[], bytes], *, weight: int = 1024, wake: bool = True) -> bool:
        """Take something other than a span, in line with the spans finished before it.

        Args:
            kind: What *make* returns.
            make: Makes the payload, later, on the spooler thread.
            weight: Bytes it is estimated to take until then.
            wake: False lets it wait in memory for the next span or flush.

        Returns:
            False if there is no room, or no address that takes this kind.
        """
        if kind is RecordKind.REST and not self.speaks_rest:
            return False
        if not self._post(Parcel(kind, make, weight)):
            return False
        if wake and self._staff.asleep:
            self._staff.wake()
        return True

    def flush(self, timeout_millis: float = 30_000) -> FlushResult:
        """Have everything finished so far written, synced and delivered; returns when it is or when time is up.

        A backend that is not running or not usable is not waited for: then spans that are safe on disk are enough.

        Args:
            timeout_millis: How long to wait; the call ends at most 250 ms later, whatever disk and backend do.
        """
        return self._staff.flush([self], timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000) -> FlushResult:
        """Flush; the pipeline itself lives on for other tracers, and for spans that end late."""
        return self.flush(timeout_millis)

    def goal(self, *, give_up: bool) -> Goal:
        """Begin a flush."""
        self.release()
        return PipelineGoal(self, give_up=give_up)

    @property
    def keeps_in(self) -> str:
        """Where spans wait, for people."""
        if not self.settings.spool:
            return "memory"
        return str(self.settings.spool_dir or _default_spool())

    @property
    def leaves_by(self) -> str:
        """What has to happen for the spans that wait there to get on, for people."""
        if self.destination.is_local:
            return "to be seen when the backend starts (`honeyhive serve`)"
        return "to be sent at the next start, or by `honeyhive spool send`"

    @property
    def _full_for(self) -> DropReason:
        return self.spool.trouble or DropReason.QUEUE_FULL

    @property
    def _makes_room(self) -> bool:
        return self.spool.trouble is None

    def statistics(self) -> Statistics:
        """Return the counters of all spans finished here."""
        now, before = self._changed(), self._changed_before
        return replace(
            super().statistics(),
            redacted=now.redacted - before.redacted,
            truncated=now.truncated + now.shrunk - before.truncated - before.shrunk,
        )

    # -- on the spooler thread ------------------------------------------------------------------

    def drain(self, wait_s: float = -1) -> None:
        """Encode and keep what is queued now, in slices between which other threads run."""
        self._release_ripe()
        if not self._draining.acquire(timeout=wait_s):
            return
        try:
            self.drains_begun += 1
            self._drain()
            self.drains_done = self.drains_begun
        finally:
            self._draining.release()
        self._after_progress()

    def cut_short(self) -> None:
        """Let a drain on a thread of the export end with its next slice."""
        self._is_cut_short = True

    def tidy(self) -> None:
        """Leave no file behind whose content is settled."""
        self.spool.tidy()

    def _drain(self) -> None:
        todo = len(self._queue)
        while todo > 0 and not (self._is_cut_short and is_export_thread()):
            taken = self._drain_slice(todo)
            todo -= taken
            # After a short drain the spooler rests anyway, and getting the interpreter back costs a busy process more
            # than the drain.
            if todo > 0 or taken >= self._slice_spans:
                self._clock.sleep(_YIELD_S)
        if not self._queue and not self.spool.memory_bytes:
            # Where there is no GIL, two threads may have counted over one another.
            self._held = 0

    def _after_progress(self) -> None:
        self.reporter.losses(self.ledger.snapshot().dropped)
        self._staff.progress.ring()

    def _drain_slice(self, todo: int) -> int:
        spans: list[ReadableSpan] = []
        parcel: Parcel | None = None
        weight = 0
        take, take_weight = self._queue.popleft, self._weights.popleft
        for _ in range(min(todo, self._slice_spans)):
            item = take()
            weight += take_weight()
            if type(item) is Parcel:
                parcel = item
                break
            spans.append(item)  # type: ignore[arg-type]
            if weight >= _SLICE_BYTES:
                break
        if spans:
            self._keep_spans(spans)
        if parcel is not None:
            self._keep_parcel(parcel)
        self._made_room(weight)
        return len(spans) + (parcel is not None)

    def _keep_spans(self, spans: Sequence[ReadableSpan]) -> None:
        self.ledger.finish(len(spans))
        payload: bytes | None = None
        with guard("encode spans"):
            payload = self._encode(spans)
        if payload is None:
            self.ledger.drop(len(spans), Place.MEMORY, DropReason.INTERNAL_ERROR)
            return
        self._keep(RecordKind.SPANS, payload, len(spans))

    def _keep_parcel(self, parcel: Parcel) -> None:
        self._parcels -= 1
        with guard("make a request to the REST API"):
            self._keep(RecordKind(parcel.kind), parcel.make(), 0)

    def _keep(self, kind: RecordKind, payload: bytes, spans: int) -> None:
        self.spool.append(kind, payload, spans)
        with self._agenda:
            self._appended += 1
            self._unsent_spans += spans
            earlier = self._first_waiting_at is None
            if earlier:
                self._first_waiting_at = self._clock.monotonic()
            if self._unsent_spans >= self.settings.max_batch_size:
                self._send_full(spans)
                earlier = True
            if self._inherit_at is None:
                self._inherit_at = self._clock.monotonic()
        if earlier:
            self._staff.call_sender()

    # -- on the fsync thread ----------------------------------------------------------------------

    @property
    def unsynced(self) -> bool:
        """Whether records on disk could be lost with the power."""
        return self.spool.unsynced

    def sync(self) -> None:
        """Make them safe, as far as the disk obeys."""
        self.spool.sync()

    # -- on a sender's thread -------------------------------------------------------------------

    def due(self) -> float | None:
        """When a sender should come, on the monotonic clock; ``None`` if there is no need of one."""
        with self._agenda:
            if self._forced:
                return float("-inf")
            if self.delivery.busy or self.spool.settled < self._send_until or self.spool.has_inherited:
                return self.delivery.not_before
            if self._first_waiting_at is not None:
                return max(self.delivery.not_before, self._first_waiting_at + self.settings.schedule_delay_s)
            # Nobody is looked for who could take what others left; whoever comes for our own spans takes that too.
            if (
                self._inherit_at is not None
                and not self.delivery.absent
                and self._inherit_at <= self._clock.monotonic()
            ):
                return self.delivery.not_before
            return None

    @property
    def is_proven(self) -> bool:
        """Whether the last request was answered well."""
        return self.delivery.proven

    def send(self) -> None:
        """Send one request, or look for what the dead left; for one thread at a time."""
        with self._agenda:
            forced, self._forced = self._forced, False
            if forced or self.spool.settled >= self._send_until:
                self._send_all()
        with guard("send spans"):
            if not self.delivery.step(forced=forced, hasty=self._haste > 0):
                self._inherit()
            if self.delivery.proven and self.delivery.takes_reports:
                self._report_losses()
        self._after_progress()

    def _report_losses(self) -> None:
        """Tell our own backend what was lost since it was told last, in line with the spans."""
        dropped = self.ledger.snapshot().dropped
        news = losses_since(self._reported, dropped)
        if not news:
            return
        report = client_report(news, self._clock.time_ns())
        if self.submit(RecordKind.REST, lambda: report):
            self._reported = dropped

    def _send_all(self) -> None:
        """Make everything that waits now due at once; the caller holds the agenda."""
        self._send_until = self._appended
        self._unsent_spans = 0
        self._first_waiting_at = None

    def _send_full(self, last: int) -> None:
        """Make a full request due at once; the *last* spans, of one record, wait for the next if they would be too many.

        Unless they fill a request by themselves.
        """
        most = self.settings.max_batch_size
        is_too_much = self._unsent_spans > most > last
        self._send_all()
        if is_too_much:
            self._send_until -= 1
            self._unsent_spans = last
            self._first_waiting_at = self._clock.monotonic()

    def _inherit(self) -> None:
        """Take over what a dead process left, and look again later if there is nothing."""
        if not self.spool.adopt():
            with self._agenda:
                self._inherit_at = None if self._inherit_at is None else self._clock.monotonic() + _INHERIT_AGAIN_S

    def hurry(self, *, attempt: bool) -> None:
        """Send soon: with *attempt* once at once, and with short pauses from now until `relax`."""
        with self._agenda:
            self._send_all()
            self._haste += 1
            self._forced = self._forced or attempt
            if self._inherit_at is not None:
                self._inherit_at = self._clock.monotonic()

    def relax(self) -> None:
        """End one `hurry`."""
        with self._agenda:
            self._haste -= 1


def _address(destination: Destination) -> str:
    """The address for people, without what may be secret in it."""
    if destination.is_local:
        return "the backend on this machine"
    parts = urlsplit(destination.traces_url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}" if parts.hostname else "an unusable address"


def _default_spool() -> Path:
    try:
        return spool_root()
    except RuntimeError:
        return Path("memory")
