"""Scopes: around user work they hold its state, own its tasks, open and close its resources, and trace it.

``ctx`` is the door: ``async with ctx.scope("app", Config(...)):``. Scopes work on asyncio and trio, with and without a
tracer; of spans they know OpenTelemetry's interface only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.scope import ctx
    from honeyhive.scope.block import ScopeBlock
    from honeyhive.scope.current import Scope
    from honeyhive.scope.disposables import Disposable
    from honeyhive.scope.handles import TaskHandle
    from honeyhive.scope.tasks import TaskPolicy

__all__ = ["Disposable", "Scope", "ScopeBlock", "TaskHandle", "TaskPolicy", "ctx"]

_HOMES = {
    "Disposable": "disposables",
    "Scope": "current",
    "ScopeBlock": "block",
    "TaskHandle": "handles",
    "TaskPolicy": "tasks",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'honeyhive.scope' has no attribute {name!r}")
    home = importlib.import_module(f"honeyhive.scope.{_HOMES.get(name, name)}")
    value = globals()[name] = getattr(home, name) if name in _HOMES else home
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
