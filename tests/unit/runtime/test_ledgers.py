"""Tick ledgers keep their contract; engines that need a server are tried in tests/integration/runtime."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from honeyhive.runtime.ledgers import MemoryTickLedger, SqlTickLedger
from honeyhive.testing.ledger_contracts import TICK, check_ledger

pytestmark = pytest.mark.anyio


async def test_memory_keeps_the_contract() -> None:
    await check_ledger(MemoryTickLedger())


async def test_sqlite_keeps_the_contract(tmp_path: Path) -> None:
    async with SqlTickLedger(f"sqlite+aiosqlite:///{tmp_path / 'ticks'}") as ledger:
        await check_ledger(ledger)


async def test_sqlite_remembers_ticks_for_the_next_process(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'ticks'}"
    async with SqlTickLedger(url) as ledger:
        await ledger.claim("nightly", TICK, 60)

    async with SqlTickLedger(url) as ledger:
        assert TICK == await ledger.last("nightly")


async def test_memory_forgets_the_oldest_finished_ticks() -> None:
    ledger = MemoryTickLedger(remember=2)

    for second in range(4):
        claim = await ledger.claim("often", TICK + timedelta(seconds=second), 60)
        assert claim is not None
        await ledger.finish(claim)

    assert await ledger.claim("often", TICK, 60) is not None
    assert await ledger.claim("often", TICK + timedelta(seconds=3), 60) is None
