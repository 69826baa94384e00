"""What uWSGI does otherwise than every other host: it forks in C, and runs no threads unless it is told to.

Its module ``uwsgi`` exists in its own processes only. Nothing in here is of use, or loaded, anywhere else.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

__all__ = ["call_in_workers", "expect_threads"]

_logger = logging.getLogger("honeyhive")


def call_in_workers(renew: Callable[[], None]) -> None:
    """Have *renew* called in each worker first of all; hooks that Python keeps for ``fork`` do not run there."""
    uwsgi: Any = sys.modules["uwsgi"]
    if uwsgi.masterpid():  # without a master its decorators refuse to load
        with suppress(ImportError):
            from uwsgidecorators import postfork_chain

            postfork_chain.insert(0, renew)
            return
    others: Callable[[], None] | None = getattr(uwsgi, "post_fork_hook", None)

    def renew_first() -> None:
        renew()
        if others is not None:
            others()

    uwsgi.post_fork_hook = renew_first


def expect_threads() -> None:
    """Return where threads run and do no harm.

    Without ``--enable-threads`` they start, and then stand still. In the master they run, and whatever they hold when a
    worker is forked is held there for ever.

    Raises:
        RuntimeError: There should be none, as where none can be started. The first time it is logged with the fix,
            where there is one.
    """
    uwsgi: Any = sys.modules["uwsgi"]
    if not {"enable-threads", "threads"} & set(uwsgi.opt):
        _say_once()
        raise RuntimeError("uWSGI runs no threads here")
    if uwsgi.masterpid() and not uwsgi.worker_id():
        raise RuntimeError("the master of uWSGI forks")


@cache
def _say_once() -> None:
    _logger.warning(
        "honeyhive: uWSGI runs no threads without --enable-threads. Until it does, spans are written to disk by the"
        " calls that end them, and sent when their process ends."
    )
