"""What every tick ledger does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from honeyhive.runtime.ledgers import TickLedger

TICK = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG_S = 600.0
RUN_OUT_S = -1.0
"""A lease that has ended before it began: what a scheduler that died leaves behind."""


async def check_ledger(ledger: TickLedger) -> None:
    """Raise `AssertionError` where *ledger*, which must be empty, does not keep the contract."""
    await _one_of_many_gets_a_tick(ledger)
    await _a_finished_tick_is_never_given_away_again(ledger)
    await _the_tick_of_a_silent_owner_is_taken_over(ledger)
    await _a_renewed_claim_is_kept(ledger)
    await _schedules_do_not_know_one_another(ledger)


async def _one_of_many_gets_a_tick(ledger: TickLedger) -> None:
    claims = []

    async def claim() -> None:
        claims.append(await ledger.claim("many", TICK, LONG_S))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(claim)

    assert [1] == [claim.attempt for claim in claims if claim is not None]


async def _a_finished_tick_is_never_given_away_again(ledger: TickLedger) -> None:
    claim = await ledger.claim("finished", TICK, RUN_OUT_S)
    assert claim is not None

    assert await ledger.finish(claim)

    assert await ledger.claim("finished", TICK, LONG_S) is None
    assert [] == await ledger.abandoned(["finished"])
    assert await ledger.last("finished") == TICK


async def _the_tick_of_a_silent_owner_is_taken_over(ledger: TickLedger) -> None:
    silent = await ledger.claim("silent", TICK, RUN_OUT_S)
    assert silent is not None
    assert [("silent", TICK)] == await ledger.abandoned(["silent", "many"])

    heir = await ledger.claim("silent", TICK, LONG_S)

    assert heir is not None
    assert heir.attempt == 2
    assert not await ledger.renew(silent, LONG_S)
    assert not await ledger.finish(silent)
    assert await ledger.finish(heir)


async def _a_renewed_claim_is_kept(ledger: TickLedger) -> None:
    claim = await ledger.claim("renewed", TICK, RUN_OUT_S)
    assert claim is not None

    assert await ledger.renew(claim, LONG_S)

    assert await ledger.claim("renewed", TICK, LONG_S) is None
    assert [] == await ledger.abandoned(["renewed"])


async def _schedules_do_not_know_one_another(ledger: TickLedger) -> None:
    later = TICK + timedelta(seconds=1)
    assert await ledger.last("other") is None

    assert await ledger.claim("other", later, LONG_S) is not None
    assert await ledger.claim("other", TICK, LONG_S) is not None

    assert await ledger.last("other") == later
