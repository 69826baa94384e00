"""Sending what a spool holds: one request at a time, by the table in `rules`, until every span is accounted for.

There are no threads in here. Whoever has one calls `Delivery.step` when `Delivery.not_before` has come; a test moves
a clock by hand instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from honeyhive.exceptions import APIConnectionError, ConfigurationError
from honeyhive.models.wire import BACKEND_HEADER, RecordKind
from honeyhive.resilience.breaker import CircuitBreaker
from honeyhive.tracer.export.reporting import Reporter
from honeyhive.tracer.export.request_size import RequestSize
from honeyhive.tracer.export.rules import Action, Verdict, judge, pause_s, unanswered
from honeyhive.tracer.export.sender import Sender
from honeyhive.tracer.export.spool import Batch, Spool
from honeyhive.tracer.export.statistics import DropReason, Ledger, Place
from honeyhive.utils.clock import Clock

__all__ = ["Delivery", "DeliveryLimits"]

_LOOK_AGAIN_S = 1.0
_HASTY_PAUSE_S = 2.0
_NAMES = {RecordKind.REST: "sessions or events", RecordKind.LOGS: "logs"}


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """How large a request may be, and how old a span."""

    max_spans: int = 512
    max_bytes: int = 4 * 1024 * 1024
    """A single span may be larger."""
    max_age_s: float = 72 * 3600.0


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of the spans of a batch, as one request."""

    kind: RecordKind
    payload: bytes
    spans: int


class Delivery:
    """Sends one destination's records. For one thread at a time.

    Args:
        spool: What there is to send.
        sender: The way out.
        ledger: Learns what became of spans.
        reporter: Learns of outages and refusals.
        breaker: Shared by all deliveries to one endpoint.
        limits: Sizes and age.
        clock: Measures pauses.
        random: Draws numbers from 0 up to 1, for jitter.
    """

    def __init__(
        self,
        spool: Spool,
        sender: Sender,
        *,
        ledger: Ledger,
        reporter: Reporter,
        breaker: CircuitBreaker,
        limits: DeliveryLimits,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._spool = spool
        self._sender = sender
        self._ledger = ledger
        self._reporter = reporter
        self._breaker = breaker
        self._limits = limits
        self._size = RequestSize(limits.max_bytes)
        self._clock = clock
        self._random = random
        self._batch: Batch | None = None
        self._parts: deque[_Part] = deque()
        self._failures = 0
        self._asked_to_wait_until = 0.0
        self.not_before = 0.0
        """When the next step is of use, on the monotonic clock; only a backend's own wish binds a forced step."""
        self.setbacks = 0
        """Steps that found nobody to send to, or sent in vain."""
        self.absent = False
        """Whether the last step found nobody to send to."""
        self.proven = False
        """Whether the last request was answered well."""
        self.takes_reports = False
        """Whether the backend that answered last is ours, and wants to know what got lost."""

    @property
    def busy(self) -> bool:
        """Whether a batch is on its way, in parts."""
        return self._batch is not None

    def step(self, *, forced: bool = False, hasty: bool = False) -> bool:
        """Send one request, if there is something to send and somebody to send it to.

        Args:
            forced: Try although the pause after the last failure is not over, and although the breaker is open.
            hasty: Somebody waits: pause two seconds at most after a failure.

        Returns:
            Whether there was anything to send.
        """
        now = self._clock.monotonic()
        if now < (self._asked_to_wait_until if forced else self.not_before):
            self.setbacks += 1
            return True
        # Whatever goes wrong below, the next step comes later: no failure may turn into a busy loop.
        self.not_before = now + _LOOK_AGAIN_S
        self.absent = not self._sender.ready()
        if self.absent:
            self._set_back()
            return True
        if self._load() is None:
            self.not_before = 0.0
            return False
        if not (forced or hasty or self._breaker.allow()):
            self.not_before = now + max(self._breaker.retry_in_s, 0.1)
            self._set_back()
            return True
        self._exchange(self._parts[0], hasty=hasty)
        return True

    def _exchange(self, part: _Part, *, hasty: bool) -> None:
        verdict = self._ask(part)
        if verdict is None:
            self.absent = True
            self._set_back()
        else:
            self._obey(verdict, part, hasty=hasty)

    # -- what to send -----------------------------------------------------------------------

    def _load(self) -> _Part | None:
        """Return the part to be sent next; ``None`` when nothing waits."""
        while True:
            if not self._parts and not self._load_batch():
                return None
            part = self._parts[0]
            if not self._is_oversized(part):
                return part
            self._halve(part)

    def _load_batch(self) -> bool:
        batch = self._batch = self._spool.next_batch(self._size.limit, self._limits.max_spans)
        if batch is None:
            return False
        part = _Part(batch.kind, batch.payload, batch.spans)
        self._parts.append(part)
        if batch.age_s > self._limits.max_age_s:
            self._drop(part, DropReason.EXPIRED)
            return self._load_batch()
        return True

    def _is_oversized(self, part: _Part) -> bool:
        too_large = part.spans > self._limits.max_spans or len(part.payload) > self._size.limit
        return part.kind is RecordKind.SPANS and part.spans > 1 and too_large

    def _ask(self, part: _Part) -> Verdict | None:
        """Send *part*; ``None`` if it turned out that nobody is there to send to."""
        try:
            reply = self._sender.send(part.kind, part.payload)
        except APIConnectionError as error:
            if not self._sender.ready():
                self._breaker.abandoned()
                return None
            self._breaker.failed()
            return unanswered(error)
        except ConfigurationError as error:
            self._breaker.abandoned()
            return Verdict(Action.WAIT, str(error)[:200])
        self.takes_reports = BACKEND_HEADER in reply.headers
        if reply.status >= 500:
            self._breaker.failed()
        else:
            self._breaker.succeeded()
        return judge(reply, now_ns=self._clock.time_ns(), alone=part.kind is not RecordKind.SPANS)

    # -- what an answer leads to ------------------------------------------------------------

    def _obey(self, verdict: Verdict, part: _Part, *, hasty: bool) -> None:
        match verdict.action:
            case Action.DELIVERED:
                self._deliver(part, verdict)
            case Action.RETRY | Action.WAIT:
                self._pause(verdict, hasty=hasty)
            case Action.SHRINK:
                self._shrink(part)
            case Action.ISOLATE:
                self._isolate(part, verdict)

    def _deliver(self, part: _Part, verdict: Verdict) -> None:
        rejected = min(verdict.rejected, part.spans)
        place = self._place
        self._ledger.move(part.spans - rejected, place, Place.BACKEND)
        if rejected:
            self._ledger.drop(rejected, place, DropReason.PARTIAL_SUCCESS)
        self._reporter.works(self._ledger.delivered)
        self._recover()
        self._size.accepted()
        self.proven = True
        self._finish(part)

    def _pause(self, verdict: Verdict, *, hasty: bool) -> None:
        self._failures += 1
        self._set_back()
        pause = pause_s(verdict, self._failures, self._random)
        now = self._clock.monotonic()
        if verdict.retry_after_s is not None:
            self._asked_to_wait_until = now + pause
        elif hasty:
            pause = min(pause, _HASTY_PAUSE_S)
        self.not_before = now + pause
        if verdict.action is Action.WAIT:
            self._reporter.mend(verdict.reason)
        else:
            self._reporter.outage(verdict.reason, self._ledger.delivered)

    def _shrink(self, part: _Part) -> None:
        self._recover()
        if part.spans > 1:
            self._size.refused(len(part.payload))
            self._halve(part)
            return
        smaller = self._cut(part)
        if smaller is None:
            if part.kind is not RecordKind.SPANS:
                self._reporter.unwanted(_NAMES[part.kind], "too large")
            self._drop(part, DropReason.TOO_LARGE)
        else:
            self._parts[0] = _Part(part.kind, smaller, part.spans)

    def _cut(self, part: _Part) -> bytes | None:
        from honeyhive.tracer.export.payload import shortened

        return shortened(part.payload) if part.kind is RecordKind.SPANS else None

    def _isolate(self, part: _Part, verdict: Verdict) -> None:
        self._recover()
        if part.spans > 1:
            self._halve(part)
        else:
            if part.kind is not RecordKind.SPANS:
                self._reporter.unwanted(_NAMES[part.kind], verdict.reason)
            self._drop(part, DropReason.REJECTED_BY_BACKEND)

    def _halve(self, part: _Part) -> None:
        from honeyhive.tracer.export.payload import halves

        try:
            first, second = halves(part.payload)
        except ValueError:
            self._drop(part, DropReason.INVALID)
            return
        larger = (part.spans + 1) // 2
        self._parts.popleft()
        self._parts.extendleft((_Part(part.kind, second, part.spans - larger), _Part(part.kind, first, larger)))

    # -- book-keeping -----------------------------------------------------------------------

    @property
    def _place(self) -> Place:
        return Place.SPOOL if self._batch is None else self._batch.shelf.place

    def _drop(self, part: _Part, reason: DropReason) -> None:
        self._ledger.drop(part.spans, self._place, reason)
        self._finish(part)

    def _finish(self, part: _Part) -> None:
        """Be done with *part*, and with its batch if it was the last."""
        self._parts.remove(part)
        if not self._parts and self._batch is not None:
            batch, self._batch = self._batch, None
            self._spool.settle(batch)

    def _set_back(self) -> None:
        self.setbacks += 1
        self.proven = False

    def _recover(self) -> None:
        """Be answered: the next step may come at once."""
        self._failures = 0
        self.not_before = 0.0
        self._asked_to_wait_until = 0.0
