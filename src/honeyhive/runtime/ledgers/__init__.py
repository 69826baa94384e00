"""Who runs a tick: agreed among any number of schedulers, in memory, in SQL or in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from honeyhive.utils.rooms import lookup

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


__getattr__ = lookup(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
