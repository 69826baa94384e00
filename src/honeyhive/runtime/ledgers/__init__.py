"""Who runs a tick: agreed among any number of schedulers, in memory, in SQL or in Redis."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honeyhive.runtime.ledgers.interface import Claim, TickLedger
    from honeyhive.runtime.ledgers.memory import MemoryTickLedger
    from honeyhive.runtime.ledgers.redis import RedisTickLedger
    from honeyhive.runtime.ledgers.sql import SqlTickLedger

_HOMES = {
    "Claim": "interface",
    "MemoryTickLedger": "memory",
    "RedisTickLedger": "redis",
    "SqlTickLedger": "sql",
    "TickLedger": "interface",
}
__all__ = ["Claim", "MemoryTickLedger", "RedisTickLedger", "SqlTickLedger", "TickLedger"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'honeyhive.runtime.ledgers' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"honeyhive.runtime.ledgers.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
