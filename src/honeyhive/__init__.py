"""Observability and tracing for AI applications.

The front door: every public name is looked up on first use, so importing the
package costs next to nothing, starts no thread, and opens no file or socket.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.exceptions import HoneyHiveError as HoneyHiveError

_HOMES = {
    "HoneyHiveError": "honeyhive.exceptions",
}

__version__ = "0.1.0"
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'honeyhive' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
