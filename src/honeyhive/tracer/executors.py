"""Pools of threads whose work stays in the trace that it was submitted from."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

from honeyhive.tracer import context as hh_context

__all__ = ["ContextExecutor"]

P = ParamSpec("P")
R = TypeVar("R")


class ContextExecutor(Executor):
    """Runs what is submitted on the threads of another executor, in the context of the submission.

        with ContextExecutor(ThreadPoolExecutor(8)) as pool:
            answers = list(pool.map(ask, questions))

    Without it, work on a pool's thread begins traces of its own. No other pool of the
    program is changed. A pool of processes cannot take a context along: use
    ``tracer.inject_context`` there.

    Args:
        pool: Does the work; shut down with this one.
    """

    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    def submit(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Schedule ``function(*args, **kwargs)`` in the current context."""
        return self._pool.submit(hh_context.carried(function, hh_context.current()), *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the other executor down."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)
