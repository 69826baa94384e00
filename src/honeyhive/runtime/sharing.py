"""What the processes of one service must share, looked at when one of them starts.

Messages that one process publishes and another handles need a bus that both reach; schedulers that agree on ticks need a
ledger that all of them see. What is kept in memory does for a process that does everything by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from honeyhive.events import AsyncMessageBus, InMemoryMessageBus, MessageBus
from honeyhive.exceptions import DeclarationError
from honeyhive.runtime.assembly import Process
from honeyhive.runtime.ledgers.interface import TickLedger
from honeyhive.runtime.ledgers.memory import MemoryTickLedger
from honeyhive.runtime.roles import Role, dispatches, roles_of

__all__ = ["check_sharing"]

_logger = logging.getLogger("honeyhive.runtime")


async def check_sharing(process: Process, roles: Collection[Role], processes: int = 1) -> None:
    """Refuse a ledger, and warn of a bus, that other processes of the service do not reach though they should.

    The bus is a warning only: a single role may be run by itself on purpose, while somebody works on it.

    Args:
        process: A process that is open.
        roles: What it does.
        processes: How many there are of it.

    Raises:
        DeclarationError: Each of several processes would run every tick.
    """
    if "scheduler" in roles and processes > 1:
        await _refuse_own_ledgers(process, processes)
    bus = await _bus_in_use(process, roles)
    if isinstance(bus, AsyncMessageBus | InMemoryMessageBus) and (loss := _loss(process, roles, processes)):
        _logger.warning(
            "%s: its %s reaches this process only. %s. Provide a bus that all processes reach, such as "
            "RedisMessageBus(url), or run everything in one process: honeyhive run ... all",
            process.assembly.service.name,
            type(bus).__name__,
            loss,
        )


async def _refuse_own_ledgers(process: Process, processes: int) -> None:
    ledger = await process.find(TickLedger)
    if ledger is None or isinstance(ledger, MemoryTickLedger):
        raise DeclarationError(
            f"{processes} processes of {process.assembly.service.name!r} keep time and share no ledger, so each would "
            "run every tick; add a provider of TickLedger, such as SqlTickLedger or RedisTickLedger, or start one "
            "process that keeps time"
        )


async def _bus_in_use(process: Process, roles: Collection[Role]) -> object:
    """Return the bus, where this process uses the one that the service provides."""
    if "worker" in roles or ("scheduler" in roles and dispatches(process.assembly)):
        return await process.find(MessageBus)
    return process.made(MessageBus)


def _loss(process: Process, roles: Collection[Role], processes: int) -> str:
    """Return what gets lost on a bus that reaches one process; empty if nothing does."""
    declared = roles_of(process.assembly)
    missing = [role for role in declared if role not in roles]
    if "worker" in missing:
        return "What is published here reaches no worker and is lost"
    if missing:
        return f"What processes that are {' or '.join(missing)} publish or broadcast does not come here"
    if processes > 1:
        return f"Each of {processes} processes hears only what it publishes and broadcasts itself"
    return ""
