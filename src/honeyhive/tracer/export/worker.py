"""The one worker of the process: its threads, its pipelines, and what happens at fork and at exit.

One spooler thread drains queues, one fsync thread makes writes safe against loss of power, and at most four senders
talk to backends, however many tracers there are. They start with the first record and sleep without a timer while
nothing waits.
"""

from __future__ import annotations

import atexit
import math
import random
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache, reduce
from operator import add
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import SpanExporter

from honeyhive.tracer.export.destination import Destination
from honeyhive.tracer.export.flush import Flush
from honeyhive.tracer.export.foreign import ExporterQueue
from honeyhive.tracer.export.forked import forget_imports_of
from honeyhive.tracer.export.intake import THREAD_PREFIX, Bell, Outlet
from honeyhive.tracer.export.interrupt import stay_interrupted
from honeyhive.tracer.export.outlets import Outlets, storage_for
from honeyhive.tracer.export.pipeline import Pipeline
from honeyhive.tracer.export.reporting import say_what_is_left
from honeyhive.tracer.export.sender import SharedTransport, Transport, http_transport
from honeyhive.tracer.export.settings import PipelineSettings
from honeyhive.tracer.export.spool import Storage
from honeyhive.tracer.export.statistics import FlushResult, Statistics
from honeyhive.tracer.export.unobserved import observed_by_nobody, unobserved
from honeyhive.utils.clock import Clock, SystemClock
from honeyhive.utils.fork import Renewable, renew_after_fork
from honeyhive.utils.guard import guard

if TYPE_CHECKING:
    from honeyhive.utils.redact import Redactor

__all__ = ["Worker", "flush_all", "pipeline_for", "process_statistics", "process_worker"]

_chance = random.SystemRandom()
"""The host's own generator is the host's: what it draws must not depend on us."""
_GATHER_S = 0.01
_SYNC_WITHIN_S = 0.9
_MOST_SENDERS = 4
_MOST_SENDERS_FOR_UNPROVEN = 3
_EXIT_MILLIS = 4_500.0
_EXIT_AGAIN_MILLIS = 500.0
_LATE_BUDGET_S = 2.0
_DISMISS_S = 5.0
_LAST_WORDS_S = 0.2
_START_AGAIN_S = 1.0


class Worker(Renewable):
    """Drains, syncs and sends for every pipeline of the process. Thread-safe.

    Args:
        clock: Paces everything.
        transport: Makes the transport that all senders share.
        storage: Chooses where a destination's spans wait.
        random: Draws numbers from 0 up to 1, for jitter.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        transport: Callable[[], Transport] = http_transport,
        storage: Callable[[Destination, PipelineSettings], Storage] = storage_for,
        random: Callable[[], float] = _chance.random,
    ) -> None:
        self._clock = clock or SystemClock()
        self._transport = SharedTransport(transport)
        self._outlets = Outlets(
            self,
            transport=self._transport,
            storage=storage,
            patience_s=lambda: self._patience_s,
            clock=self._clock,
            random=random,
        )
        self._begin()
        renew_after_fork(self)

    def _begin(self) -> None:
        self.asleep = True
        self.progress = Bell()
        # Keeps threads from being started twice.
        self._starting = threading.RLock()
        # Keeps "one sender per outlet", and wakes senders; re-entrant because a signal handler may flush.
        self._counter = threading.Condition(threading.RLock())
        self._served: set[Outlet] = set()
        self._senders = 0
        self._idle_senders = 0
        self._running = False
        self._threads: list[threading.Thread] = []
        self._start_again_at = float("-inf")
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._dirty = threading.Event()
        self._sync_now = threading.Event()
        self._exiting = False
        self._late = False
        self._late_budget_s = _LATE_BUDGET_S
        self._patience_s = math.inf

    def renew(self) -> None:
        """In a forked child: no threads, no connections, empty queues, fresh locks; the parent's files stay its own."""
        forget_imports_of({thread.ident for thread in self._threads})
        self._begin()
        self._transport.renew()
        self._outlets.renew()

    def pipeline(
        self, destination: Destination, settings: PipelineSettings | None = None, redactor: Redactor | None = None
    ) -> Pipeline:
        """Return the pipeline to *destination*, shared by all who ask with equal settings and the same redactor."""
        return self._outlets.pipeline(destination, settings, redactor)

    def exporter_queue(self, exporter: SpanExporter, settings: PipelineSettings) -> ExporterQueue:
        """Make a queue in front of somebody else's *exporter*."""
        return self._outlets.exporter_queue(exporter, settings)

    def statistics(self) -> Statistics:
        """Sum up the counters of all pipelines."""
        return reduce(add, [outlet.statistics() for outlet in self.outlets], Statistics())

    @property
    def outlets(self) -> Sequence[Outlet]:
        """Whatever is served now."""
        return self._outlets.all

    # -- calls from outlets -------------------------------------------------------------------

    def wake(self) -> bool:
        """Have the queues drained, within 20 ms, and tell whether a thread does it; the first record starts the threads."""
        if self._late:
            # Of the threads that are left only this one outlives what it does now: the others end wherever they
            # are when the interpreter goes, and inside native code that would abort the process. What ends while
            # the interpreter is taken down, a forgotten generator's span, finds nothing left to work with.
            if threading.current_thread() is threading.main_thread() and not sys.is_finalizing():
                self._serve_late()
            return False
        self.asleep = False
        started = self._start()
        if started:
            self._wake.set()
        else:
            self.asleep = True
            self._keep_here()
        return started

    def hasten(self) -> None:
        """Have the queues drained without waiting for more to come."""
        if not self._hurry.is_set():
            self._hurry.set()

    def call_sender(self) -> None:
        """Have the senders look at what is due; one more is hired if all are at work and there may be too few."""
        with self._counter:
            if self._running and not self._idle_senders and self._senders < _MOST_SENDERS:
                self._hire_sender()
            self._counter.notify_all()

    def flush(self, outlets: Sequence[Outlet], timeout_millis: float, *, give_up: bool = False) -> FlushResult:
        """Drain, sync and send what *outlets* hold now.

        Args:
            outlets: Whose spans.
            timeout_millis: How long to wait.
            give_up: Be content with spans on disk once a fresh attempt to send them has failed.
        """
        flush = Flush(outlets, give_up=give_up, clock=self._clock)
        deadline = self._clock.monotonic() + max(0.0, timeout_millis) / 1000
        with self.progress.listening() as event:
            self._wait(event, deadline, flush.is_drained, self._hurry_spooler)
            with flush.attempt():
                self._wait(event, deadline, flush.is_settled, self._hurry_others)
        return flush.result()

    def _wait(
        self, event: threading.Event, deadline: float, is_done: Callable[[], bool], urge: Callable[[], None]
    ) -> None:
        """Unless *is_done*, urge, and wait for it until *deadline*; do the work here if there are no threads to do it."""
        if is_done():
            return
        staffed = self._start()
        urge()
        while not is_done() and (left := deadline - self._clock.monotonic()) > 0:
            if staffed:
                self._clock.wait(event, left)
            else:
                self._work_here(event, left)
            event.clear()

    def _hurry_spooler(self) -> None:
        self._hurry.set()
        self._wake.set()

    def _hurry_others(self) -> None:
        self._dirty.set()
        self._sync_now.set()
        self.call_sender()

    # -- threads --------------------------------------------------------------------------------

    def _start(self) -> bool:
        """Start the threads unless they run; false if that is not possible now, or no more wanted."""
        if self._running or self._late:
            return self._running
        with self._starting:
            if self._running:
                return True
            if self._clock.monotonic() < self._start_again_at:
                return False
            with guard("start the threads of the export"):
                self._running = self._can_start_threads()
            if not self._running:
                self._start_again_at = self._clock.monotonic() + _START_AGAIN_S
                return False
        self._join_pool_exit()
        return True

    def _can_start_threads(self) -> bool:
        """Start them; false where there can be no more, or the interpreter is about to end: whoever flushes does the work."""
        try:
            self._start_threads()
        except RuntimeError:
            return False
        return True

    def _start_threads(self) -> None:
        if "uwsgi" in sys.modules:
            from honeyhive.utils.uwsgi import expect_threads

            expect_threads()
        # What is loaded and opened for the first time takes long enough: nothing is gathered before that.
        self._hurry.set()
        self._start_thread("spool", self._spool)
        self._start_thread("sync", self._sync)
        with self._counter:
            self._hire_sender()

    def _hire_sender(self) -> None:
        self._start_thread(f"send-{self._senders + 1}", self._send)
        self._senders += 1

    def _start_thread(self, role: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=observed_by_nobody(work), name=THREAD_PREFIX + role, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _spool(self) -> None:
        """Drain the queues: the spooler thread."""
        while not self._late:
            self.asleep = True
            # Looked at after the flag is set: a span that came before it is seen here, one after it wakes us.
            if not any(outlet.has_queued for outlet in self.outlets):
                self._wake.wait(self._nap_s())
            self.asleep = False
            self._wake.clear()
            self._clock.wait(self._hurry, _GATHER_S)
            self._hurry.clear()
            self._drain_all()

    def _nap_s(self) -> float | None:
        """How long nothing has to be done unless something comes; usually for ever, without a timer."""
        dues = [due for outlet in self.outlets if (due := outlet.release_due) is not None]
        return max(0.0, min(dues) - self._clock.monotonic()) if dues else None

    def _drain_all(self) -> None:
        for outlet in self.outlets:
            with guard("drain a queue"):
                outlet.drain()
        if any(outlet.unsynced for outlet in self.outlets):
            self._dirty.set()

    def _sync(self) -> None:
        """Make what was written safe against loss of power: the fsync thread."""
        while not self._late:
            self._dirty.wait()
            self._dirty.clear()
            self._clock.wait(self._sync_now, _SYNC_WITHIN_S)
            self._sync_now.clear()
            self._sync_all()

    def _sync_all(self) -> None:
        for outlet in self.outlets:
            with guard("sync a spool"):
                outlet.sync()
        self.progress.ring()

    def _send(self) -> None:
        """Send what is due: a sender's thread."""
        while not self._late:
            outlet = self._claim()
            if outlet is not None:
                self._send_for(outlet)
        self._hang_up()

    def _send_for(self, outlet: Outlet) -> None:
        try:
            outlet.send()
        finally:
            with self._counter:
                self._served.discard(outlet)
                self._counter.notify_all()

    def _claim(self) -> Outlet | None:
        """Take the outlet that has been due for longest; wait for one until something changes."""
        with self._counter:
            outlet, due = self._next_due()
            left_s = None if due is None else due - self._clock.monotonic()
            if outlet is not None and left_s is not None and left_s <= 0:
                self._served.add(outlet)
                return outlet
            if not self._late:
                self._idle_senders += 1
                try:
                    self._counter.wait(left_s)
                finally:
                    self._idle_senders -= 1
            return None

    def _next_due(self) -> tuple[Outlet | None, float | None]:
        first: Outlet | None = None
        earliest: float | None = None
        unproven = sum(not outlet.is_proven for outlet in self._served)
        for outlet in self.outlets:
            # One sender is kept for destinations that answer, so that no number of hanging ones stops them.
            if outlet in self._served or (unproven >= _MOST_SENDERS_FOR_UNPROVEN and not outlet.is_proven):
                continue
            due = outlet.due()
            if due is not None and (earliest is None or due < earliest):
                first, earliest = outlet, due
        return first, earliest

    # -- without threads ------------------------------------------------------------------------

    def _keep_here(self) -> None:
        """Have the call that ended a span bring it to disk, where it outlives the process until somebody sends it."""
        with guard("keep a span"), unobserved():
            for outlet in self.outlets:
                outlet.drain(wait_s=0.0)

    def _work_here(self, event: threading.Event, left_s: float) -> None:
        """Do one turn of every thread's work in this one, or pause until something is due."""
        with unobserved():
            self._drain_all()
            self._sync_all()
            with self._counter:
                outlet, due = self._next_due()
                wait_s = _GATHER_S if outlet is None or due is None else due - self._clock.monotonic()
                if outlet is not None and wait_s <= 0:
                    self._served.add(outlet)
            if outlet is None or wait_s > 0:
                self._clock.wait(event, min(left_s, wait_s))
            else:
                self._patience_s = max(left_s, 0.05)
                self._send_for(outlet)

    # -- the end --------------------------------------------------------------------------------

    def exit(self) -> None:
        """Bring spans to safety when the process ends: 100 ms with a live backend, 5 s with a dead one; runs once.

        The threads end with it; what is finished later is served by the thread that finishes it.
        """
        if self._exiting:
            return
        self._exiting = True
        if self._running or any(outlet.has_spans_queued for outlet in self.outlets) or self.statistics().spooled:
            self.flush(self.outlets, _EXIT_MILLIS, give_up=True)
            with self._counter:
                # A sender may still be busy with what follows from the last answer.
                self._counter.wait_for(lambda: not self._served, _LAST_WORDS_S)
            if any(outlet.has_queued for outlet in self.outlets):
                # Something came with the last answer: a report of what got lost, perhaps.
                self.flush(self.outlets, _EXIT_AGAIN_MILLIS, give_up=True)
            say_what_is_left(self.outlets)
        self._late = True
        self._running = False
        self.asleep = True
        self._wake.set()
        self._dirty.set()
        self._sync_now.set()
        with self._counter:
            self._counter.notify_all()
        self._dismiss_spooler()
        self.asleep = True
        self._tidy()
        self._hang_up()

    def _tidy(self) -> None:
        for outlet in self.outlets:
            with guard("clear a spool away"):
                outlet.tidy()

    def _dismiss_spooler(self) -> None:
        """Wait a moment for the spooler: a thread inside native code when the interpreter goes may abort the process."""
        for outlet in self.outlets:
            outlet.cut_short()
        for thread in self._threads:
            if thread.name == f"{THREAD_PREFIX}spool" and thread is not threading.current_thread():
                thread.join(_DISMISS_S)

    def _hang_up(self) -> None:
        """Close the connections unless one is in use."""
        with self._counter:
            if self._served:
                return
        self._transport.close()

    def _serve_late(self) -> None:
        """Keep and send spans that end after `exit` in the main thread: within two seconds altogether."""
        started = self._clock.monotonic()
        left_s = self._late_budget_s
        with guard("keep a late span"):
            for outlet in self.outlets:
                outlet.release()
                outlet.drain(wait_s=max(0.01, min(left_s, 0.1)))
            if left_s > 0:
                self.flush(self.outlets, left_s * 1000, give_up=True)
        self._tidy()
        self._late_budget_s -= self._clock.monotonic() - started

    def _join_pool_exit(self) -> None:
        """Be called at the end of a process of a pool: those of ``multiprocessing`` and Celery skip ``atexit``."""
        process = sys.modules.get("multiprocessing.process")
        util = sys.modules.get("multiprocessing.util")
        if process is not None and util is not None and process.parent_process() is not None:
            util.Finalize(None, self.exit, exitpriority=0)
        celery = sys.modules.get("celery.signals")
        if celery is not None:
            celery.worker_process_shutdown.connect(self._exit_of_celery, weak=False)

    def _exit_of_celery(self, **_news: object) -> None:
        self.exit()


@cache
def process_worker() -> Worker:
    """Return the process's worker, made at first use."""
    worker = Worker()
    # Hooks run in reverse, so the worker's exit comes first.
    atexit.register(stay_interrupted)
    atexit.register(worker.exit)
    return worker


def pipeline_for(
    destination: Destination, settings: PipelineSettings | None = None, redactor: Redactor | None = None
) -> Pipeline:
    """Return the process's pipeline to *destination*; starts no thread and opens no file.

    Tracers with equal destination and settings and the same redactor object share one.
    """
    return process_worker().pipeline(destination, settings, redactor)


def process_statistics() -> Statistics:
    """Sum up the counters of all pipelines of this process."""
    return process_worker().statistics()


def flush_all(timeout_millis: float = 30_000) -> FlushResult:
    """Flush every pipeline of this process, side by side, within one time."""
    worker = process_worker()
    return worker.flush(worker.outlets, timeout_millis)
