"""Tail sampling: which traces are kept, decided when they end and it is known how they went.

Head sampling (`sampling`) decides when a trace starts and costs nothing for what it leaves out; it cannot know which
traces will fail. Here the finished spans of a trace wait in memory until its local root ends: the span of this process
that has no parent, or whose parent is in another process. Then all of them are kept or left out together, and spans
that end later follow.

What is not known in time is kept: a trace that does not end, one that has to make room, whatever waits at a flush.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from honeyhive.exceptions import ConfigurationError
from honeyhive.utils.clock import Clock

__all__ = ["TailSampler", "TailSampling"]

_64_BITS: Final = (1 << 64) - 1
_SPREAD: Final = 0x9E3779B97F4A7C15
"""An odd number near 2**64 over the golden ratio: multiplied by it, neighbours end up far from each other."""
_MS: Final = 1_000_000
_RELEASE_WAIT_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class TailSampling:
    """Which traces to keep: those with an error, slow ones, and a share of the rest.

    Raises:
        ConfigurationError: The rate is not from 0 to 1, or another number is not positive.
    """

    rate: float
    """The share, 0 to 1, of traces without an error and not slow; the trace id decides."""
    slow_ms: float | None = None
    """Traces with a span that took this long are kept; ``None`` keeps none for their slowness."""
    max_bytes: int = 8 * 1024 * 1024
    """Estimated bytes of spans that wait; beyond it the oldest trace is kept undecided."""
    max_age_s: float = 60.0
    """Seconds after which a trace that has not ended is kept undecided."""
    max_decisions: int = 65_536
    """Traces whose decision is remembered, for spans that end after their root."""

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ConfigurationError(f"tail_sample_rate must be a number from 0 to 1, not {self.rate!r}")
        if self.slow_ms is not None and self.slow_ms <= 0:
            raise ConfigurationError(f"tail_slow_ms must be positive, not {self.slow_ms!r}")
        if self.max_bytes <= 0 or self.max_age_s <= 0 or self.max_decisions <= 0:
            raise ConfigurationError("the bounds of tail sampling must be positive")

    def draws(self, trace_id: int) -> bool:
        """Whether the trace belongs to the share; independent of head sampling by trace id, and alike everywhere."""
        return (trace_id * _SPREAD & _64_BITS) < round(self.rate * (_64_BITS + 1))

    def is_notable(self, span: ReadableSpan) -> bool:
        """Whether *span* alone is reason enough to keep its trace."""
        if span.status.status_code is StatusCode.ERROR:
            return True
        if self.slow_ms is None or span.start_time is None or span.end_time is None:
            return False
        return span.end_time - span.start_time >= self.slow_ms * _MS


@dataclass(slots=True)
class _Trace:
    """The spans of one undecided trace."""

    since: float
    spans: list[ReadableSpan] = field(default_factory=list)
    weight: int = 0
    is_notable: bool = False


@dataclass(slots=True)
class _Sorted:
    """What came out of one round."""

    kept: list[ReadableSpan] = field(default_factory=list)
    left_out: int = 0


class TailSampler:
    """Holds finished spans back until their trace is decided. Thread-safe, and never waits for another thread's turn.

    Args:
        sampling: Which traces to keep, and the bounds.
        keep: Takes a span that is kept.
        leave_out: Told how many spans were left out.
        on_hold: Called when spans begin to wait, so that somebody comes when `due` says.
        weigh: Estimates the bytes of a span.
        clock: Measures how long traces wait.
    """

    def __init__(
        self,
        sampling: TailSampling,
        *,
        keep: Callable[[ReadableSpan], None],
        leave_out: Callable[[int], None],
        on_hold: Callable[[], None],
        weigh: Callable[[ReadableSpan], int],
        clock: Clock,
    ) -> None:
        self._sampling = sampling
        self._keep = keep
        self._leave_out = leave_out
        self._on_hold = on_hold
        self._weigh = weigh
        self._clock = clock
        self._decided: OrderedDict[int, bool] = OrderedDict()
        self.renew()

    def renew(self) -> None:
        """In a forked child: forget the spans that wait; the parent passes them on."""
        self._arrived: deque[ReadableSpan] = deque()
        self._traces: OrderedDict[int, _Trace] = OrderedDict()
        self._bytes = 0
        self._held = 0
        self._let_go = False
        # Keeps one thread at sorting. Whoever finds it taken leaves his span to the one who has it, so that a span
        # that a finaliser ends amid the sorting is safe too.
        self._sorting = threading.Lock()

    def finished(self, span: ReadableSpan) -> None:
        """Take a span that has ended."""
        was_empty = not self.waiting
        self._arrived.append(span)
        self._sort()
        if was_empty and self.waiting:
            self._on_hold()

    @property
    def waiting(self) -> int:
        """How many spans are held back."""
        return len(self._arrived) + self._held

    @property
    def due(self) -> float | None:
        """When the oldest trace will have waited long enough, on the monotonic clock."""
        oldest = next(iter(tuple(self._traces.values())), None)
        return None if oldest is None else oldest.since + self._sampling.max_age_s

    def release(self, *, everything: bool) -> None:
        """Keep the traces that have waited long enough; with *everything*, all that wait."""
        self._let_go = self._let_go or everything
        self._sort(wait_s=_RELEASE_WAIT_S, at_least_once=True)

    def _sort(self, wait_s: float = 0.0, *, at_least_once: bool = False) -> None:
        # A span that comes while the lock is being given back is seen by the next look at the queue.
        while (self._arrived or at_least_once) and self._take_turn(wait_s):
            at_least_once = False
            try:
                done = self._sort_all()
            finally:
                self._sorting.release()
            for span in done.kept:
                self._keep(span)
            if done.left_out:
                self._leave_out(done.left_out)

    def _take_turn(self, wait_s: float) -> bool:
        return self._sorting.acquire(timeout=wait_s) if wait_s else self._sorting.acquire(blocking=False)

    # -- by one thread at a time ----------------------------------------------------------------

    def _sort_all(self) -> _Sorted:
        done = _Sorted()
        now = self._clock.monotonic()
        while self._arrived:
            self._place(self._arrived.popleft(), now, done)
        let_go, self._let_go = self._let_go, False
        ripe = now - self._sampling.max_age_s
        while self._traces:
            trace_id, oldest = next(iter(self._traces.items()))
            if not (let_go or oldest.since <= ripe or self._bytes > self._sampling.max_bytes):
                break
            self._decide(trace_id, done, kept=True)
        return done

    def _place(self, span: ReadableSpan, now: float, done: _Sorted) -> None:
        trace_id = span.context.trace_id
        verdict = self._decided.get(trace_id)
        if verdict is not None:
            self._follow(span, done, kept=verdict)
            return
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = _Trace(now)
        weight = self._weigh(span)
        trace.spans.append(span)
        trace.weight += weight
        trace.is_notable = trace.is_notable or self._sampling.is_notable(span)
        self._bytes += weight
        self._held += 1
        if span.parent is None or span.parent.is_remote:
            self._decide(trace_id, done, kept=trace.is_notable or self._sampling.draws(trace_id))

    def _decide(self, trace_id: int, done: _Sorted, *, kept: bool) -> None:
        trace = self._traces.pop(trace_id)
        self._bytes -= trace.weight
        self._held -= len(trace.spans)
        self._decided[trace_id] = kept
        while len(self._decided) > self._sampling.max_decisions:
            self._decided.popitem(last=False)
        for span in trace.spans:
            self._follow(span, done, kept=kept)

    def _follow(self, span: ReadableSpan, done: _Sorted, *, kept: bool) -> None:
        if kept:
            done.kept.append(span)
        else:
            done.left_out += 1
