"""What must be made anew in a forked child: locks that nobody there will ever release, random state that would repeat.

One process-wide hook serves any number of objects and keeps none of them alive.
"""

from __future__ import annotations

import os
import sys
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable

__all__ = ["Renewable", "call_after_fork", "renew_after_fork"]


class Renewable(ABC):
    """Something that a forked child must not go on using as it is."""

    __slots__ = ()

    @abstractmethod
    def renew(self) -> None:
        """Replace what the child may not share; runs in the child, before any of its other code."""


_renewables: weakref.WeakSet[Renewable] = weakref.WeakSet()
_calls: list[Callable[[], None]] = []


def renew_after_fork(renewable: Renewable) -> None:
    """Call ``renewable.renew()`` in every child forked from now on, as long as *renewable* lives."""
    _renewables.add(renewable)


def call_after_fork(renew: Callable[[], None]) -> None:
    """Call ``renew()`` in every child forked from now on; for what lives as long as the process."""
    _calls.append(renew)


def _renew_all() -> None:
    for call in _calls:
        call()
    for renewable in list(_renewables):
        renewable.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
if "uwsgi" in sys.modules:
    from honeyhive.utils.uwsgi import call_in_workers

    call_in_workers(_renew_all)
