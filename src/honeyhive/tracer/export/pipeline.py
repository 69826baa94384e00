"""One destination's way out: queue, spool, delivery, and the counters of what passes through.

The only part that runs on the threads of the host program is `Pipeline.finished`: one append to a deque. Everything
else is done by the process's one worker, which calls `drain` on its spooler thread and `send` on a sender.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan

from honeyhive.models.wire import RecordKind, spool_root
from honeyhive.resilience.breaker import CircuitBreaker
from honeyhive.tracer.export.delivery import Delivery, DeliveryLimits
from honeyhive.tracer.export.destination import Destination
from honeyhive.tracer.export.reporting import Reporter
from honeyhive.tracer.export.sender import Sender
from honeyhive.tracer.export.spool import Spool, Storage
from honeyhive.tracer.export.statistics import DropReason, FlushResult, Ledger, Place, Statistics
from honeyhive.utils.clock import Clock
from honeyhive.utils.guard import guard

__all__ = ["Bell", "Encode", "Pipeline", "PipelineSettings", "Staff", "is_export_thread", "weigh"]

Encode = Callable[[Sequence[ReadableSpan]], bytes]
"""Makes one complete OTLP request of some spans; on the spooler thread only."""

THREAD_PREFIX = "honeyhive-"

_SLICE_SPANS = 64
_SLICE_BYTES = 1024 * 1024
_BARE_SPAN_BYTES = 600
_INHERIT_AGAIN_S = 10.0
_BLOCKED_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """How a pipeline behaves; pipelines to one destination with equal settings are one."""

    max_queue_bytes: int = 32 * 1024 * 1024
    """Estimated bytes of spans that may be in memory."""
    pressure: Literal["drop", "block"] = "drop"
    """With a full queue: drop the newest span and count it, or make the caller wait."""
    max_batch_size: int = 512
    """Spans that one request holds at most; as many waiting are sent at once."""
    schedule_delay_s: float = 5.0
    """Seconds that a span waits at most before sending it is tried."""
    request_timeout_s: float = 10.0
    """Seconds that one request may take."""
    max_request_bytes: int = 4 * 1024 * 1024
    """Bytes that a request of more than one span holds at most."""
    max_age_s: float = 72 * 3600.0
    """Seconds after which an undelivered span is given up."""
    spool: bool = True
    """Whether spans are kept on disk until they are delivered."""
    spool_dir: Path | None = None
    """The folder of all spools; by default the one the backend on this machine looks into."""
    spool_max_bytes: int = 256 * 1024 * 1024
    """Bytes that a destination's spool may take."""
    spool_sync: Literal["interval", "always"] = "interval"
    """Whether writes are made safe against loss of power within a second, or each at once."""


class Staff(Protocol):
    """What a pipeline needs of the worker."""

    asleep: bool
    """Whether the spooler thread must be woken to look at its queues."""
    progress: Bell
    """Rung whenever spans have got further."""

    def wake(self) -> None:
        """Have the queues drained, within 20 ms."""

    def call_sender(self) -> None:
        """Have the senders look at what is due."""

    def flush(self, pipelines: Sequence[Pipeline], timeout_millis: float) -> FlushResult:
        """Drain, sync and send what *pipelines* hold now."""


class Bell:
    """Wakes everybody who waits for something to have changed."""

    def __init__(self) -> None:
        self._events: list[threading.Event] = []

    def ring(self) -> None:
        """Wake them."""
        for event in tuple(self._events):
            event.set()

    @contextmanager
    def listening(self) -> Iterator[threading.Event]:
        """Lend an event that is set at each ring; clear it before looking at what may have changed."""
        event = threading.Event()
        self._events.append(event)
        try:
            yield event
        finally:
            self._events.remove(event)


class _Parcel:
    """Something other than a span that takes the same way."""

    __slots__ = ("kind", "make", "weight")

    def __init__(self, kind: RecordKind, make: Callable[[], bytes], weight: int) -> None:
        self.kind = kind
        self.make = make
        self.weight = weight


class Pipeline:
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
    ) -> None:
        self.destination = destination
        self.settings = settings
        self._staff = staff
        self._encode = encode
        self._sender = sender
        self._storage = storage
        self._breaker = breaker
        self._clock = clock
        self._random = random
        self._capacity = settings.max_queue_bytes
        self._slice_spans = min(_SLICE_SPANS, settings.max_batch_size)
        self._queue: deque[ReadableSpan | _Parcel] = deque()
        self._enqueue = self._queue.append
        self.ledger = Ledger()
        self.renew()

    def renew(self) -> None:
        """Start empty, with fresh locks: at construction, and in a forked child, which must not send its parent's."""
        spool: Spool | None = getattr(self, "spool", None)
        if spool is not None:
            spool.abandon_after_fork()
        self._queue.clear()
        self._held = 0
        self._parcels = 0
        self.drains_begun = 0
        self.drains_done = 0
        self._appended = 0
        self._send_until = 0
        self._unsent_spans = 0
        self._first_waiting_at: float | None = None
        self._inherit_at: float | None = None
        self._forced = False
        self._haste = 0
        self._flushed = Statistics()
        # One drain at a time: records are appended in the order in which spans were finished.
        self._draining = threading.Lock()
        # Keeps the agenda (what is due when) whole between the spooler thread, senders and flushes.
        self._agenda = threading.RLock()
        self.ledger.renew()
        self.reporter = Reporter(_address(self.destination), _kept_in(self.settings), self._clock)
        self.spool = Spool(
            self._storage,
            ledger=self.ledger,
            reporter=self.reporter,
            charge=self._charge,
            clock=self._clock,
            always_sync=self.settings.spool_sync == "always",
        )
        self.delivery = Delivery(
            self.spool,
            self._sender,
            ledger=self.ledger,
            reporter=self.reporter,
            breaker=self._breaker,
            limits=DeliveryLimits(
                self.settings.max_batch_size, self.settings.max_request_bytes, self.settings.max_age_s
            ),
            clock=self._clock,
            random=self._random,
        )

    # -- on the host's threads ----------------------------------------------------------------

    def finished(self, span: ReadableSpan) -> None:
        """Take a span that has ended. Never raises, never blocks unless ``pressure`` says so."""
        try:
            weight: int = span.weight  # type: ignore[attr-defined]  # our own spans know theirs
        except AttributeError:
            weight = weigh(span)
        # No call comes between reading and writing the sum, so no thread can come between either.
        held = self._held + weight
        if held > self._capacity:
            self._overflow(span, weight)
            return
        self._held = held
        self._enqueue(span)
        if self._staff.asleep:
            self._staff.wake()

    def submit(self, kind: RecordKind, make: Callable[[], bytes], *, weight: int = 1024) -> bool:
        """Take something other than a span, in line with the spans finished before it.

        Args:
            kind: What *make* returns.
            make: Makes the payload, later, on the spooler thread.
            weight: Bytes it is estimated to take until then.

        Returns:
            False if there is no room, or no address that takes this kind.
        """
        takes_rest = self.destination.is_local or bool(self.destination.rest_url)
        if self._held + weight > self._capacity or (kind is RecordKind.REST and not takes_rest):
            return False
        self._held += weight
        self._parcels += 1
        self._enqueue(_Parcel(kind, make, weight))
        if self._staff.asleep:
            self._staff.wake()
        return True

    def refuse(self, count: int, reason: DropReason) -> None:
        """Count *count* finished spans that are not to be sent."""
        self.ledger.refuse(count, reason)

    def _overflow(self, span: ReadableSpan, weight: int) -> None:
        if self.settings.pressure == "block" and not is_export_thread():
            self._wait_for_room(weight)
            self._held += weight
            self._enqueue(span)
        else:
            self.ledger.refuse(1, self.spool.trouble or DropReason.QUEUE_FULL)
        if self._staff.asleep:
            self._staff.wake()

    def _wait_for_room(self, weight: int) -> None:
        """Return when there is room, or nothing left whose going could make any."""
        with self._staff.progress.listening() as event:
            while self._held and self._held + weight > self._capacity:
                if self._staff.asleep:
                    self._staff.wake()
                event.clear()
                self._clock.wait(event, _BLOCKED_LOOK_S)

    # -- on the spooler thread ------------------------------------------------------------------

    @property
    def has_queued(self) -> bool:
        """Whether spans wait to be encoded."""
        return bool(self._queue)

    def drain(self, wait_s: float = -1) -> None:
        """Encode and keep what is queued now, in slices between which other threads run.

        Args:
            wait_s: Seconds to wait for another drain to end; for ever if negative.
        """
        if not self._draining.acquire(timeout=wait_s):
            return
        try:
            self.drains_begun += 1
            self._drain()
            self.drains_done = self.drains_begun
        finally:
            self._draining.release()
        self._after_progress()

    def _drain(self) -> None:
        todo = len(self._queue)
        while todo > 0:
            todo -= self._drain_slice(todo)
            time.sleep(0)  # gives the interpreter to a thread that waits for it
        if not self._queue and not self.spool.memory_bytes:
            # Weights are estimates, and may differ between the two times they are asked for.
            self._held = 0

    def _after_progress(self) -> None:
        self.reporter.losses(self.ledger.snapshot().dropped)
        self._staff.progress.ring()

    def _drain_slice(self, todo: int) -> int:
        spans: list[ReadableSpan] = []
        parcel: _Parcel | None = None
        weight = 0
        while parcel is None and len(spans) < min(todo, self._slice_spans) and weight < _SLICE_BYTES:
            item = self._queue.popleft()
            if isinstance(item, _Parcel):
                parcel = item
                weight += item.weight
            else:
                spans.append(item)
                weight += weigh(item)
        if spans:
            self._keep_spans(spans)
        if parcel is not None:
            self._keep_parcel(parcel)
        self._held = max(0, self._held - weight)
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

    def _keep_parcel(self, parcel: _Parcel) -> None:
        self._parcels -= 1
        with guard("make a request to the REST API"):
            self._keep(parcel.kind, parcel.make(), 0)

    def _keep(self, kind: RecordKind, payload: bytes, spans: int) -> None:
        self.spool.append(kind, payload, spans)
        with self._agenda:
            self._appended += 1
            self._unsent_spans += spans
            earlier = self._first_waiting_at is None
            if earlier:
                self._first_waiting_at = self._clock.monotonic()
            if self._unsent_spans >= self.settings.max_batch_size:
                self._send_all()
                earlier = True
            if self._inherit_at is None:
                self._inherit_at = self._clock.monotonic()
        if earlier:
            self._staff.call_sender()

    def _charge(self, size: int) -> None:
        self._held = max(0, self._held + size)

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

    def send(self) -> None:
        """Send one request, or look for what the dead left; for one thread at a time."""
        with self._agenda:
            forced, self._forced = self._forced, False
            if forced or self.spool.settled >= self._send_until:
                self._send_all()
        with guard("send spans"):
            if not self.delivery.step(forced=forced, hasty=self._haste > 0):
                self._inherit()
        self._after_progress()

    def _send_all(self) -> None:
        """Make everything that waits now due at once; the caller holds the agenda."""
        self._send_until = self._appended
        self._unsent_spans = 0
        self._first_waiting_at = None

    def _inherit(self) -> None:
        """Take over what a dead process left, and look again later if there is nothing."""
        if not self.spool.adopt():
            with self._agenda:
                self._inherit_at = None if self._inherit_at is None else self._clock.monotonic() + _INHERIT_AGAIN_S

    # -- what became of spans -----------------------------------------------------------------

    def statistics(self) -> Statistics:
        """Return the counters of all spans finished for this destination."""
        return self.ledger.snapshot(len(self._queue) - self._parcels)

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

    def account(self) -> tuple[int, int]:
        """Return how many spans were delivered and lost since the last call."""
        now = self.ledger.snapshot()
        with self._agenda:
            before, self._flushed = self._flushed, now
        return now.delivered - before.delivered, now.lost - before.lost


def weigh(span: ReadableSpan) -> int:
    """Estimate the bytes that *span* keeps in memory: its own word for it, or the length of its texts."""
    weight = getattr(span, "weight", None)
    if isinstance(weight, int):
        return weight
    attributes = span.attributes
    if not attributes:
        return _BARE_SPAN_BYTES
    return _BARE_SPAN_BYTES + sum([len(value) if isinstance(value, str) else 32 for value in attributes.values()])


def is_export_thread() -> bool:
    """Whether this is a thread of the export, which must never wait for itself."""
    return threading.current_thread().name.startswith(THREAD_PREFIX)


def _address(destination: Destination) -> str:
    """The address for people, without what may be secret in it."""
    if destination.is_local:
        return "the backend on this machine"
    parts = urlsplit(destination.traces_url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}" if parts.hostname else "an unusable address"


def _kept_in(settings: PipelineSettings) -> str:
    return str(settings.spool_dir or _default_spool()) if settings.spool else "memory"


def _default_spool() -> Path:
    try:
        return spool_root()
    except RuntimeError:
        return Path("memory")
