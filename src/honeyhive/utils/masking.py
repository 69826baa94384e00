"""A person's own mask for values, run so that its failures keep the value in and its hanging stops nobody."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeAlias

from honeyhive.utils.fork import Renewable, renew_after_fork
from honeyhive.utils.guard import guard

__all__ = ["Mask", "MaskError", "MaskRunner"]

Mask: TypeAlias = Callable[[str, object], object]
"""Given an attribute's key and value, return the value to keep: text, a number, a truth value or a list of these."""


class MaskError(Exception):
    """A mask gave no usable value; what it was given must not leave the process."""


class _Job:
    __slots__ = ("done", "error", "key", "result", "value")

    def __init__(self, key: str, value: object) -> None:
        self.key = key
        self.value = value
        self.result: object = None
        self.error: Exception | None = None
        self.done = threading.Event()

    def fail(self, _operation: str, error: Exception) -> None:
        self.error = error


class MaskRunner(Renewable):
    """Call a mask on a thread of its own and wait for it no longer than *timeout_s* seconds.

    While a call hangs, further calls fail at once. The thread is a daemon, starts with the first call, and starts again
    in a forked child.

    Args:
        mask: The person's function.
        timeout_s: Seconds that one call may take.
    """

    __slots__ = ("__weakref__", "_hanging", "_jobs", "_mask", "_thread", "_timeout_s")

    def __init__(self, mask: Mask, timeout_s: float = 1.0) -> None:
        self._mask = mask
        self._timeout_s = timeout_s
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Forget the thread and its work: neither exists in a forked child."""
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._hanging: _Job | None = None

    def __call__(self, key: str, value: object) -> object:
        """Return what the mask makes of *value*.

        Raises:
            MaskError: It raised, took too long, or returned something that an attribute cannot hold.
        """
        if self._hanging is not None and not self._hanging.done.is_set():
            raise MaskError("an earlier call of the mask has not returned yet")
        job = _Job(key, value)
        self._start()
        self._jobs.put(job)
        if not job.done.wait(self._timeout_s):
            self._hanging = job
            raise MaskError(f"the mask took longer than {self._timeout_s:g} s")
        if job.error is not None or not _can_be_attribute(job.result):
            raise MaskError("the mask raised an error or returned no usable value") from job.error
        return job.result

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=_work, args=(self._jobs, self._mask), name="honeyhive-mask", daemon=True
            )
            self._thread.start()


def _work(jobs: queue.SimpleQueue[_Job], mask: Mask) -> None:
    while True:
        job = jobs.get()
        try:
            with guard("mask", report=job.fail):
                job.result = mask(job.key, job.value)
        finally:
            job.done.set()


def _can_be_attribute(value: object) -> bool:
    if type(value) is list or type(value) is tuple:
        return all(_is_scalar(item) for item in value)
    return _is_scalar(value)


def _is_scalar(value: object) -> bool:
    kind = type(value)
    return kind is str or kind is bool or kind is int or kind is float
