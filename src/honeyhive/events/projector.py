"""The projection engine in a thread of its own.

::

    projector = Projector(source, sink)
    projector.start()
    projector.nudge()  # whoever appends says so
    projector.reached(position).result(timeout=5)  # readers can see it now

Importing it loads neither asyncio nor a database library.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Final, Generic, TypeVar

from honeyhive.events.following import BuriedRecord, Following, Positioned, Progress, Sink, Source, Tally
from honeyhive.events.steps import run
from honeyhive.exceptions import ProjectionStoppedError
from honeyhive.resilience import RetryPolicy
from honeyhive.utils.clock import Clock, SystemClock

__all__ = ["PATIENT", "Projector"]

PATIENT: Final = RetryPolicy(max_attempts=None, delay=0.1, backoff_factor=5, max_delay=30, jitter=0)
"""Through an outage: tried again for ever, after 0.1, 0.5, 2.5 seconds and so on, at most 30."""

R = TypeVar("R", bound=Positioned)
P = TypeVar("P")

_logger = logging.getLogger("honeyhive.events")


class Projector(Generic[R, P]):
    """Follows a source and keeps a sink up to date, in a thread of its own.

    Args:
        source: What to follow.
        sink: What to keep up to date; opened, used and closed in the thread.
        on_failure: Called from the thread, once, when it cannot go on.
        on_buried: Called from the thread for each record that cannot be applied.
        retry: How often to try again in an outage of the sink or the source, and after which pauses; when the policy
            gives up, the outage is a failure.
        outages: What counts as an outage of the source.
        poll_s: How often to look at the source unasked; ``None`` to rely on `nudge`.
        rebuild: Forget the read model first and project everything again.
        clock: Passes the time of pauses and polls.
    """

    def __init__(
        self,
        source: Source[R, P],
        sink: Sink[R, P],
        *,
        on_failure: Callable[[BaseException], None] | None = None,
        on_buried: Callable[[BuriedRecord], None] | None = None,
        retry: RetryPolicy = PATIENT,
        outages: tuple[type[Exception], ...] = (OSError,),
        poll_s: float | None = None,
        rebuild: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._following = Following(source, sink, on_buried=on_buried)
        self._outages = (*outages, *sink.outages)
        self._on_failure = on_failure
        self._retry = retry
        self._poll_s = poll_s
        self._rebuild = rebuild
        self._clock = clock or SystemClock()
        self._tally = Tally[P](self._clock)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._begun = threading.Event()
        self._ended = threading.Event()
        self._futures: set[Future[None]] = set()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"honeyhive-{sink.name}", daemon=True)

    def start(self, *, wait_s: float = 0.0) -> None:
        """Start following.

        Args:
            wait_s: How long to wait until the sink is open, so that readers find what they read from.
        """
        self._thread.start()
        self._begun.wait(wait_s)

    def nudge(self, records: int = 1) -> None:
        """Say that the source has grown by so many records."""
        self._tally.announce(records)
        self._wake.set()

    def reached(self, position: P | None) -> Future[None]:
        """Return a future that is done when everything up to *position* can be read.

        It fails with `ProjectionStoppedError` when the projector ends before that.
        """
        future: Future[None] = Future()
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        self._tally.when(position, lambda: _finish(future))
        if self._ended.is_set():
            self._forsake(future)
        return future

    @property
    def failure(self) -> Exception | None:
        """Why it cannot go on, once it has ended for that."""
        return self._failure

    @property
    def position(self) -> P | None:
        """Up to where the source is projected."""
        return self._tally.position

    @property
    def backlog(self) -> int:
        """How many records have been announced and not been projected."""
        return self._tally.backlog

    def progress(self) -> Progress[P]:
        """Return the figures of this moment."""
        return self._tally.progress()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop after the batch in hand; the next projector goes on from there."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            try:
                self._patiently(self._begin)
                self._follow()
            finally:
                run(self._following.end())
        except Exception as error:
            _logger.exception("The projection %s cannot go on.", self._following.sink.name)
            self._tally.fail(error)
            self._failure = error
            if self._on_failure is not None:
                self._on_failure(error)
        finally:
            self._begun.set()
            self._ended.set()  # from here on `reached` sees to its futures itself
            for future in tuple(self._futures):
                self._forsake(future)

    def _begin(self) -> int:
        run(self._following.begin(rebuild=self._rebuild))
        self._tally.move(self._following.position)
        self._begun.set()
        return 1

    def _follow(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            announced = self._tally.announced
            count = self._patiently(self._advance)
            if count == 0:
                self._tally.at_end(announced)
                self._wait()

    def _advance(self) -> int:
        count = run(self._following.advance())
        if count:
            self._tally.count(count)
            self._tally.move(self._following.position)
        return count

    def _patiently(self, work: Callable[[], int]) -> int:
        """Return what *work* returns, trying again through outages; -1 when told to stop meanwhile."""
        attempts = self._retry.begin(self._clock)
        while not self._stopping.is_set():
            try:
                return work()
            except self._outages as error:
                pause_s = attempts.pause_after(error)
                if pause_s is None:
                    raise
                self._tally.fail(error)
                _logger.warning("%s waits %.3g s: %s", self._following.sink.name, pause_s, error)
                self._clock.wait(self._stopping, pause_s)
        return -1

    def _forsake(self, future: Future[None]) -> None:
        _finish(future, ProjectionStoppedError(f"the projection {self._following.sink.name} has ended"))

    def _wait(self) -> None:
        if self._stopping.is_set():  # `stop` may have woken us just before we looked away
            return
        if self._poll_s is None:
            self._wake.wait()
        else:
            self._clock.wait(self._wake, self._poll_s)


def _finish(future: Future[None], error: Exception | None = None) -> None:
    with suppress(InvalidStateError):  # cancelled by whoever waited, or finished by the other thread
        future.set_exception(error) if error else future.set_result(None)
