"""Imports that a fork cut short.

The HTTP stack is loaded by a sender's thread, when it first has something to send. A process that forks in just that
moment leaves its child with half-loaded modules, whose locks belong to a thread that the child does not have: importing
one of them there would wait for ever.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection

__all__ = ["forget_imports_of"]


def forget_imports_of(threads: Collection[int | None]) -> None:
    """In a forked child: have the modules loaded anew that *threads* of the parent were loading.

    Reads CPython's own book-keeping of imports; where there is none, nothing happens.

    Args:
        threads: Their identifiers, as ``threading.get_ident`` gave them.
    """
    locks = getattr(getattr(importlib, "_bootstrap", None), "_module_locks", {})
    for name, reference in tuple(locks.items()):
        lock = reference()
        if lock is None or getattr(lock, "owner", None) not in threads or lock.owner is None:
            continue
        locks.pop(name, None)
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if getattr(spec, "_initializing", False):
            del sys.modules[name]
